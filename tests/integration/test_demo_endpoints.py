"""What the demo provider answers beside conversations, judged by OpenAI's SDK and our meter."""

import httpx
import openai
import pytest

from tests import demo
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import UsageSource
from tollgate_dialects.registry import DIALECTS

KEY = "sk-demo-provider-0123456789abcdef"
# Path -> the gateway's name of it, and a body that is a request.
ENDPOINTS = {
    "/v1/completions": (Protocol.OPENAI_COMPLETIONS, {"prompt": "hi", "max_tokens": 3}),
    "/v1/embeddings": (Protocol.OPENAI_EMBEDDINGS, {"input": ["one", "two"]}),
    "/v1/moderations": (Protocol.OPENAI_MODERATIONS, {"input": "harmless"}),
    "/v1/rerank": (Protocol.RERANK, {"query": "q", "documents": ["a", "b", "c"]}),
}
EACH = pytest.mark.parametrize("path", ENDPOINTS)


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    """Base URL of a running provider."""
    key_file = tmp_path_factory.mktemp("demo") / "key"
    key_file.write_text(KEY)
    with demo.running(key_file) as url:
        yield url


@pytest.fixture
def client(provider):
    with httpx.Client(
        base_url=provider, timeout=5, headers={"authorization": f"Bearer {KEY}"}
    ) as one:
        yield one


def truth(client, trace):
    call = client.get("/_demo/stats").json()["calls"][trace]
    return call["input_tokens"], call["output_tokens"]


@pytest.mark.parametrize(
    ("path", "stream"), [*((path, False) for path in ENDPOINTS), ("/v1/completions", True)]
)
def test_what_is_reported_is_what_was_billed(client, path, stream):
    """Our meter reads what the provider's own record says; a moderation reports nothing."""
    protocol, body = ENDPOINTS[path]
    trace = f"t-{path}-{stream}"
    asked = {"model": "demo-gpt", **body}
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    answer = client.post(path, json=asked, headers={"x-request-id": trace})
    meter = (StreamMeter if stream else BodyMeter)(DIALECTS[protocol].answer, secrets=[KEY])
    meter.feed(answer.content)
    meter.finish()
    if path == "/v1/moderations":
        assert meter.usage_source is not UsageSource.UPSTREAM
    else:
        read = (meter.usage.total_input_tokens, meter.usage[Unit.OUTPUT])
        assert (truth(client, trace), UsageSource.UPSTREAM) == (read, meter.usage_source)


@EACH
def test_misbehaviour_is_the_same_here(client, path):
    """A refusal, a reset, a page, broken JSON and a shape that is none."""
    _, body = ENDPOINTS[path]
    assert 429 == client.post(path, json={**body, "model": "demo-429"}).status_code
    with pytest.raises(httpx.TransportError):
        client.post(path, json={**body, "model": "demo-reset-mid"})
    assert "<html>" in client.post(path, json={**body, "model": "demo-html"}).text
    with pytest.raises(ValueError):
        client.post(path, json={**body, "model": "demo-bad-json"}).json()
    assert 400 == client.post(path, json={"model": "demo-gpt"}).status_code


def test_the_sdk_reads_them(provider):
    """openai, unchanged: completions whole and streamed, vectors packed and not, verdicts."""
    with openai.OpenAI(base_url=provider + "/v1", api_key=KEY, max_retries=0) as client:
        whole = client.completions.create(model="demo-gpt", prompt="hi", max_tokens=3)
        assert ("Hello from the", "length") == (
            whole.choices[0].text,
            whole.choices[0].finish_reason,
        )
        chunks = client.completions.create(model="demo-gpt", prompt="hi", max_tokens=3, stream=True)
        assert "Hello from the" == "".join(chunk.choices[0].text for chunk in chunks)
        packed = client.embeddings.create(model="demo-gpt", input=["one", "two"])
        plain = client.embeddings.create(
            model="demo-gpt", input=["one", "two"], encoding_format="float"
        )
        vectors = [one.embedding for one in packed.data]
        assert vectors == [one.embedding for one in plain.data]
        assert vectors[0] != vectors[1]
        assert not client.moderations.create(model="demo-gpt", input="x").results[0].flagged


def test_a_rerank_has_as_many_results_as_are_wanted(client):
    """All documents, or the first `top_n`."""
    _, body = ENDPOINTS["/v1/rerank"]
    for wanted, indices in ((None, [0, 1, 2]), (2, [0, 1])):
        answer = client.post("/v1/rerank", json={"model": "m", "top_n": wanted, **body}).json()
        assert indices == [one["index"] for one in answer["results"]]
