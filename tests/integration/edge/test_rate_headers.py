"""What is left of a key's rates, on the wire: a real edge with scripted services behind it."""

import datetime as dt

from tests.fakes.edge import (
    ANTHROPIC_EVENTS,
    KEY,
    MESSAGES,
    OPENAI_EVENTS,
    OTHER_KEY,
    end,
    play,
    route,
    running,
    stream_of,
)
from tollgate.authz.v1 import authz_pb2
from tollgate.budget.v1 import budget_pb2
from tollgate.router.v1 import router_pb2
from tollgate_kit.clock import SystemClock

RPM, TPM = authz_pb2.RATE_UNIT_REQUESTS, authz_pb2.RATE_UNIT_TOKENS
# Two of requests, one of tokens; their names are nobody's business.
LIMITS = (("key:secret-k1:requests", RPM, 60), ("tenant:secret-t1:requests", RPM, 600))
TOKENS = (("key:secret-k1:tokens", TPM, 9_000),)


def grant(edge, *limits):
    edge.authz.grant(
        KEY,
        rate_limits=[
            authz_pb2.RateLimit(bucket=name, unit=unit, burst=n, count=n, period_ms=60_000)
            for name, unit, n in limits
        ],
    )


def left(*pairs):
    return [budget_pb2.RateLeft(remaining=n, full_after_ms=ms) for n, ms in pairs]


def told(answer, vendor=""):
    """The headers of rates, which name no bucket, nor whose it is."""
    assert "secret" not in str(answer.headers)
    found = {name: text for name, text in answer.headers.items() if "ratelimit" in name}
    assert all(vendor in name for name in found)
    return found


async def test_the_strictest_limit_is_told_in_the_words_of_openai(mesh):
    """Of two limits of requests the one that leaves less; a stream's head has the same."""
    async with running(mesh) as edge:
        grant(edge, *LIMITS, *TOKENS)
        edge.budget.rates_left = left((59, 1_000), (7, 59_300), (8_980, 120))
        expected = {
            "x-ratelimit-limit-requests": "600",
            "x-ratelimit-remaining-requests": "7",
            "x-ratelimit-reset-requests": "59.3s",
            "x-ratelimit-limit-tokens": "9000",
            "x-ratelimit-remaining-tokens": "8980",
            "x-ratelimit-reset-tokens": "120ms",
        }
        assert expected == told(await edge.post())
        edge.script(stream_of(OPENAI_EVENTS))
        assert expected == told(await edge.post(stream=True))


async def test_the_same_in_the_words_of_anthropic(mesh):
    """When it is full again, in UTC; a key without a rate of tokens is told nothing of them."""
    async with running(mesh) as edge:
        grant(edge, *LIMITS)
        edge.budget.rates_left = left((3, 57_000), (590, 1_000))
        edge.script(stream_of(ANTHROPIC_EVENTS))
        began_at = SystemClock().unix_ms() / 1000
        answer = await edge.post(MESSAGES, stream=True)
        found = told(answer, "anthropic-ratelimit-requests-")
        reset = dt.datetime.fromisoformat(found.pop("anthropic-ratelimit-requests-reset"))
        assert began_at + 57 <= reset.timestamp() < SystemClock().unix_ms() / 1000 + 58
        assert {
            "anthropic-ratelimit-requests-limit": "60",
            "anthropic-ratelimit-requests-remaining": "3",
        } == found


async def test_who_is_refused_for_a_rate_is_told_how_it_stands(mesh):
    """429 with retry-after, and all limits of the key beside the one that refused."""
    async with running(mesh) as edge:
        grant(edge, *LIMITS[:1], *TOKENS)
        edge.budget.denial = budget_pb2.Denial(
            reason=budget_pb2.DENIAL_REASON_RATE_LIMITED, subject=LIMITS[0][0]
        )
        edge.budget.denial.retry_after.seconds = 1
        edge.budget.rates_left = left((0, 60_000), (9_000, 0))
        answer = await edge.post()
        assert (429, "2") == (answer.status_code, answer.headers["retry-after"])
        assert {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "1m0s",
            "x-ratelimit-limit-tokens": "9000",
            "x-ratelimit-remaining-tokens": "9000",
            "x-ratelimit-reset-tokens": "0s",
        } == told(answer)


async def test_a_call_that_failed_upstream_is_told_of_our_limits_alone(mesh):
    """The call was made and counted; who has no limit, or no such headers, reads of none."""
    async with running(mesh) as edge:
        edge.script(
            play(route(), end(router_pb2.END_REASON_UPSTREAM_ERROR, cost=0, http_status=429))
        )
        assert {} == told(await edge.post(key=OTHER_KEY))
        grant(edge, *LIMITS[:1])
        edge.budget.rates_left = left((59, 1_000))
        answer = await edge.post()
        assert (429, "59") == (answer.status_code, told(answer)["x-ratelimit-remaining-requests"])
        gemini = await edge.client.post(
            f"{edge.url}/v1beta/models/m-gemini:generateContent",
            json={"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
            headers={"x-goog-api-key": KEY},
        )
        assert (429, {}) == (gemini.status_code, told(gemini))
        # Money was refused: the rates were given back, and what they were is no news.
        edge.budget.denial = budget_pb2.Denial(
            reason=budget_pb2.DENIAL_REASON_BUDGET_EXHAUSTED, subject="key:k1"
        )
        edge.budget.rates_left = []
        refused = await edge.post()
        assert (402, {}) == (refused.status_code, told(refused))


async def test_a_budget_of_before_tells_nothing(mesh):
    """While replicas are exchanged: no figures, no headers, no harm."""
    async with running(mesh) as edge:
        grant(edge, *LIMITS)
        answer = await edge.post()
        assert (200, {}) == (answer.status_code, told(answer))
