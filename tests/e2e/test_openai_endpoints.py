"""What an OpenAI-compatible provider serves beside chats, by the official SDK: only the key is ours."""

import json

import httpx
import openai
import pytest

from tests import upstream
from tests.live import ANTHROPIC, Live
from tests.upstream import whole

USAGE = {"prompt_tokens": 4, "total_tokens": 4}
VECTORS = {
    "object": "list", "model": "up", "usage": USAGE,
    "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
}  # fmt: skip
COMPLETION = {
    "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "up",
    "choices": [{"index": 0, "text": " there", "finish_reason": "stop", "logprobs": None}],
    "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6},
}  # fmt: skip
VERDICT = {
    "id": "modr-1", "model": "up",
    "results": [{"flagged": False, "categories": {"violence/graphic": False},
                 "category_scores": {"violence/graphic": 0.01}}],
}  # fmt: skip
ORDER = {"model": "up", "results": [{"index": 1, "relevance_score": 0.9}], "usage": USAGE}


@pytest.fixture(scope="module")
def key(live: Live):
    return live.key(live.tenant())


@pytest.fixture(scope="module")
def oai(live: Live, key):
    with openai.OpenAI(
        base_url=f"{live.api_urls[0]}/v1", api_key=key.text, max_retries=0
    ) as client:
        yield client


def answered(live: Live, up, document) -> str:
    """A model whose upstream answers this."""
    up.scripts["up"] = [whole(json.dumps(document).encode())]
    return live.model("up", base_url=up.url, secret="sk-any")


def test_embeddings(live: Live, key, oai):
    """openai: vectors as the SDK asks for them, charged by what was read and by nothing else."""
    with upstream.running() as up:
        model = answered(live, up, VECTORS)
        raw = oai.embeddings.with_raw_response.create(
            model=model, input=["a", "b"], encoding_format="float", dimensions=2
        )
        answer = raw.parse()
        assert ([0.25, -0.5], model) == (answer.data[0].embedding, answer.model)
        assert {"model": "up", "input": ["a", "b"], "encoding_format": "float",
                "dimensions": 2} == json.loads(up.last())  # fmt: skip
        receipt = live.receipt(key, raw.headers["x-request-id"]).json()
        assert 4 * 1000 == receipt["cost_nano_usd"]


def test_legacy_completions(live: Live, key, oai):
    """openai: a continuation whole, and as a stream that ends as the SDK expects."""
    with upstream.running() as up:
        model = answered(live, up, COMPLETION)
        raw = oai.completions.with_raw_response.create(model=model, prompt="Hello", max_tokens=5)
        assert (" there", model) == (raw.parse().choices[0].text, raw.parse().model)
        receipt = live.receipt(key, raw.headers["x-request-id"]).json()
        assert 4 * 1000 + 2 * 2000 == receipt["cost_nano_usd"]
        chunks = [
            {**COMPLETION, "usage": None},
            {**COMPLETION, "choices": []},
        ]
        frames = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks)
        up.scripts["up"] = [upstream.STREAM_HEAD % b"", frames + b"data: [DONE]\n\n"]
        stream = oai.completions.create(model=model, prompt="Hello", max_tokens=5, stream=True)
        texts = [choice.text for chunk in stream for choice in chunk.choices]
        assert [" there"] == texts
        assert {"include_usage": True} == json.loads(up.last())["stream_options"]


def test_moderations_and_rerank(live: Live, key, oai):
    """openai's moderations, and the rerank that Jina's and Cohere's clients send."""
    with upstream.running() as up:
        model = answered(live, up, VERDICT)
        verdict = oai.moderations.create(model=model, input="fine")
        assert (False, model) == (verdict.results[0].flagged, verdict.model)
        model = answered(live, up, ORDER)
        body = {"model": model, "query": "q", "documents": ["a", "b"], "top_n": 1}
        answer = httpx.post(
            f"{live.api_urls[0]}/v1/rerank",
            json=body,
            headers={"authorization": f"Bearer {key.text}"},
        )
        assert (200, {**ORDER, "model": model}) == (answer.status_code, answer.json())
        assert {**body, "model": "up"} == json.loads(up.last())


def test_a_model_that_no_provider_serves_there_is_said_so(live: Live, oai):
    """A model of Anthropic's protocol has no embeddings: 404 that says why, and nothing is sent."""
    model = live.model("demo-claude", ANTHROPIC)
    with pytest.raises(openai.NotFoundError, match="serves this path") as refused:
        oai.embeddings.create(model=model, input="a")
    assert "model_not_on_path" == refused.value.code


def test_azures_deployments_of_embeddings(live: Live, key):
    """openai's Azure client embeds with a deployment's name."""
    with (
        upstream.running() as up,
        openai.AzureOpenAI(
            azure_endpoint=live.api_urls[0],
            api_key=key.text,
            api_version="2025-04-01",
            max_retries=0,
        ) as azure,
    ):
        model = answered(live, up, VECTORS)
        answer = azure.embeddings.create(model=model, input="a", encoding_format="float")
        assert [0.25, -0.5] == answer.data[0].embedding
