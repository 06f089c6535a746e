"""Inputs that once failed, through a router's insides and a scripted upstream."""

import json

import pytest

from tests.contract.router import harness as h
from tests.contract.router.harness import end_of, fake_upstream, harness
from tollgate.router.v1 import router_pb2 as pb
from tollgate_kit.rpc.failure import Failure


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "application/octet"])
async def test_case_P3_a_stream_is_known_by_its_bytes(tmp_path, content_type):
    """Valid events pass whatever the content type says; an answer that is none is a fault."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        head = h.sse_head().replace(b"text/event-stream", content_type.encode())
        frames = h.openai_frame("hi") + h.USAGE_FRAME + h.DONE
        up.scripts["m"] = [head + h.chunk(frames) + h.END_CHUNK]
        await router.provide(up.url)
        messages = await router.call(stream=True)
        assert pb.END_REASON_COMPLETED == end_of(messages).reason
        up.scripts["m"] = h.answer()
        end = end_of(await router.call(stream=True))
        assert (pb.END_REASON_UPSTREAM_ERROR, True) == (end.reason, end.is_unknown)


@pytest.mark.parametrize("stream", [False, True])
async def test_case_R1_the_upstreams_key_is_found_in_escapes(tmp_path, stream):
    """A client reads an escaped key as well: the answer is withheld, its end unknown."""
    escaped = "".join(f"\\u{ord(c):04x}" for c in f"{h.KEY}-0-0")
    async with fake_upstream() as up, harness(tmp_path) as router:
        if stream:
            frame = h.openai_frame("CANARY").replace(b"CANARY", escaped.encode())
            up.scripts["m"] = [h.sse_head() + h.chunk(frame + h.USAGE_FRAME + h.DONE) + h.END_CHUNK]
        else:
            body = json.dumps({**h.ANSWER, "id": "CANARY"}).replace("CANARY", escaped)
            up.scripts["m"] = [h.http(200, body.encode())]
        await router.provide(up.url)
        messages = await router.call(stream=stream)
        assert (pb.END_REASON_UPSTREAM_ERROR, True) == (
            end_of(messages).reason, end_of(messages).is_unknown,
        )  # fmt: skip
        assert b"\\u0073" not in b"".join(m.data for m in messages)


async def test_case_M7_a_stream_is_not_cut_after_its_final_usage(tmp_path):
    """5,000 tokens are reported where 100 were asked for: the end arrives, the truth is charged."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        usage = {"prompt_tokens": 10, "completion_tokens": 5_000, "total_tokens": 5_010}
        report = {"choices": [], "usage": usage}
        up.scripts["m"] = [
            h.sse_head() + h.chunk(h.openai_frame("hi")),
            h.Pause(0.05),
            h.chunk(b"data: %b\n\n" % json.dumps(last).encode()),
            h.Pause(0.05),
            h.chunk(b"data: %b\n\n" % json.dumps(report).encode()),
            h.Pause(0.05),
            h.chunk(h.DONE) + h.END_CHUNK,
        ]
        await router.provide(up.url)
        messages = await router.call(
            stream=True, reservation_token=router.token(amount_nano_usd=1_300_000)
        )
        end = end_of(messages)
        assert (pb.END_REASON_COMPLETED, 10 * 1_000 + 5_000 * 2_000) == (
            end.reason, end.cost_nano_usd,
        )  # fmt: skip
        assert b"".join(m.data for m in messages).endswith(h.DONE)


@pytest.mark.parametrize("field", ["stream", "client_wants_usage"])
async def test_case_M4_an_edge_that_says_what_the_body_does_not_is_refused(tmp_path, field):
    """What is sent and metered is what the body says; a request that denies it contacts nobody."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await router.provide(up.url)
        with pytest.raises(Failure) as refused:
            await router.call(body=router.request().body, **{field: True})
        assert ("INVALID_FIELD", field) == (
            refused.value.reason, refused.value.metadata["field"]
        )  # fmt: skip
        assert [] == up.seen
