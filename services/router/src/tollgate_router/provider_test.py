"""The smallest real call to a provider, at the operator's request and nobody's charge.

Tries the newest key only, through the same client, headers and time-outs as a customer's call.
"""

from dataclasses import dataclass

import orjson

from tollgate_dialects.conversation.parts import Text
from tollgate_dialects.conversation.request import Request, Turn
from tollgate_dialects.conversation.translation import Target
from tollgate_dialects.dialect import Asked
from tollgate_dialects.registry import UPSTREAM_DIALECTS
from tollgate_kit.clock import Clock
from tollgate_kit.keyring.base import KeyringFault
from tollgate_router.providers import base_url, endpoint
from tollgate_router.providers.access_token import TokenFault
from tollgate_router.providers.catalogue import (
    Candidate,
    Provider,
    ProviderModel,
    encryption_context,
)
from tollgate_router.providers.provider_keys import OpenKey, ProviderKeys
from tollgate_router.routing import refusal, routing
from tollgate_router.upstream.answer import Answer
from tollgate_router.upstream.fault import Fault, UpstreamFault
from tollgate_router.upstream.upstream import Upstream

ANSWER_BYTES_MAX = 1024 * 1024
# What every protocol allows.
OUTPUT_TOKENS = 16
_PING = Request(model="", turns=(Turn("user", (Text("ping"),)),))
_NO_TOKEN = {
    "refused": "bad_key",
    "not_reached": "token_server_not_reached",
    "timeout": "token_server_not_reached",
    "no_token": "token_server_gave_no_token",
}
_PROBLEMS = {
    400: "bad_request",
    401: "bad_key",
    403: "bad_key",
    404: "model_not_found",
    429: "rate_limited",
}


@dataclass(frozen=True, slots=True)
class Found:
    """What a test call showed; `problem` is one word, empty when all is well.

    `unreached` is another: why there was no connection.
    """

    problem: str = ""
    http_status: int = 0
    latency_ms: int = 0
    unreached: str = ""


class ProviderTest:
    """Makes test calls."""

    def __init__(
        self, upstream: Upstream, keys: ProviderKeys, *, allow_private: bool, clock: Clock
    ) -> None:
        self._upstream = upstream
        self._keys = keys
        self._allow_private = allow_private
        self._clock = clock

    async def run(self, provider: Provider, served: ProviderModel) -> Found:
        """One answer of one token from the provider."""
        if not provider.keys:
            return Found("no_key")
        key = provider.keys[-1]
        try:
            address = base_url.parse(provider.base_url, allow_private=self._allow_private)
        except base_url.BadBaseUrl:
            return Found("address_not_allowed")
        context = encryption_context(key.tenant, key.key_id, address)
        candidate = Candidate(
            provider.name, provider.protocol, address, key, served.upstream_model, context
        )
        try:
            opened = await self._keys.open(candidate)
        except KeyringFault:
            return Found("key_not_opened")
        except TokenFault as fault:
            return Found(_NO_TOKEN[fault.why])
        return await self._call(candidate, served, opened)

    async def _call(self, candidate: Candidate, served: ProviderModel, opened: OpenKey) -> Found:
        head = opened.head
        spoken = UPSTREAM_DIALECTS[candidate.protocol]
        smallest = Target(served.upstream_model, OUTPUT_TOKENS)
        ping = orjson.dumps(spoken.translation.write_request(_PING, smallest).document)
        sent = endpoint.enveloped(spoken.endpoint, ping, {}, served.upstream_model)
        body = sent.body
        if not spoken.endpoint.is_one_path:
            asked = Asked(served.upstream_model, stream=False, body=body)
            head = head.at(endpoint.target(candidate.address, spoken.endpoint, asked))
        head = opened.signed(head.with_headers(sent.headers), body, self._clock)
        began = self._clock.monotonic()
        try:
            answer = await self._upstream.send(head, body)
        except UpstreamFault as fault:
            if fault.fault is not Fault.CONNECT:
                return Found(fault.fault.value)
            return Found("not_reached", unreached=fault.unreached.value if fault.unreached else "")
        latency_ms = round((self._clock.monotonic() - began) * 1000)
        return Found(await _problem(answer), answer.status, latency_ms)


async def _problem(answer: Answer) -> str:
    result = refusal.result_of(answer.status)
    if result is not routing.Result.OK:
        answer.close()
        return _PROBLEMS.get(answer.status) or str(result.value)
    try:
        document = orjson.loads(await answer.read_all(ANSWER_BYTES_MAX))
    except UpstreamFault as fault:
        return str(fault)
    except orjson.JSONDecodeError:
        return "not_json"
    return "" if isinstance(document, dict) else "not_json"
