"""The official SDKs, unchanged, at models that only Amazon Bedrock serves."""

import json

import anthropic
import openai
import pytest

from tests import upstream
from tests.live import Live
from tests.unit.dialects.bedrock_converse import aws
from tollgate.router.v1 import router_pb2

KEY_ID, SECRET = "AKIDEXAMPLE000000", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PROMPT = [{"role": "user", "content": "Say hello to the tollgate."}]
USAGE = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}
CONTENT = [
    {"reasoningContent": {"reasoningText": {"text": "Politely.", "signature": "c2lnbmVk"}}},
    {"text": "Hello, gate."},
]
ANSWER = {
    "output": {"message": {"role": "assistant", "content": CONTENT}},
    "stopReason": "end_turn",
    "usage": USAGE,
}
STREAM = (
    aws.event("messageStart", role="assistant"),
    aws.event("contentBlockDelta", contentBlockIndex=0,
              delta={"reasoningContent": {"text": "Politely."}}),
    aws.event("contentBlockDelta", contentBlockIndex=0,
              delta={"reasoningContent": {"signature": "c2lnbmVk"}}),
    aws.event("contentBlockStop", contentBlockIndex=0),
    aws.text("Hello, ", 1),
    aws.text("gate.", 1),
    aws.event("contentBlockStop", contentBlockIndex=1),
    aws.end(),
)  # fmt: skip


@pytest.fixture(scope="module")
def up():
    """Scripts by the operation, which is the last of the path."""
    with upstream.running() as server:
        server.scripts["converse"] = [upstream.whole(json.dumps(ANSWER).encode())]
        raw = b"".join(STREAM)
        pieces = [raw[at : at + 37] for at in range(0, len(raw), 37)]
        server.scripts["converse-stream"] = [upstream.STREAM_HEAD % b"", *pieces]
        yield server


@pytest.fixture(scope="module")
def model(live: Live, up):
    return live.model(
        MODEL,
        router_pb2.CLIENT_PROTOCOL_BEDROCK_CONVERSE,
        base_url=up.url.removesuffix("/v1"),
        secret=f"{KEY_ID}:{SECRET}",
    )


@pytest.fixture(scope="module")
def key(live: Live):
    return live.key(live.tenant())


def test_openai_at_bedrock(live: Live, key, model, up):
    """openai: text, usage and receipt are Bedrock's; the request was signed and never held the secret."""
    with openai.OpenAI(base_url=f"{live.api_urls[0]}/v1", api_key=key.text) as client:
        raw = client.chat.completions.with_raw_response.create(
            model=model, messages=PROMPT, max_tokens=20
        )
        answer = raw.parse()
        assert ("Hello, gate.", model) == (answer.choices[0].message.content, answer.model)
        assert (10, 5) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)
        receipt = live.receipt(key, raw.headers["x-request-id"]).json()
        assert 10 * 1000 + 5 * 2000 == receipt["cost_nano_usd"]
        chunks = list(
            client.chat.completions.create(model=model, messages=PROMPT, max_tokens=20, stream=True)
        )
    words = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "Hello, gate." == "".join(word for word in words if word)
    assert "stop" == chunks[-1].choices[0].finish_reason
    for head, body in zip(up.heads, up.bodies, strict=True):
        assert f"Credential={KEY_ID}/".encode() in head
        assert SECRET.encode() not in head + body
        aws.check_request(json.loads(body))


def test_anthropic_at_bedrock(live: Live, key, model, up):
    """anthropic: thinking comes with its signature, and goes back to Bedrock with it."""
    options = {"thinking": {"type": "enabled", "budget_tokens": 1_024}, "max_tokens": 2_000}
    with anthropic.Anthropic(base_url=live.api_urls[0], api_key=key.text) as client:
        with client.messages.stream(model=model, messages=PROMPT, **options) as stream:
            streamed = stream.get_final_message()
        whole = client.messages.create(model=model, messages=PROMPT, **options)
        gist = [
            [block.model_dump(exclude_none=True) for block in message.content]
            for message in (streamed, whole)
        ]
        assert gist[0] == gist[1]
        assert ("c2lnbmVk", "Hello, gate.") == (whole.content[0].signature, whole.content[1].text)
        assert (10, 5) == (whole.usage.input_tokens, whole.usage.output_tokens)
        again = [*PROMPT, {"role": "assistant", "content": gist[1]}, *PROMPT]
        client.messages.create(model=model, messages=again, **options)
    assert CONTENT == json.loads(up.last())["messages"][1]["content"]


def test_what_bedrock_refuses_is_told_in_its_words(live: Live, key, model, up):
    """A 400 keeps the words that clients match on, and the model answers the next call."""
    with openai.OpenAI(
        base_url=f"{live.api_urls[0]}/v1", api_key=key.text, max_retries=0
    ) as client:
        words = "Input Tokens Exceeded: Number of input tokens exceeds maximum length."
        kind = b"x-amzn-errortype: ValidationException:http://internal.amazon.com/coral/\r\n"
        body = json.dumps({"message": words}).encode()
        head = upstream.JSON_HEAD.replace(b"200 OK", b"400 Bad Request")
        before = up.scripts["converse"]
        try:
            up.scripts["converse"] = [head % (len(body), kind) + body]
            with pytest.raises(openai.BadRequestError, match="Input Tokens Exceeded"):
                client.chat.completions.create(model=model, messages=PROMPT, max_tokens=20)
        finally:
            up.scripts["converse"] = before
        assert client.chat.completions.create(model=model, messages=PROMPT, max_tokens=20).choices
