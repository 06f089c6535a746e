"""Red line 3 on every protocol: what an upstream says when it fails stays at the upstream.

Each failure of each upstream's protocol is told to one client, each time of another protocol, so
that each client meets each failure, and each pair of protocols meets.
"""

import concurrent.futures
import dataclasses
import itertools
import json

import httpx
import pytest

from tests import observe
from tests.demo import WIRES
from tests.failing import (
    ABOUT_UPSTREAM,
    Seen,
    ask,
    documents,
    error_of,
    publish,
    words_of_upstream,
)
from tests.live import ANTHROPIC, BEDROCK, DASHSCOPE, GEMINI, OPENAI, RESPONSES, Key, Live
from tollgate_cli.demo_provider.failures import CANARY, FAILURES, Failure
from tollgate_edge.errors.money_words import CHARGES

UPSTREAMS = {
    "openai": OPENAI, "anthropic": ANTHROPIC, "responses": RESPONSES, "gemini": GEMINI,
    "dashscope": DASHSCOPE, "bedrock": BEDROCK,
}  # fmt: skip
CLIENTS = ("openai", "anthropic", "responses", "gemini", "dashscope")
# (failure, upstream's protocol, client's)
CASES = tuple(
    (failure, upstream, CLIENTS[(number + turn) % len(CLIENTS)])
    for number, failure in enumerate(FAILURES)
    for turn, upstream in enumerate(UPSTREAMS)
)
# Beside what the demo says on each protocol: where AWS's errors come from.
ABOUT_AWS = ("amazon.com", "coral")
DESCRIBED = (400, 404, 413, 422, 429)
FIXED = {
    f"The model provider failed to answer.{words}" for words in CHARGES.values()
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Told:
    """One call and its answer."""

    failure: Failure
    upstream: str
    client: str
    stream: bool
    seen: Seen

    def __str__(self) -> str:
        way = "stream" if self.stream else "unary"
        of = self.failure
        return f"{of.name} {of.place} {of.status}, {way}, {self.upstream} → {self.client}"


@pytest.fixture(scope="module")
def key(live: Live) -> Key:
    return live.key(live.tenant())


@pytest.fixture(scope="module")
def storm(live: Live, key: Key) -> list[Told]:
    """Every case, asked for both as a stream and not."""
    public = publish(live, {case: UPSTREAMS[case[1]] for case in CASES})
    jobs = list(itertools.product(CASES, (False, True)))
    with httpx.Client(timeout=30) as client, concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda job: ask(live, client, key, public[job[0]], WIRES[job[0][2]], stream=job[1]),
            jobs,
        )
        return [
            Told(*case, stream, seen) for (case, stream), seen in zip(jobs, answers, strict=True)
        ]


def test_each_client_meets_each_failure_and_each_upstream():
    """The turns leave none out."""
    assert {(failure, client) for failure, _, client in CASES} == {
        *itertools.product(FAILURES, CLIENTS)
    }
    assert {(upstream, client) for _, upstream, client in CASES} == {
        *itertools.product(UPSTREAMS, CLIENTS)
    }


def test_trust_15_promise_14_no_client_sees_what_an_upstream_said(live: Live, storm: list[Told]):
    """No key, canary, address or id of the upstream in body or headers, on any protocol."""
    forbidden = (*words_of_upstream(live), *ABOUT_AWS)
    assert [] == [
        f"{word} in {told}"
        for told in storm
        for word in forbidden
        if word.lower() in told.seen.everything.lower()
    ]


def test_every_failure_is_an_error_of_the_clients_protocol(storm: list[Told]):
    """In its own shape and words; of what is ours or the operator's to mend in fixed words alone."""
    assert [] == [f"{told}: {fault} {told.seen.body!r}" for told in storm if (fault := wrong(told))]


def wrong(told: Told) -> str:
    """What is wrong with an answer; empty if nothing is."""
    failure, seen = told.failure, told.seen
    if seen.status == 200:
        if not (told.stream and failure.place.startswith("mid-")):
            return "is an answer"
        *_, last = documents(seen.body)
        status, message = error_of(last, told.client)
        return "" if status in (0, 502) and message in FIXED else "ends with other words"
    status, message = error_of(json.loads(seen.body), told.client)
    if status not in (0, seen.status):
        return "says another status"
    if failure.status in DESCRIBED and failure.place in ("body", "header", "reason", "html"):
        return "" if seen.status == failure.status else "has another status"
    if seen.status != 502:
        return "has another status"
    is_ours = failure.status in (401, 402, 403)
    return "" if is_ours or message in FIXED else "has other words"


def test_promise_07_no_failure_is_charged_for_its_words(live: Live, key: Key, storm: list[Told]):
    """What was told to have failed is free, what is unknown is held; charged is what was produced."""
    account = live.settled(f"tenant:{key.tenant_id}")
    assert account.pending_nano_usd == account.quarantined_nano_usd
    charged = 0
    for told in storm:
        cost = told.seen.headers.get("x-tollgate-cost-usd")
        if told.seen.status != 200:
            assert cost == "0" or (cost is None and told.failure.status < 300), str(told)
            continue
        receipt = live.receipt(key, told.seen.headers["x-tollgate-trace-id"]).json()
        charged += receipt.get("cost_nano_usd", 0)
        assert receipt["charge_reason"].startswith(("produced_before_failure", "quarantined_"))
    assert charged == account.posted_nano_usd


def test_trust_15_promise_14_no_sink_holds_a_canary(live: Live, storm: list[Told]):
    """No log, metric, table, Redis key, WORM file or environment has key or canary."""
    assert len(storm) == 2 * len(CASES)
    words = {f"upstream's word {n}": word for n, word in enumerate((*ABOUT_UPSTREAM, *ABOUT_AWS))}
    needles = {"the provider's key": live.provider_key, "the canary": CANARY, **words}
    assert [] == observe.holding(live, needles)
