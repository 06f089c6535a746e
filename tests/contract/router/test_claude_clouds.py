"""Claude behind Bedrock's InvokeModel and behind Vertex: what is sent, told and charged."""

import json
from dataclasses import replace

import pytest

from tests.contract.router import harness as h
from tests.contract.router.harness import end_of, fake_upstream, harness
from tests.contract.router.test_bedrock import ACCESS_KEY, HEAD, SECRET, assert_signed, streamed
from tests.unit.dialects.bedrock_converse import aws
from tests.unit.dialects.claude_clouds import clouds
from tollgate.router.v1 import router_pb2
from tollgate_dialects.common.protocol import Protocol
from tollgate_kit.rpc.failure import Failure
from tollgate_router.provider_test import Found, ProviderTest

pb = router_pb2
MESSAGES = pb.CLIENT_PROTOCOL_ANTHROPIC_MESSAGES
MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NAMES = {
    Protocol.BEDROCK_INVOKE: MODEL,
    Protocol.VERTEX_ANTHROPIC: "claude-sonnet-4-5@20250929",
}
PROJECT = "/v1/projects/p/locations/global/publishers/anthropic"
USAGE = {"input_tokens": 10, "cache_read_input_tokens": 4, "output_tokens": 5}
# 10 + 4 x 0.1 in, 5 x 2 out, in micro-USD.
NANO_USD = 20_400
ANSWER = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": USAGE,
}  # fmt: skip
EVENTS = [
    {"type": "message_start",
     "message": {**ANSWER, "content": [], "stop_reason": None, "usage": {**USAGE, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
     "usage": USAGE},
    {"type": "message_stop"},
]  # fmt: skip
BODY = b'{"max_tokens": 100, "messages":[{"role":"user","content":"h\\u00e9"}],"model":"m"%b}'
BETAS = "claude-code-20250219,context-management-2025-06-27"
CLOUDS = pytest.mark.parametrize("cloud", [Protocol.BEDROCK_INVOKE, Protocol.VERTEX_ANTHROPIC])


def call(**changes):
    stream = changes.get("stream", False)
    asked = {
        "client_protocol": MESSAGES,
        "client_wants_usage": True,
        "body": BODY % (b', "stream": true' if stream else b""),
        "protocol_headers": {"anthropic-version": "2023-06-01", "anthropic-beta": BETAS},
    }
    return {**asked, **changes}


def frames(events=EVENTS):
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (each["type"].encode(), json.dumps(each).encode())
        for each in events
    )


def script(cloud, events=EVENTS):
    if cloud is Protocol.BEDROCK_INVOKE:
        return streamed(b"".join(clouds.chunk(json.dumps(each).encode()) for each in events))
    return [h.sse_head(), h.chunk(frames(events)), h.END_CHUNK]


async def provide(router, up, cloud, **changes):
    base = up.url.removesuffix("/v1")
    if cloud is Protocol.VERTEX_ANTHROPIC:
        base += PROJECT
    await router.provide(base, protocol=cloud, upstream_model=NAMES[cloud], **changes)


@CLOUDS
async def test_a_message_goes_up_in_the_clouds_envelope(tmp_path, cloud):
    """Byte for byte but for the envelope; the answer comes down as it is, and is charged."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts[NAMES[cloud]] = h.answer(ANSWER)
        await provide(router, up, cloud)
        messages = await router.call(**call())
        (sent,) = up.seen
        assert b'"max_tokens": 100' in sent.body
        assert b'"messages":[{"role":"user","content":"h\\u00e9"}]' in sent.body
        document = json.loads(sent.body)
        assert "model" not in document
        told = json.loads(b"".join(message.data for message in messages))
        assert {**ANSWER, "model": "m"} == told
        assert NANO_USD == end_of(messages).cost_nano_usd
        assert ["betas.claude-code-20250219"] == list(messages[0].head.dropped)
        kept = ["context-management-2025-06-27"]
        if cloud is Protocol.BEDROCK_INVOKE:
            assert f"/model/{MODEL.replace(':', '%3A')}/invoke" == sent.path
            assert ("bedrock-2023-05-31", kept) == (
                document["anthropic_version"], document["anthropic_beta"],
            )  # fmt: skip
            assert not {"anthropic-version", "anthropic-beta"} & sent.headers.keys()
        else:
            assert f"{PROJECT}/models/{NAMES[cloud]}:rawPredict" == sent.path
            assert "vertex-2023-10-16" == document["anthropic_version"]
            assert kept[0] == sent.headers["anthropic-beta"]
            assert "anthropic-version" not in sent.headers


@CLOUDS
async def test_a_stream_comes_down_as_anthropic_sends_it(tmp_path, cloud):
    """Named events, the client's name of the model, the usage, and the charge."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts[NAMES[cloud]] = script(cloud)
        await provide(router, up, cloud)
        messages = await router.call(**call(stream=True))
        assert up.seen[0].path.endswith(("/invoke-with-response-stream", ":streamRawPredict"))
        document = json.loads(up.seen[0].body)
        assert (cloud is Protocol.VERTEX_ANTHROPIC) is ("stream" in document)
        told = b"".join(message.data for message in messages)
        events = json.loads(json.dumps(EVENTS))
        events[0]["message"]["model"] = "m"
        names = [line for line in told.split(b"\n") if line.startswith(b"event: ")]
        assert [f"event: {each['type']}".encode() for each in EVENTS] == names
        data = [json.loads(line[6:]) for line in told.split(b"\n") if line.startswith(b"data: ")]
        assert events == data
        assert NANO_USD == end_of(messages).cost_nano_usd


@CLOUDS
@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_is_answered_by_them(tmp_path, cloud, stream):
    """By the one writer of messages, in the same envelope."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts[NAMES[cloud]] = script(cloud) if stream else h.answer(ANSWER)
        await provide(router, up, cloud)
        messages = await router.call(stream=stream)
        document = json.loads(up.seen[0].body)
        assert document["anthropic_version"].startswith(("bedrock-", "vertex-"))
        assert "model" not in document
        told = b"".join(message.data for message in messages)
        assert b'"content":"hi"' in told
        assert NANO_USD == end_of(messages).cost_nano_usd


async def test_a_call_of_bedrock_is_signed_for_what_arrives(tmp_path):
    """The envelope as well; the secret is in none of it."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts[MODEL] = h.answer(ANSWER)
        await provide(router, up, Protocol.BEDROCK_INVOKE, key=ACCESS_KEY)
        await router.call(**call())
        assert_signed(up.seen[0], up.port)
        provider = router.store.rows.providers[0]
        test = ProviderTest(router.upstream, router.keys, allow_private=True, clock=router.clock)
        found = await test.run(provider, provider.models[0])
        assert Found("", 200, found.latency_ms) == found
        assert_signed(up.seen[1], up.port)
        assert "bedrock-2023-05-31" == json.loads(up.seen[1].body)["anthropic_version"]


async def test_a_bedrock_key_is_a_bearers(tmp_path):
    """Nothing is signed with it; sent back in a chunk, it is cut before it passes."""
    key = "bedrock-api-key-YmVkcm9jaw=="
    async with fake_upstream() as up, harness(tmp_path) as router:
        events = [*EVENTS[:2], json.loads(json.dumps(EVENTS[2]))]
        events[2]["delta"]["text"] = f"your key is {key}"
        up.scripts[MODEL] = script(Protocol.BEDROCK_INVOKE, events)
        await provide(router, up, Protocol.BEDROCK_INVOKE, key=key)
        messages = await router.call(**call(stream=True))
        assert f"Bearer {key}" == up.seen[0].headers["authorization"]
        assert key.encode() not in b"".join(message.data for message in messages)
        assert pb.END_REASON_UPSTREAM_ERROR == end_of(messages).reason
        assert key not in router.out.getvalue()


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (b"", 0),
        (aws.exception("throttlingException", "Too many tokens"), 429),
        (aws.exception("modelStreamErrorException", "it broke"), 500),
        (clouds.chunk(b"no json"), 0),
        (b"\0" * 40, 0),
    ],
)
async def test_a_broken_stream_is_no_answer(tmp_path, last, status):
    """Cut, garbled or ended by an exception, as for Converse: no last event."""
    begun = b"".join(clouds.chunk(json.dumps(each).encode()) for each in EVENTS[:3])
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts[MODEL] = [HEAD, h.chunk(begun + last), h.END_CHUNK]
        await provide(router, up, Protocol.BEDROCK_INVOKE)
        messages = await router.call(**call(stream=True))
        end = end_of(messages)
        assert pb.END_REASON_UPSTREAM_ERROR == end.reason
        assert b"message_stop" not in b"".join(message.data for message in messages)
        assert status == end.upstream_error.http_status
        assert SECRET not in router.out.getvalue()


async def test_tools_that_run_at_anthropic_do_not_run_at_bedrock(tmp_path):
    """Nobody is asked; at Vertex they run, as at Anthropic."""
    tools = b', "tools": [{"type": "web_search_20250305", "name": "web_search"}]'
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts = {name: h.answer(ANSWER) for name in NAMES.values()}
        changes = {"web_search_pico_usd": 10_000_000_000}
        await provide(router, up, Protocol.BEDROCK_INVOKE, **changes)
        refused = end_of(await router.call(**call(body=BODY % tools)))
        assert ([], 400, "tools") == (
            up.seen, refused.upstream_error.http_status, refused.upstream_error.param,
        )  # fmt: skip
        await provide(router, up, Protocol.VERTEX_ANTHROPIC, **changes)
        await router.call(**call(body=BODY % tools))
        assert "web_search_20250305" == json.loads(up.seen[0].body)["tools"][0]["type"]


@CLOUDS
async def test_they_are_asked_before_others_are_translated_for(tmp_path, cloud):
    """Their words are the client's; a provider of chats that was added first comes behind."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts[NAMES[cloud]] = h.answer(ANSWER)
        await router.provide(up.url)
        (chats,) = router.store.rows.providers
        await provide(router, up, cloud)
        rows = router.store.rows
        router.store.put((replace(chats, name="chats"), *rows.providers), rows.prices)
        await router.watch.refresh()
        listed = (await router.servicer.ListModels(pb.ListModelsRequest(), None)).models
        assert {pb.CLIENT_PROTOCOL_OPENAI_CHAT, MESSAGES} == set(listed[0].protocols)
        await router.call(**call())
        assert [PROJECT if cloud is Protocol.VERTEX_ANTHROPIC else "/model"] == [
            PROJECT if PROJECT in sent.path else sent.path[:6] for sent in up.seen
        ]


@CLOUDS
async def test_no_client_speaks_them(tmp_path, cloud):
    """Providers have them as their protocol; a call that names one as its own is refused."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await provide(router, up, cloud)
        number = pb.ClientProtocol.Value(f"CLIENT_PROTOCOL_{cloud.name}")
        with pytest.raises(Failure, match="INVALID_FIELD"):
            await router.call(client_protocol=number)
        assert [] == up.seen
