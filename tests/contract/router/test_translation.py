"""A client's protocol and an upstream's are two: what router sends, tells, charges and refuses."""

import dataclasses
import json

import pytest

from tests.contract.router import harness as h
from tests.contract.router.harness import end_of, fake_upstream, harness
from tollgate.router.v1 import router_pb2
from tollgate_dialects.common.protocol import Protocol

pb = router_pb2
CHAT = pb.CLIENT_PROTOCOL_OPENAI_CHAT
MESSAGES = pb.CLIENT_PROTOCOL_ANTHROPIC_MESSAGES
MESSAGE_USAGE = {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 4}
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn", "stop_sequence": None, "usage": MESSAGE_USAGE,
}  # fmt: skip
# 10 + 4 x 0.1 in, 5 x 2 out, in micro-USD.
MESSAGE_NANO_USD = 20_400


def event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def message_stream(*texts: str) -> bytes:
    start = {**MESSAGE, "content": [], "stop_reason": None, "usage": MESSAGE_USAGE}
    return b"".join(
        (
            event("message_start", message=start),
            event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
            *(
                event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
                for text in texts
            ),
            event("content_block_stop", index=0),
            event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5}),
            event("message_stop"),
        )
    )


def asked(**changes: object) -> bytes:
    body = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
    return json.dumps({**body, **changes}).encode()


def documents(messages) -> list[dict]:
    data = b"".join(message.data for message in messages)
    lines = [line[6:] for line in data.decode().split("\n") if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


async def test_a_chat_is_answered_by_an_upstream_of_messages(tmp_path):
    """The upstream reads a message, the client a completion; usage and cost are the upstream's."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer(MESSAGE)
        await router.provide(up.url, protocol=Protocol.ANTHROPIC_MESSAGES)
        messages = await router.call()
        (sent,) = up.seen
        assert "/v1/messages" == sent.path
        assert {"role": "user", "content": "hi"} == _plain(json.loads(sent.body)["messages"][0])
        answer = json.loads(b"".join(message.data for message in messages))
        assert ("chat.completion", "hi", "stop") == (
            answer["object"],
            answer["choices"][0]["message"]["content"],
            answer["choices"][0]["finish_reason"],
        )
        usage = answer["usage"]
        assert (14, 4, 5) == (
            usage["prompt_tokens"],
            usage["prompt_tokens_details"]["cached_tokens"],
            usage["completion_tokens"],
        )
        end = end_of(messages)
        assert (pb.END_REASON_COMPLETED, MESSAGE_NANO_USD) == (end.reason, end.cost_nano_usd)


async def test_a_message_is_answered_by_an_upstream_of_chats(tmp_path):
    """The other way round, and what a chat cannot carry is named."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer()
        await router.provide(up.url)
        body = asked(system="be brief", top_k=5)
        messages = await router.call(client_protocol=MESSAGES, client_wants_usage=True, body=body)
        sent = json.loads(up.seen[0].body)
        assert ["system", "user"] == [each["role"] for each in sent["messages"]]
        answer = json.loads(b"".join(message.data for message in messages))
        assert ("message", "hi", "end_turn") == (
            answer["type"], answer["content"][0]["text"], answer["stop_reason"]
        )  # fmt: skip
        assert (10, 5) == (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"])
        (head,) = [message.head for message in messages if message.HasField("head")]
        assert ["top_k"] == list(head.dropped)


async def test_a_stream_is_told_event_by_event(tmp_path):
    """Text passes as it comes, the usage that is told is the one that is charged, the end is last."""
    stream = message_stream("one ", "two")
    half = stream.index(b"two") - 60
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = [
            h.sse_head() + h.chunk(stream[:half]), h.Pause(0.05), h.chunk(stream[half:]), h.END_CHUNK
        ]  # fmt: skip
        await router.provide(up.url, protocol=Protocol.ANTHROPIC_MESSAGES)
        body = asked(stream=True, stream_options={"include_usage": True})
        messages = await router.call(stream=True, client_wants_usage=True, body=body)
        assert b"one" in b"".join(message.data for message in messages[:-1])
        chunks = documents(messages)
        words = [each["choices"][0]["delta"].get("content") for each in chunks if each["choices"]]
        assert "one two" == "".join(word for word in words if word)
        assert (14, 5) == (
            chunks[-1]["usage"]["prompt_tokens"], chunks[-1]["usage"]["completion_tokens"]
        )  # fmt: skip
        assert messages[-1].data.endswith(h.DONE)
        assert MESSAGE_NANO_USD == end_of(messages).cost_nano_usd


async def test_usage_is_told_only_to_who_asked_for_it(tmp_path):
    """The upstream is asked for it all the same: calls are charged by it."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = [h.sse_head() + h.chunk(message_stream("one")) + h.END_CHUNK]
        await router.provide(up.url, protocol=Protocol.ANTHROPIC_MESSAGES)
        messages = await router.call(stream=True)
        assert not any(each.get("usage") for each in documents(messages))
        assert MESSAGE_NANO_USD == end_of(messages).cost_nano_usd


async def test_an_upstream_that_speaks_the_clients_protocol_is_asked_first(tmp_path):
    """It gets the client's bytes; one of another protocol is the fallback, wherever it stands."""
    async with fake_upstream() as foreign, fake_upstream() as own, harness(tmp_path) as router:
        foreign.scripts["m"] = h.answer(MESSAGE)
        own.scripts["m"] = h.answer({}, 500)
        await router.provide(foreign.url, own.url)
        first, second = router.store.rows.providers
        first = dataclasses.replace(first, protocol=Protocol.ANTHROPIC_MESSAGES)
        router.store.put((first, second), router.store.rows.prices)
        await router.watch.refresh()
        messages = await router.call()
        assert (["/v1/chat/completions"], ["/v1/messages"]) == (
            [seen.path for seen in own.seen], [seen.path for seen in foreign.seen]
        )  # fmt: skip
        assert ("p0", 2) == (messages[-1].route.provider, end_of(messages).attempts)
        assert b"chat.completion" in messages[-1].data


async def test_what_was_reserved_must_cover_the_translation(tmp_path):
    """A token for the client's own protocol alone reaches no upstream of another."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer(MESSAGE)
        await router.provide(up.url, protocol=Protocol.ANTHROPIC_MESSAGES)
        token = router.token(input_tokens=1_000)
        messages = await router.call(reservation_token=token)
        assert (pb.END_REASON_NO_ROUTE, []) == (end_of(messages).reason, up.seen)


@pytest.mark.parametrize(
    ("changes", "param"),
    [({"n": 2}, "n"), ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "")],
)
async def test_what_the_upstream_has_no_words_for_is_refused_before_it_is_asked(
    tmp_path, changes, param
):
    """400 with the parameter's name; nobody was contacted and nothing is charged."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await router.provide(up.url, protocol=Protocol.ANTHROPIC_MESSAGES)
        end = end_of(await router.call(body=asked(**changes)))
        assert (400, 0, 0, False) == (
            end.upstream_error.http_status, end.attempts, end.cost_nano_usd, end.is_unknown
        )  # fmt: skip
        assert param in ("", end.upstream_error.param)
        assert [] == up.seen


@pytest.mark.parametrize(
    "frames",
    [
        message_stream("one")[:-60],
        event("message_start", message={**MESSAGE, "content": []}) + event("error", error={}),
        event("message_start", message={**MESSAGE, "content": []})
        + event("content_block_delta", index=0, delta={"type": "text_delta", "text": 7}),
    ],
)
async def test_a_stream_that_breaks_off_ends_without_the_clients_last_event(tmp_path, frames):
    """No [DONE]: the edge tells the client of the failure in its own protocol."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = [h.sse_head() + h.chunk(frames) + h.END_CHUNK]
        await router.provide(up.url, protocol=Protocol.ANTHROPIC_MESSAGES)
        messages = await router.call(stream=True)
        assert pb.END_REASON_UPSTREAM_ERROR == end_of(messages).reason
        assert h.DONE not in b"".join(message.data for message in messages)


async def test_no_header_of_the_clients_protocol_reaches_another(tmp_path):
    """Versions and betas are Anthropic's own words."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer()
        await router.provide(up.url)
        headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "a-1"}
        await router.call(
            client_protocol=MESSAGES,
            client_wants_usage=True,
            body=asked(),
            protocol_headers=headers,
        )
        assert not [name for name in up.seen[0].headers if name.startswith("anthropic")]


def _plain(turn: dict) -> dict:
    """A turn whose only part is a text, as the short form has it."""
    content = turn["content"]
    return {**turn, "content": content if isinstance(content, str) else content[0]["text"]}


CARRIED = {"type": "thinking", "thinking": "hm", "signature": "tg1:openai:encrypted:rs_1:gAAA"}


async def test_thinking_of_another_maker_never_reaches_anthropic(tmp_path):
    """Client and upstream both speak messages: it alone is left out, and named to the client."""
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [CARRIED, {"type": "text", "text": "a", "new": 1}]},
        {"role": "user", "content": "go on"},
    ]
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["claude-1"] = h.answer(MESSAGE)
        await router.provide(up.url, models=("claude-1",), protocol=Protocol.ANTHROPIC_MESSAGES)
        body = asked(model="claude-1", messages=turns, new_at_the_top=[1])
        messages = await router.call(
            model="claude-1", client_protocol=MESSAGES, client_wants_usage=True, body=body
        )
        sent = json.loads(up.seen[0].body)
        assert [{"type": "text", "text": "a", "new": 1}] == sent["messages"][1]["content"]
        assert [1] == sent["new_at_the_top"]
        (head,) = [message.head for message in messages if message.HasField("head")]
        assert ["thinking"] == list(head.dropped)
        assert MESSAGE == json.loads(b"".join(message.data for message in messages))


async def test_hosted_tools_alone_are_left_out_of_a_response(tmp_path):
    """As Codex declares them: all else is the client's, and the answer passes as it is."""
    body = {
        "model": "m", "input": "hi", "truncation": "auto", "max_output_tokens": 100,
        "tools": [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": {}}],
    }  # fmt: skip
    answer = {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m",
        "output": [], "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
    }  # fmt: skip
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer(answer)
        await router.provide(up.url, protocol=Protocol.OPENAI_RESPONSES)
        messages = await router.call(
            client_protocol=pb.CLIENT_PROTOCOL_OPENAI_RESPONSES,
            client_wants_usage=True,
            body=json.dumps(body).encode(),
        )
        assert {**body, "tools": body["tools"][1:]} == json.loads(up.seen[0].body)
        (head,) = [message.head for message in messages if message.HasField("head")]
        assert ["tools.web_search"] == list(head.dropped)
        assert answer == json.loads(b"".join(message.data for message in messages))


@pytest.mark.parametrize(
    ("protocol", "words", "code"),
    [
        (CHAT, "prompt is too long: 210000 tokens > 200000 maximum", "context_length_exceeded"),
        (CHAT, "max_tokens: must be at least 1", "invalid_request_error"),
        (MESSAGES, "prompt is too long: 210000 tokens > 200000 maximum", "invalid_request_error"),
    ],
)
async def test_a_prompt_that_is_too_long_is_told_in_the_clients_word(
    tmp_path, protocol, words, code
):
    """Clients shorten their conversation by that code; of the same protocol nothing is changed."""
    told = {"type": "error", "error": {"type": "invalid_request_error", "message": words}}
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer(told, status=400)
        await router.provide(up.url, protocol=Protocol.ANTHROPIC_MESSAGES)
        wants_usage = protocol == MESSAGES
        answers = await router.call(client_protocol=protocol, client_wants_usage=wants_usage)
        error = end_of(answers).upstream_error
        assert (400, words, code) == (error.http_status, error.scrubbed_message, error.code)
