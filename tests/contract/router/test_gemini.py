"""Upstreams that speak as Google does: where they are called, what passes, what is charged."""

import asyncio
import dataclasses
import json

from tests.contract.router import harness as h
from tests.contract.router.harness import end_of, fake_upstream, harness
from tollgate.router.v1 import router_pb2
from tollgate_dialects.common.protocol import Protocol

pb = router_pb2
GEMINI = pb.CLIENT_PROTOCOL_GEMINI
MESSAGES = pb.CLIENT_PROTOCOL_ANTHROPIC_MESSAGES
USAGE = {
    "promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 2,
    "thoughtsTokenCount": 3, "totalTokenCount": 15,
}  # fmt: skip
# 6 + 4 x 0.1 in, 5 x 2 out, in micro-USD.
NANO_USD = 16_400


def said(text: str, reason: str | None = "STOP", **members: object) -> dict:
    candidate: dict = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], **members}


def stream(*documents: object) -> list:
    frames = b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in documents)
    return [h.sse_head(), h.chunk(frames), h.END_CHUNK]


def asked(**members: object) -> bytes:
    contents = [{"role": "user", "parts": [{"text": "hi"}]}]
    return json.dumps({"contents": contents, **members}).encode()


async def call(router, **changes: object) -> list:
    return await router.call(client_protocol=GEMINI, client_wants_usage=True, **changes)


def told(messages: list) -> bytes:
    return b"".join(message.data for message in messages)


async def test_a_call_goes_to_the_path_of_its_model(tmp_path):
    """The client's bytes but for the limit; the key in Google's header; the answer as it came."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["real"] = h.answer(said("hi", usageMetadata=USAGE))
        await router.provide(up.url, protocol=Protocol.GEMINI, upstream_model="real")
        body = asked(model="models/m", generation_config={"top_k": 3})
        messages = await call(router, body=body)
        (sent,) = up.seen
        assert "/v1/models/real:generateContent" == sent.path
        assert f"{h.KEY}-0-0" == sent.headers["x-goog-api-key"]
        assert "authorization" not in sent.headers
        expected = json.loads(asked(generation_config={"top_k": 3, "maxOutputTokens": 100}))
        assert expected == json.loads(sent.body)
        assert said("hi", usageMetadata=USAGE) == json.loads(told(messages))
        end = end_of(messages)
        assert (pb.END_REASON_COMPLETED, NANO_USD) == (end.reason, end.cost_nano_usd)
        assert (6, 4, 5, 3) == (
            end.usage.input_tokens, end.usage.cache_read_tokens, end.usage.output_tokens,
            end.usage.reasoning_tokens,
        )  # fmt: skip


async def test_usage_behind_the_end_is_charged(tmp_path):
    """The last chunks pass together when the upstream has closed."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        chunks = (said("hi", None), said("!"), {"usageMetadata": USAGE})
        up.scripts["m"] = stream(*chunks)
        await router.provide(up.url, protocol=Protocol.GEMINI)
        messages = await call(router, body=asked(), stream=True)
        (sent,) = up.seen
        assert "/v1/models/m:streamGenerateContent?alt=sse" == sent.path
        frames = told(messages).decode().strip().split("\n\n")
        assert list(chunks) == [json.loads(frame.removeprefix("data: ")) for frame in frames]
        end = end_of(messages)
        assert (pb.END_REASON_COMPLETED, NANO_USD) == (end.reason, end.cost_nano_usd)


async def test_a_stream_that_breaks_off_is_an_error(tmp_path):
    """Nothing is made up for the end; what it did, nobody knows: its reservation stays counted."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        chunks = stream(said("hi", None, usageMetadata=USAGE))
        up.scripts["m"] = [*chunks[:-1], h.Reset()]
        await router.provide(up.url, protocol=Protocol.GEMINI)
        messages = await call(router, body=asked(), stream=True)
        end = end_of(messages)
        assert (pb.END_REASON_UPSTREAM_ERROR, True) == (end.reason, end.is_unknown)
        assert b"finishReason" not in told(messages)


async def test_a_wrong_key_of_ours_is_not_the_clients_fault(tmp_path):
    """Google says 400 of it: the next key is asked, and the operator is told."""
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    error = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT",
             "details": [info]}  # fmt: skip
    scripts = iter([h.answer({"error": error}, 400), h.answer(said("hi", usageMetadata=USAGE))])
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = lambda: next(scripts)
        await router.provide(up.url, protocol=Protocol.GEMINI, keys_each=2)
        messages = await call(router, body=asked())
        end = end_of(messages)
        assert (pb.END_REASON_COMPLETED, 2) == (end.reason, end.attempts)
        assert "provider_key.refused" in router.out.getvalue()


async def test_google_says_when_to_try_again(tmp_path):
    """In its error, not in a header."""
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}
    error = {"code": 429, "message": "Quota exceeded. Please retry in 34.4s.",
             "status": "RESOURCE_EXHAUSTED", "details": [info]}  # fmt: skip
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer({"error": error}, 429)
        await router.provide(up.url, protocol=Protocol.GEMINI)
        told_error = end_of(await call(router, body=asked())).upstream_error
        assert (429, "RESOURCE_EXHAUSTED") == (told_error.http_status, told_error.code)
        assert 34_400 == told_error.retry_after.ToMilliseconds()


async def test_what_others_have_signed_does_not_go_to_google(tmp_path):
    """A conversation with blocks that were wrapped here is written anew."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer(said("hi", usageMetadata=USAGE))
        await router.provide(up.url, protocol=Protocol.GEMINI)
        carried = "dGcxOmFudGhyb3BpYzpzaWduYXR1cmU6OkVxUSs="
        thought = {"text": "Hm.", "thought": True, "thoughtSignature": carried}
        contents = [
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": [thought, {"text": "Hello."}]},
            {"role": "user", "parts": [{"text": "again"}]},
        ]
        settings = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
        body = asked(contents=contents, safetySettings=settings)
        messages = await call(router, body=body)
        sent = json.loads(up.seen[0].body)
        assert [{"text": "Hello."}] == sent["contents"][1]["parts"]
        assert settings == sent["safetySettings"]
        head = next(message.head for message in messages if message.HasField("head"))
        assert ["thinking"] == list(head.dropped)


async def test_a_message_is_answered_by_google(tmp_path):
    """The path has the model's name at its provider; usage and cost are Google's."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["real"] = h.answer(said("hi", usageMetadata=USAGE))
        await router.provide(up.url, protocol=Protocol.GEMINI, upstream_model="real")
        messages = await router.call(client_protocol=MESSAGES, client_wants_usage=True)
        (sent,) = up.seen
        assert "/v1/models/real:generateContent" == sent.path
        answer = json.loads(told(messages))
        assert ("m", "hi") == (answer["model"], answer["content"][0]["text"])
        assert (6, 4, 5) == (
            answer["usage"]["input_tokens"], answer["usage"]["cache_read_input_tokens"],
            answer["usage"]["output_tokens"],
        )  # fmt: skip
        assert NANO_USD == end_of(messages).cost_nano_usd


async def test_a_complete_answer_waits_no_longer_than_the_idle_time(tmp_path):
    """Beats behind the answer do not lengthen the wait; what was said is passed and charged."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        final = b"data: %b\n\n" % json.dumps(said("hi", usageMetadata=USAGE)).encode()
        beats = [piece for _ in range(50) for piece in (h.Pause(0.2), h.chunk(b": beat\n\n"))]
        up.scripts["m"] = [h.sse_head(), h.chunk(final), *beats, h.END_CHUNK]
        await router.provide(up.url, protocol=Protocol.GEMINI)
        async with asyncio.timeout(2):
            messages = await call(router, body=asked(), stream=True)
        assert (final, pb.END_REASON_COMPLETED) == (told(messages), end_of(messages).reason)
        assert NANO_USD == end_of(messages).cost_nano_usd


async def test_an_answer_that_goes_on_behind_an_early_end_is_told_whole(tmp_path):
    """Gemini says STOP and pauses: the stream ends when the upstream ends it."""
    slow = dataclasses.replace(h.FAST, idle_ms=2_600, total_ms=9_000)
    async with fake_upstream() as up, harness(tmp_path, upstream=slow) as router:
        chunks = [said("hi", usageMetadata=USAGE), said(" there", usageMetadata=USAGE)]
        frames = [b"data: %b\n\n" % json.dumps(one).encode() for one in chunks]
        up.scripts["m"] = [
            h.sse_head(), h.chunk(frames[0]), h.Pause(2.2), h.chunk(frames[1]), h.END_CHUNK,
        ]  # fmt: skip
        await router.provide(up.url, protocol=Protocol.GEMINI)
        messages = await call(router, body=asked(), stream=True)
        assert (b"".join(frames), pb.END_REASON_COMPLETED) == (
            told(messages), end_of(messages).reason,
        )  # fmt: skip


async def test_vertex_is_sent_no_names_of_calls(tmp_path):
    """AI Studio gets the client's bytes; Vertex, which refuses `id`, results as its calls stand."""
    calls = [{"functionCall": {"id": f"c{n}", "name": "f", "args": {"id": n}}} for n in (1, 2)]
    results = [
        {"function_response": {"id": f"c{n}", "name": "f", "response": {"id": n}}} for n in (2, 1)
    ]
    body = asked(contents=[{"role": "user", "parts": [{"text": "hi"}]},
                           {"role": "model", "parts": calls},
                           {"role": "user", "parts": results}])  # fmt: skip
    for path in ("", "/v1/publishers/google"):
        (home := tmp_path / f"at{len(path)}").mkdir()
        async with fake_upstream() as up, harness(home) as router:
            up.scripts["m"] = h.answer(said("hi", usageMetadata=USAGE))
            await router.provide(up.url.removesuffix("/v1") + path, protocol=Protocol.GEMINI)
            await call(router, body=body)
            contents = json.loads(up.seen[0].body)["contents"]
        if not path:
            assert json.loads(body)["contents"] == contents
            continue
        assert [{"id": 1}, {"id": 2}] == [p["functionCall"]["args"] for p in contents[1]["parts"]]
        assert [{"id": 1}, {"id": 2}] == [
            part["function_response"]["response"] for part in contents[2]["parts"]
        ]
        assert not any(
            "id" in held for c in contents[1:] for p in c["parts"] for held in p.values()
        )
