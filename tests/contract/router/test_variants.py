"""Other ways of serving: what router sends of them, what it charges, and whom it does not ask."""

import json

import pytest

from tests.contract.router import harness as h
from tests.contract.router.harness import end_of, fake_upstream, harness
from tollgate.router.v1 import router_pb2
from tollgate_dialects.common.protocol import Protocol
from tollgate_kit.rpc.failure import Failure

pb = router_pb2
MESSAGES = {
    "client_protocol": pb.CLIENT_PROTOCOL_ANTHROPIC_MESSAGES, "client_wants_usage": True,
}  # fmt: skip
FACTORS = {"flex_permille": 500, "priority_permille": 2_000, "us_permille": 1_100}
# 10 x 1 in, 5 x 2 out, in micro-USD.
TOKENS_NANO_USD = 20_000


def chat(**members: object) -> bytes:
    said = [{"role": "user", "content": "hi"}]
    return json.dumps({"model": "m", "max_tokens": 100, "messages": said, **members}).encode()


async def test_a_stream_is_charged_as_its_chunks_say(tmp_path):
    """The tier stands in chunks before the report; without a word the dearest is charged."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await router.provide(up.url, **FACTORS)
        for told, cost in (("priority", 40_000), ("default", 20_000), (None, 40_000)):
            said = {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]}
            tier = {} if told is None else {"service_tier": told}
            frame = b"data: " + json.dumps({**said, **tier}).encode() + b"\n\n"
            frames = (frame, h.USAGE_FRAME, h.DONE)
            up.scripts["m"] = [h.sse_head(), *map(h.chunk, frames), h.END_CHUNK]
            end = end_of(
                await router.call(body=chat(stream=True, service_tier="priority"), stream=True)
            )
            factor_ppm = 2_000_000 if cost > TOKENS_NANO_USD else 0
            assert (cost, factor_ppm) == (end.cost_nano_usd, end.usage.factor_ppm)


async def test_a_reservation_without_the_factor_opens_nothing(tmp_path):
    """An edge is not believed: what was reserved must cover the dearest way."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer()
        await router.provide(up.url, **FACTORS)
        ordinary = router.token(amount_nano_usd=1_500_000)
        assert await router.call(body=chat(), reservation_token=ordinary)
        up.seen.clear()
        short = router.token(amount_nano_usd=1_500_000)
        with pytest.raises(Failure, match="RESERVATION_REFUSED"):
            await router.call(body=chat(service_tier="priority"), reservation_token=short)
        unpriced = chat(service_tier="flex")
        await router.provide(up.url, priority_permille=2_000)
        with pytest.raises(Failure, match="INVALID_FIELD"):
            await router.call(body=unpriced)
        assert not up.seen


async def test_no_other_vendor_is_asked_where_inference_has_to_run_somewhere(tmp_path):
    """A tier is left out and named elsewhere, and costs nothing there; a country is not."""
    message = {"type": "message", "content": [{"type": "text", "text": "x"}],
               "usage": {"input_tokens": 10, "output_tokens": 5}}  # fmt: skip
    async with fake_upstream() as up, harness(tmp_path) as router:
        failing = h.answer({"error": {}}, 503)
        up.scripts = {"m": failing, "other": h.answer()}
        # The first of these gives its name to the one that fails; then the second is asked.
        await router.provide(up.url, up.url, upstream_model="other", **FACTORS)
        await router.provide(up.url, protocol=Protocol.ANTHROPIC_MESSAGES, keep=True, **FACTORS)
        assert (
            h.ANSWER["usage"]["prompt_tokens"]
            == end_of(await router.call(**MESSAGES, body=chat())).usage.input_tokens
        )
        assert "other" == json.loads(up.seen[-1].body)["model"]
        up.seen.clear()
        await router.call(**MESSAGES, body=chat(inference_geo="us"))
        assert "other" not in [json.loads(request.body)["model"] for request in up.seen]

        up.scripts = {"m": failing, "other": h.answer(message)}
        anthropic = {"protocol": Protocol.ANTHROPIC_MESSAGES, "upstream_model": "other"}
        await router.provide(up.url, up.url, **anthropic, **FACTORS)
        await router.provide(up.url, keep=True, **FACTORS)
        messages = await router.call(body=chat(service_tier="flex"))
        assert ["service_tier"] == list(messages[0].head.dropped)
        # Priority would be charged where the upstream says nothing: this one was not asked for it.
        ends = [end_of(messages), end_of(await router.call(body=chat(service_tier="fast")))]
        assert [TOKENS_NANO_USD] * 2 == [end.cost_nano_usd for end in ends]


async def test_who_speaks_another_protocol_alone_is_not_asked_for_a_country(tmp_path):
    """Nobody there can promise it: refused before anybody is asked."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await router.provide(up.url, **FACTORS)
        with pytest.raises(Failure):
            await router.call(**MESSAGES, body=chat(inference_geo="us"))
        assert not up.seen
