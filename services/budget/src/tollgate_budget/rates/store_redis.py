"""Buckets in Redis: one round trip for many calls, one script run for each tenant among them.

Promises: a call's costs are spent in all its buckets or in none, on the server's clock. A Redis
that cannot answer is RatesUnavailable: fail closed. A failover may forgive at most one burst.
"""

import json
from collections.abc import Sequence
from importlib import resources
from typing import Any
from urllib.parse import unquote, urlsplit

from redis import CredentialProvider
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from tollgate_budget.rates import gcra
from tollgate_budget.rates.gcra import Answer
from tollgate_budget.rates.store import RateCall, RatesUnavailable
from tollgate_kit.secret import Secret

CONNECT_TIMEOUT_S = 0.5
ANSWER_TIMEOUT_S = 0.5
_SCRIPT = resources.files("tollgate_budget.rates").joinpath("rate_spend.lua").read_text()


def open_redis(url: Secret) -> Redis:
    """A client that answers soon or fails, and never sends a spend twice by itself."""
    text, login = url.reveal(), None
    parts = urlsplit(text)
    if parts.password:
        login = _Login(url)
        text = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    client: Redis = Redis.from_url(
        text,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=ANSWER_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        credential_provider=login,
    )
    return client


class _Login(CredentialProvider):
    """Asked for each new connection: a password that was rotated is used from then on."""

    def __init__(self, url: Secret) -> None:
        self._url = url

    async def get_credentials_async(self) -> tuple[str, str]:
        parts = urlsplit(self._url.reveal())
        return unquote(parts.username or "default"), unquote(parts.password or "")


class RedisRates:
    """A RateStore on Redis 6.2 or newer."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._sha = ""

    async def spend(self, calls: Sequence[RateCall]) -> list[Answer]:
        tenants: dict[str, list[int]] = {}
        for position, call in enumerate(calls):
            tenants.setdefault(call.tenant_id, []).append(position)
        runs = [_arguments(tenant, [calls[p] for p in ps]) for tenant, ps in tenants.items()]
        try:
            replies = await self._run(runs)
        except (RedisError, OSError, TimeoutError) as error:
            raise RatesUnavailable(type(error).__name__) from None
        answers = [Answer()] * len(calls)
        for positions, reply in zip(tenants.values(), replies, strict=True):
            for position, text in zip(positions, reply.split(","), strict=True):
                answers[position] = _answer(calls[position], text)
        return answers

    async def close(self) -> None:
        await self._client.aclose()

    async def _run(self, runs: list[list[str]]) -> list[str]:
        if not self._sha:
            self._sha = await self._client.script_load(_SCRIPT)
        replies = await self._evaluate(runs)
        forgotten = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if forgotten:
            # A script that is not there was not run: those, and only those, are sent again.
            self._sha = await self._client.script_load(_SCRIPT)
            again = await self._evaluate([runs[n] for n in forgotten])
            for n, reply in zip(forgotten, again, strict=True):
                replies[n] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def _evaluate(self, runs: list[list[str]]) -> list[Any]:
        if len(runs) == 1:
            try:
                keys, *rest = runs[0]
                return [await self._client.evalsha(self._sha, int(keys), *rest)]
            except NoScriptError as error:
                return [error]
        pipeline = self._client.pipeline(transaction=False)
        for run in runs:
            pipeline.evalsha(self._sha, int(run[0]), *run[1:])
        return list(await pipeline.execute(raise_on_error=False))


def _arguments(tenant_id: str, calls: Sequence[RateCall]) -> list[str]:
    """Number of keys, keys, and the calls as rate_spend.lua reads them."""
    keys: dict[str, int] = {}
    told = []
    for call in calls:
        line = [int(call.refund)]
        for cost in call.costs:
            index = keys.setdefault(cost.rate.bucket, len(keys) + 1)
            line += (index, cost.take_us, cost.rate.window_us)
        told.append(line)
    # The braces are Redis Cluster's hash tag: all buckets of a tenant live on one node.
    names = [f"tollgate:rate:{{{tenant_id}}}:{bucket}" for bucket in keys]
    return [str(len(names)), *names, json.dumps(told)]


def _answer(call: RateCall, text: str) -> Answer:
    dimension, wait_us, *ahead_us = map(int, text.split(" "))
    limited = None
    if dimension:
        n = dimension - 1
        limited = gcra.limited(call.costs[n], wait_us=wait_us, ahead_us=ahead_us[n])
    return Answer(limited, tuple(ahead_us))
