"""One call's refusal is not everybody's: what of it puts a shared key to rest, and what does not."""

import json
from email.utils import formatdate

import pytest

from tests.contract.router import harness as h
from tests.contract.router.harness import end_of, fake_upstream, harness
from tests.contract.router.test_stored_responses import (
    PATH,
    RESPONSE,
    RESPONSES,
    ask,
    body,
    serve,
)
from tests.contract.router.test_variants import MESSAGES, chat
from tests.unit.router.routing.test_refusal import NEVER
from tollgate.router.v1 import router_pb2
from tollgate_dialects.common.protocol import Protocol

pb = router_pb2
HOUR = "retry-after: 3600\r\n"
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "x"}], "usage": {"input_tokens": 10, "output_tokens": 5},
}  # fmt: skip


def busy(words: str) -> h.Script:
    error = {"type": "rate_limit_error", "message": words}
    return h.answer({"type": "error", "error": error}, 429, extra=HOUR)


@pytest.mark.parametrize("words", NEVER)
async def test_what_an_account_may_not_have_at_all_closes_nothing(tmp_path, words):
    """Told to its client as the 429 that it is, once; the key serves everybody else."""
    long = "x" * 30_000
    async with fake_upstream() as up, fake_upstream() as other, harness(tmp_path) as router:
        up.scripts["m"] = lambda: (
            busy(words) if long.encode() in up.seen[-1].body else h.answer(MESSAGE)
        )
        await router.provide(up.url, other.url, protocol=Protocol.ANTHROPIC_MESSAGES)
        said = chat(messages=[{"role": "user", "content": long}])
        told = end_of(await router.call(**MESSAGES, body=said))
        error = told.upstream_error
        assert (429, words, 1) == (error.http_status, error.scrubbed_message, told.attempts)
        ordinary = end_of(await router.call(**MESSAGES, body=chat()))
        assert (pb.END_REASON_COMPLETED, 1) == (ordinary.reason, ordinary.attempts)
        assert (2, 0) == (len(up.seen), len(other.seen))


@pytest.mark.parametrize(
    ("protocol", "asked", "member", "whole"),
    [
        (Protocol.OPENAI_CHAT, {}, {"service_tier": "flex"}, h.ANSWER),
        (Protocol.OPENAI_CHAT, {}, {"service_tier": "priority"}, h.ANSWER),
        (Protocol.ANTHROPIC_MESSAGES, MESSAGES, {"speed": "fast"}, MESSAGE),
    ],
)
async def test_a_full_way_of_serving_closes_the_key_for_itself_alone(
    tmp_path, protocol, asked, member, whole
):
    """Another tenant's ordinary call is served; the full way is not asked again before its time."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        way = json.dumps(*member.values()).encode()
        up.scripts["m"] = lambda: busy("x") if way in up.seen[-1].body else h.answer(whole)
        factors = {"flex_permille": 500, "priority_permille": 2_000, "fast_permille": 2_000}
        await router.provide(up.url, protocol=protocol, **factors)
        assert (
            429
            == end_of(await router.call(**asked, body=chat(**member))).upstream_error.http_status
        )
        token = router.token(tenant_id="tenant-b")
        other = await router.call(
            **asked, body=chat(), tenant_id="tenant-b", reservation_token=token
        )
        assert pb.END_REASON_COMPLETED == end_of(other).reason
        # The ordinary one's success forgives the other nothing.
        again = end_of(await router.call(**asked, body=chat(**member)))
        assert (429, 0) == (again.upstream_error.http_status, again.attempts)
        assert 2 == len(up.seen)


async def test_a_date_to_wait_for_is_kept_to(tmp_path):
    """As seconds are: the client is told it, and the upstream is not asked before."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        date = formatdate(router.clock.unix_ms() / 1000 + 120, usegmt=True)
        up.scripts["m"] = h.answer({}, 429, extra=f"retry-after: {date}\r\n")
        await router.provide(up.url)
        for _ in range(2):
            error = end_of(await router.call()).upstream_error
            assert 100 < error.retry_after.seconds <= 120
        assert 1 == len(up.seen)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
async def test_what_is_answered_about_a_stored_response_closes_nothing_to_calls(tmp_path, status):
    """Its rates and its scopes are others; what has to wait is not asked, so nothing opens it."""
    async with fake_upstream() as up, fake_upstream() as other, harness(tmp_path) as router:
        await serve(router, up)
        await router.call(**RESPONSES, body=body())
        other.scripts["up"] = h.answer({**RESPONSE, "id": "resp_2"})
        await router.provide(
            up.url, other.url, protocol=Protocol.OPENAI_RESPONSES, upstream_model="up"
        )
        up.scripts[PATH] = h.answer({}, status, extra=HOUR)
        answer = await ask(router, pb.STORED_ACTION_RETRIEVE)
        assert status == answer.upstream_error.http_status
        assert bool(router.logged("provider_key.refused")) is (status in {401, 403})
        (message,) = await router.call(**RESPONSES, body=body())
        assert ("p0", 1) == (message.route.provider, message.end.attempts)

        up.scripts |= {"up": h.answer({}, 429, extra=HOUR), PATH: h.answer(RESPONSE)}
        await router.call(**RESPONSES, body=body())
        asked = len(up.seen)
        error = (await ask(router, pb.STORED_ACTION_RETRIEVE)).upstream_error
        assert (asked, 429, "rate_limited") == (len(up.seen), error.http_status, error.code)
        assert error.retry_after.seconds > 200
        (message,) = await router.call(**RESPONSES, body=body())
        assert ("p1", 1) == (message.route.provider, message.end.attempts)
