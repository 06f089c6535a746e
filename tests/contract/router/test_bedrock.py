"""An upstream of Converse behind a client of chats or messages: what is signed, sent, told, charged."""

import json
import random

import pytest

from tests.contract.router import harness as h
from tests.contract.router.harness import end_of, fake_upstream, harness
from tests.unit.dialects.bedrock_converse import aws
from tollgate.router.v1 import router_pb2
from tollgate_dialects.common.protocol import Protocol
from tollgate_kit.rpc.failure import Failure
from tollgate_router.provider_test import Found, ProviderTest

pb = router_pb2
MESSAGES = pb.CLIENT_PROTOCOL_ANTHROPIC_MESSAGES
MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
KEY_ID, SECRET, TOKEN = "AKIDEXAMPLE000000", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "token/+="
ACCESS_KEY = f"{KEY_ID}:{SECRET}"
USAGE = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 19, "cacheReadInputTokens": 4}
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}},
    "stopReason": "end_turn",
    "usage": USAGE,
    "metrics": {"latencyMs": 1},
}
# 10 + 4 x 0.1 in, 5 x 2 out, in micro-USD.
NANO_USD = 20_400
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
STREAM = (
    aws.event("messageStart", role="assistant"),
    aws.text("one ", 0),
    aws.text("two", 0),
    aws.event("contentBlockStop", contentBlockIndex=0),
    aws.event("contentBlockStart", contentBlockIndex=1,
              start={"toolUse": {"toolUseId": "tooluse_1", "name": "f"}}),
    aws.event("contentBlockDelta", contentBlockIndex=1, delta={"toolUse": {"input": '{"a":'}}),
    aws.event("contentBlockDelta", contentBlockIndex=1, delta={"toolUse": {"input": "1}"}}),
    aws.event("contentBlockStop", contentBlockIndex=1),
    aws.end("tool_use", cacheReadInputTokens=4),
)  # fmt: skip


def streamed(raw: bytes, seed: int = 1) -> h.Script:
    """A stream in pieces of any size, as a network makes them."""
    dice, pieces, at = random.Random(seed), [HEAD], 0
    while at < len(raw):
        size = dice.randint(1, 60)
        pieces.append(h.chunk(raw[at : at + size]))
        at += size
    return [*pieces, h.END_CHUNK]


async def provide(router: h.Harness, up: h.FakeUpstream, key: str = ACCESS_KEY) -> None:
    url = up.url.removesuffix("/v1")
    await router.provide(url, protocol=Protocol.BEDROCK_CONVERSE, key=key, upstream_model=MODEL)


def documents(messages) -> list[dict]:
    data = b"".join(message.data for message in messages)
    lines = [line[6:] for line in data.decode().split("\n") if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def chat(**members: object) -> bytes:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    body = {
        "model": "m", "max_tokens": 100, "tools": tools,
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}],
    }  # fmt: skip
    return json.dumps({**body, **members}).encode()


def assert_signed(sent: h.Seen, port: int, token: str | None = None) -> None:
    """The signature is the one that AWS's SDK makes of what arrived."""
    url = f"https://127.0.0.1:{port}{sent.path}"
    now = sent.headers["x-amz-date"]
    theirs = aws.signed_by_the_sdk(url, sent.body, (KEY_ID, SECRET, token), "us-east-1", now)
    for name, value in theirs.items():
        assert value == sent.headers[name.lower()], name
    assert SECRET not in str(sent)


async def test_a_chat_is_answered_by_converse(tmp_path):
    """Signed for the bytes that arrive; the client reads a completion; the charge is Bedrock's."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts[MODEL] = h.answer(ANSWER)
        await provide(router, up)
        messages = await router.call(body=chat())
        (sent,) = up.seen
        assert f"/model/{MODEL.replace(':', '%3A')}/converse" == sent.path
        assert_signed(sent, up.port)
        document = json.loads(sent.body)
        aws.check_request(document)
        assert [{"text": "s"}] == document["system"]
        assert {"maxTokens": 100} == document["inferenceConfig"]
        answer = json.loads(b"".join(message.data for message in messages))
        assert ("chat.completion", "m", "hi", "stop") == (
            answer["object"], answer["model"],
            answer["choices"][0]["message"]["content"], answer["choices"][0]["finish_reason"],
        )  # fmt: skip
        usage = answer["usage"]
        assert (14, 4, 5) == (
            usage["prompt_tokens"],
            usage["prompt_tokens_details"]["cached_tokens"],
            usage["completion_tokens"],
        )
        end = end_of(messages)
        assert (pb.END_REASON_COMPLETED, NANO_USD) == (end.reason, end.cost_nano_usd)


@pytest.mark.parametrize("seed", range(3))
async def test_a_binary_stream_is_told_in_events(tmp_path, seed):
    """However the network cuts it: words, calls, usage and the last event, and none of its bytes."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts[MODEL] = streamed(b"".join(STREAM), seed)
        await provide(router, up)
        body = chat(stream=True, stream_options={"include_usage": True})
        messages = await router.call(stream=True, client_wants_usage=True, body=body)
        assert up.seen[0].path.endswith("/converse-stream")
        assert_signed(up.seen[0], up.port)
        chunks = documents(messages)
        deltas = [each["choices"][0]["delta"] for each in chunks if each["choices"]]
        assert "one two" == "".join(delta.get("content") or "" for delta in deltas)
        calls = [call for delta in deltas for call in delta.get("tool_calls") or ()]
        assert "tooluse_1" == calls[0]["id"]
        assert '{"a":1}' == "".join(call["function"]["arguments"] for call in calls)
        assert 14 == chunks[-1]["usage"]["prompt_tokens"]
        assert messages[-1].data.endswith(h.DONE)
        assert NANO_USD == end_of(messages).cost_nano_usd


async def test_text_passes_before_the_stream_has_ended(tmp_path):
    """A client waits for nothing but the message that it reads."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        first, rest = b"".join(STREAM[:2]), b"".join(STREAM[2:])
        up.scripts[MODEL] = [HEAD, h.chunk(first), h.Pause(0.05), h.chunk(rest), h.END_CHUNK]
        await provide(router, up)
        messages = await router.call(stream=True, body=chat(stream=True))
        assert b"one" in b"".join(message.data for message in messages[:-1])


async def test_a_message_is_answered_in_its_own_words(tmp_path):
    """A client of Anthropic's: thinking comes with its signature and goes back with it."""
    thought = {"reasoningText": {"text": "t", "signature": "sig=="}}
    content = [{"reasoningContent": thought}, {"text": "hi"}]
    answer = {**ANSWER, "output": {"message": {"role": "assistant", "content": content}}}
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts[MODEL] = h.answer(answer)
        await provide(router, up)
        said = [{"role": "user", "content": "hi"}]
        asked = {"model": "m", "max_tokens": 2_000, "messages": said}
        asked["thinking"] = {"type": "enabled", "budget_tokens": 1_024}
        call = {"client_protocol": MESSAGES, "client_wants_usage": True, "max_output_tokens": 2_000}
        messages = await router.call(**call, body=json.dumps(asked).encode())
        told = json.loads(b"".join(message.data for message in messages))
        assert {"type": "thinking", "thinking": "t", "signature": "sig=="} == told["content"][0]
        assert 4 == told["usage"]["cache_read_input_tokens"]
        said += [{"role": "assistant", "content": told["content"]}, said[0]]
        await router.call(**call, body=json.dumps(asked).encode())
        first, second = (json.loads(seen.body) for seen in up.seen)
        assert asked["thinking"] == first["additionalModelRequestFields"]["thinking"]
        assert {"reasoningContent": thought} == second["messages"][1]["content"][0]


async def test_a_bedrock_key_is_a_bearers(tmp_path):
    """Nothing is signed with it."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts[MODEL] = h.answer(ANSWER)
        await provide(router, up, key="bedrock-api-key-YmVkcm9jaw==")
        await router.call(body=chat())
        (sent,) = up.seen
        assert "Bearer bedrock-api-key-YmVkcm9jaw==" == sent.headers["authorization"]
        assert "x-amz-date" not in sent.headers


async def test_the_token_of_a_session_is_signed(tmp_path):
    """It stands in a header of its own, and the secret nowhere."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts[MODEL] = h.answer(ANSWER)
        await provide(router, up, key=f"{ACCESS_KEY}:{TOKEN}")
        await router.call(body=chat())
        assert TOKEN == up.seen[0].headers["x-amz-security-token"]
        assert_signed(up.seen[0], up.port, TOKEN)
        assert SECRET not in router.out.getvalue()


@pytest.mark.parametrize(
    ("frames", "status"),
    [
        (STREAM[:3], 0),
        ((*STREAM[:3], aws.end()[:-10]), 0),
        ((*STREAM[:3], b"\0" * 40), 0),
        ((*STREAM[:3], aws.exception("throttlingException", "Too many tokens")), 429),
        ((*STREAM[:3], aws.exception("modelStreamErrorException", "it broke")), 0),
    ],
)  # fmt: skip
async def test_a_broken_stream_is_no_answer(tmp_path, frames, status):
    """Cut, garbled or ended by an exception: no last event; what was produced is charged."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts[MODEL] = streamed(b"".join(frames))
        await provide(router, up)
        messages = await router.call(stream=True, body=chat(stream=True))
        end = end_of(messages)
        assert pb.END_REASON_UPSTREAM_ERROR == end.reason
        assert h.DONE not in b"".join(message.data for message in messages)
        assert end.is_unknown or end.cost_nano_usd
        if status:
            assert (status, "Too many tokens") == (
                end.upstream_error.http_status, end.upstream_error.scrubbed_message
            )  # fmt: skip


async def test_a_refusal_is_told_in_its_words(tmp_path):
    """A bad request is the client's, with the words that it matches on; a dead key is not."""
    extra = "x-amzn-errortype: ValidationException:http://internal.amazon.com/coral/\r\n"
    words = "Input Tokens Exceeded: Number of input tokens exceeds maximum length."
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts[MODEL] = h.answer({"message": words}, 400, extra)
        await provide(router, up)
        error = end_of(await router.call(body=chat())).upstream_error
        assert (400, words, "ValidationException") == (
            error.http_status,
            error.scrubbed_message,
            error.code,
        )
        extra = "x-amzn-errortype: UnrecognizedClientException:http://internal\r\n"
        up.scripts[MODEL] = h.answer({"message": "The security token is invalid."}, 403, extra)
        error = end_of(await router.call(body=chat())).upstream_error
        assert "" == error.scrubbed_message
        assert router.logged("provider_key.refused")


async def test_an_operators_test_call_is_signed_as_well(tmp_path):
    """It goes the way that customers' calls go."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts[MODEL] = h.answer(ANSWER)
        await provide(router, up)
        provider = router.store.rows.providers[0]
        test = ProviderTest(router.upstream, router.keys, allow_private=True, clock=router.clock)
        found = await test.run(provider, provider.models[0])
        assert Found("", 200, found.latency_ms) == found
        assert_signed(up.seen[0], up.port)
        aws.check_request(json.loads(up.seen[0].body))


async def test_no_client_speaks_it(tmp_path):
    """Providers have it as their protocol; a call that names it as its own is refused."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await provide(router, up)
        with pytest.raises(Failure, match="INVALID_FIELD"):
            await router.call(client_protocol=pb.CLIENT_PROTOCOL_BEDROCK_CONVERSE, body=chat())
        assert [] == up.seen
