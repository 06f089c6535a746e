"""What OpenAI's own description of its API says of each answer on its routes, beside chats.

Chats and Responses themselves are held against it in tests/unit/dialects, over recorded traffic.
"""

import httpx
import pytest

from tests.live import RESPONSES, Live
from tests.unit.dialects.described import validators

INPUT = "Say hello to the tollgate."
CHAT = {"messages": [{"role": "user", "content": INPUT}]}


@pytest.fixture(scope="module")
def client(live: Live):
    headers = {"authorization": f"Bearer {live.key(live.tenant()).text}"}
    with httpx.Client(base_url=live.api_urls[0], headers=headers, timeout=30) as made:
        yield made


@pytest.fixture(scope="module")
def kept(live: Live):
    return live.model("demo-codex", RESPONSES)


@pytest.fixture(scope="module")
def chat(live: Live):
    return live.model("demo-gpt")


def holds(name: str, answer: httpx.Response, status: int = 200) -> dict:
    document = answer.json()
    assert (status, []) == (answer.status_code, validators().faults(name, document))
    return document


def test_models_are_as_described(client, chat, kept):
    """The list, and one model of it."""
    listed = holds("ListModelsResponse", client.get("/v1/models"))
    assert {chat, kept} <= {model["id"] for model in listed["data"]}
    holds("Model", client.get(f"/v1/models/{chat}"))


def test_what_is_no_chat_is_as_described(client, chat):
    """Vectors, a continuation and a verdict."""
    body = {"model": chat, "input": INPUT}
    holds("CreateEmbeddingResponse", client.post("/v1/embeddings", json=body))
    holds("CreateModerationResponse", client.post("/v1/moderations", json=body))
    asked = {"model": chat, "prompt": INPUT, "max_tokens": 20}
    holds("CreateCompletionResponse", client.post("/v1/completions", json=asked))


def test_a_kept_response_is_as_described(client, kept):
    """Made, retrieved, its input listed and counted."""
    body = {"model": kept, "input": INPUT}
    made = holds("Response", client.post("/v1/responses", json=body))
    one = f"/v1/responses/{made['id']}"
    holds("Response", client.get(one))
    holds("ResponseItemList", client.get(f"{one}/input_items"))
    holds("TokenCountsResource", client.post("/v1/responses/input_tokens", json=body))


@pytest.mark.parametrize(
    ("status", "path", "changes"),
    [
        (404, "/v1/chat/completions", {"model": "no-such-model"}),
        (400, "/v1/chat/completions", {"messages": 5}),
        (400, "/v1/chat/completions", {"web_search_options": {}}),
        (400, "/v1/responses", {"input": INPUT, "background": True}),
        (404, "/v1/images/generations", {}),
    ],
)
def test_errors_are_as_described(client, chat, status, path, changes):
    """Whatever is refused, in the one shape."""
    holds("ErrorResponse", client.post(path, json={"model": chat, **CHAT, **changes}), status)


def test_a_bad_key_is_told_as_described(client):
    """401, in the same shape."""
    wrong = {"authorization": "Bearer sk-no-such-key"}
    holds("ErrorResponse", client.get("/v1/models", headers=wrong), 401)
