"""An upstream that sends its own key back in two pieces, for whoever joins them."""

import json

import pytest

from tests.contract.router import harness as h
from tests.contract.router.harness import end_of, fake_upstream, harness
from tollgate.router.v1 import router_pb2

pb = router_pb2
PIECES = (f"{h.KEY}-0-0"[:14], f"{h.KEY}-0-0"[14:])
ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
CLIENTS = {
    pb.CLIENT_PROTOCOL_OPENAI_CHAT: {**ASKED, "max_tokens": 100},
    pb.CLIENT_PROTOCOL_ANTHROPIC_MESSAGES: {**ASKED, "max_tokens": 100},
    pb.CLIENT_PROTOCOL_OPENAI_RESPONSES: {"model": "m", "input": "hi", "max_output_tokens": 100},
    pb.CLIENT_PROTOCOL_GEMINI: {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {"maxOutputTokens": 100},
    },
    pb.CLIENT_PROTOCOL_DASHSCOPE: {
        "model": "m",
        "input": {"messages": ASKED["messages"]},
        "parameters": {"max_tokens": 100, "result_format": "message"},
    },
}
TRANSLATED = [client for client in CLIENTS if client != pb.CLIENT_PROTOCOL_OPENAI_CHAT]


def whole():
    """A chat's answer, in parts as some vendors write it."""
    parts = [{"type": "text", "text": piece} for piece in PIECES]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": parts},
        "finish_reason": "stop",
    }
    body = {"id": "c", "object": "chat.completion", "choices": [choice], "usage": h.USAGE}
    return h.answer(body)


def streamed(*, at_once):
    """The same as a stream; at_once: in one read."""
    chunks = [
        {
            "id": "c",
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": delta, "finish_reason": stop}],
            **({"usage": h.USAGE} if stop else {}),
        }
        for delta, stop in (*(({"content": piece}, None) for piece in PIECES), ({}, "stop"))
    ]
    frames = [*map(h.frame, chunks), h.DONE]
    written = [b"".join(frames)] if at_once else frames
    return [h.sse_head(), *map(h.chunk, written), h.END_CHUNK]


async def told(tmp_path, client, script, *, stream):
    """What the client of a protocol is told, and the end."""
    asked = CLIENTS[client]
    if stream and client not in (pb.CLIENT_PROTOCOL_GEMINI, pb.CLIENT_PROTOCOL_DASHSCOPE):
        asked = {**asked, "stream": True}
    async with fake_upstream() as upstream, harness(tmp_path) as router:
        upstream.script = lambda _path, _body: script
        await router.provide(upstream.url)
        messages = await router.call(
            client_protocol=client,
            client_wants_usage=client in TRANSLATED,
            stream=stream,
            body=json.dumps(asked).encode(),
            key_id="k",
            trace_id="0123456789abcdef0123456789abcdef",
        )
    return b"".join(message.data for message in messages), end_of(messages)


@pytest.mark.parametrize("client", CLIENTS, ids=pb.ClientProtocol.Name)
async def test_no_whole_answer_has_the_key_in_two_parts(tmp_path, client):
    """Translators join its texts, and so do clients; whether it is paid for nobody knows."""
    data, end = await told(tmp_path, client, whole(), stream=False)
    assert b"" == data
    assert pb.END_REASON_UPSTREAM_ERROR == end.reason
    assert end.is_unknown


@pytest.mark.parametrize("client", TRANSLATED, ids=pb.ClientProtocol.Name)
@pytest.mark.parametrize("at_once", [True, False])
async def test_no_translated_stream_has_the_last_piece_of_the_key(tmp_path, client, at_once):
    """With it the client would have the whole, in a frame that repeats the text or by itself."""
    data, end = await told(tmp_path, client, streamed(at_once=at_once), stream=True)
    assert PIECES[1].encode() not in data
    assert pb.END_REASON_UPSTREAM_ERROR == end.reason
