"""The official SDKs, unchanged, at Claudes that Bedrock and Vertex serve."""

import anthropic
import httpx
import openai
import pytest

from tests.live import Live
from tollgate.router.v1 import router_pb2

PROMPT = [{"role": "user", "content": "Say hello to the tollgate."}]
CLOUDS = {
    router_pb2.CLIENT_PROTOCOL_BEDROCK_INVOKE: "",
    router_pb2.CLIENT_PROTOCOL_VERTEX_ANTHROPIC: "/v1/publishers/anthropic",
}
BETAS = "claude-code-20250219,context-management-2025-06-27"


@pytest.fixture(scope="module", params=CLOUDS, ids=["bedrock", "vertex"])
def model(live: Live, request):
    base_url = live.suite.provider_url + CLOUDS[request.param]
    return live.model("demo-thinking-2", request.param, base_url=base_url)


def test_claude_answers_in_its_own_words_and_in_others(live: Live, model):
    """anthropic: thoughts, text and usage, whole and streamed; what the cloud was not asked for is
    named; a plain provider answers the same call alike. openai: the same text.
    """
    key = live.key(live.tenant())
    gists = []
    plain = live.model("demo-thinking-2", router_pb2.CLIENT_PROTOCOL_ANTHROPIC_MESSAGES)
    with anthropic.Anthropic(base_url=live.api_urls[0], api_key=key.text) as client:
        for name in (model, plain):
            asked = {"model": name, "messages": PROMPT, "max_tokens": 200}
            with client.messages.stream(**asked) as stream:
                streamed = stream.get_final_message()
            raw = client.messages.with_raw_response.create(
                **asked, extra_headers={"anthropic-beta": BETAS}
            )
            whole = raw.parse()
            assert name == whole.model == streamed.model
            for told in (streamed, whole):
                content = [block.model_dump(exclude_none=True) for block in told.content]
                gists.append((content, told.stop_reason, told.usage.output_tokens))
            dropped = raw.headers.get("x-tollgate-dropped", "")
            assert ("betas.claude-code-20250219" if name == model else "") == dropped
    assert all(gist == gists[0] for gist in gists)
    receipt: httpx.Response = live.receipt(key, raw.headers["x-request-id"])
    assert receipt.json()["cost_nano_usd"]
    with openai.OpenAI(base_url=f"{live.api_urls[0]}/v1", api_key=key.text) as client:
        answer = client.chat.completions.create(model=model, messages=PROMPT, max_tokens=200)
    assert gists[0][0][-1]["text"] == answer.choices[0].message.content
