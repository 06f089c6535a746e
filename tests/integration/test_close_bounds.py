"""A key with a dollar left serves whole clients: what is set aside is close to what they cost."""

import base64

import httpx
import pytest

from tests import client_shapes
from tests.live import ANTHROPIC, NANO_PER_USD, OPENAI, Key, Live
from tests.unit.dialects.request.test_pictures import png
from tollgate_dialects.pricing import seed

PRICES = {found.price.model: found.price.fields() for found in seed.models()}


def price_of(name: str) -> dict[str, int]:
    """What it costs at its vendor."""
    return {
        field: value
        for field, value in PRICES[name].items()
        if field not in ("model", "version", "source")
    }


def served(live: Live, name: str, protocol: int, known_as: str | None = None) -> str:
    """A vendor's model, at its price, under another name for clients."""
    return live.models({"m": known_as or name}, protocol, price=price_of(name))["m"]


def sent(live: Live, key: Key, path: str, body: dict, **headers: str) -> httpx.Response:
    return httpx.post(
        live.api_urls[0] + path,
        json=body,
        headers={"authorization": f"Bearer {key.text}", **headers},
        timeout=30,
    )


def reserved_nano_usd(live: Live, key: Key) -> int:
    """What was set aside for the key's one call."""
    (transfer,) = live.transfers(f"key:{key.key_id}")
    return int(transfer.reserved_nano_usd)


INLINE = "data:image/png;base64," + base64.b64encode(png(1024, 1024)).decode()


def picture_chat(model: str, url: str) -> dict:
    content = [
        {"type": "text", "text": "What is in this picture?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    return {"model": model, "messages": [{"role": "user", "content": content}]}


@pytest.mark.parametrize("limit_usd", [1.0, 0.7])
def test_claude_code_is_served(live: Live, limit_usd: float) -> None:
    """115 kB at claude-sonnet-4-5's price; by its bytes it would hold 92 cents."""
    model = served(live, "claude-sonnet-4-5", ANTHROPIC)
    key = live.key(live.tenant(), limit_usd=limit_usd)
    body = client_shapes.body_of(client_shapes.CLAUDE_CODE) | {"model": model}
    answer = sent(live, key, "/v1/messages?beta=true", body, **{"anthropic-version": "2023-06-01"})
    assert 200 == answer.status_code, answer.text
    assert "event: message_stop" in answer.text
    assert reserved_nano_usd(live, key) < 0.7 * NANO_PER_USD


def test_codex_is_served(live: Live) -> None:
    """It names no limit, and the model's own would cost $1.28: it is given what the money allows."""
    model = served(live, "gpt-5", OPENAI)
    key = live.key(live.tenant(), limit_usd=1.0)
    body = client_shapes.body_of(client_shapes.CODEX) | {"model": model}
    answer = sent(live, key, "/v1/responses", body)
    assert 200 == answer.status_code, answer.text
    assert "event: response.completed" in answer.text
    assert reserved_nano_usd(live, key) < 0.6 * NANO_PER_USD


@pytest.mark.parametrize("url", [INLINE, "https://pictures.example/1.png"])
def test_a_chat_with_a_picture_is_served(live: Live, url: str) -> None:
    """A megapixel at gpt-4o, and one that it fetches: no more than the largest it takes."""
    model = served(live, "gpt-4o", OPENAI)
    key = live.key(live.tenant(), limit_usd=1.0)
    answer = sent(live, key, "/v1/chat/completions", picture_chat(model, url))
    assert 200 == answer.status_code, answer.text
    assert reserved_nano_usd(live, key) < 0.25 * NANO_PER_USD


def test_another_model_under_a_known_name_is_bound_by_its_bytes(live: Live) -> None:
    """Only the upstream's own name says how it counts: 70 cents are too little for the bytes."""
    model = served(live, "claude-sonnet-4-5", ANTHROPIC, known_as="anybodys-model")
    key = live.key(live.tenant(), limit_usd=0.7)
    body = client_shapes.body_of(client_shapes.CLAUDE_CODE) | {"model": model}
    answer = sent(live, key, "/v1/messages?beta=true", body, **{"anthropic-version": "2023-06-01"})
    assert 402 == answer.status_code


def test_a_client_that_names_a_limit_keeps_it(live: Live) -> None:
    """No money for it: refused, and told what would fit."""
    model = served(live, "gpt-5", OPENAI)
    key = live.key(live.tenant(), limit_usd=1.0)
    body = client_shapes.body_of(client_shapes.CODEX) | {"model": model}
    answer = sent(live, key, "/v1/responses", body | {"max_output_tokens": 128_000})
    assert 402 == answer.status_code
    assert 90_000 < answer.json()["error"]["affordable_max_tokens"] < 100_000


def test_too_little_for_most_answers_is_refused(live: Live) -> None:
    """Four cents are 2,700 tokens of gpt-5 beside what Codex says: no limit is made of that."""
    model = served(live, "gpt-5", OPENAI)
    key = live.key(live.tenant(), limit_usd=0.04)
    body = client_shapes.body_of(client_shapes.CODEX) | {"model": model}
    assert 402 == sent(live, key, "/v1/responses", body).status_code


def test_a_call_that_is_tried_again_takes_its_rate_once(live: Live) -> None:
    """The denied first try gives it back: one call a minute is enough for Codex."""
    model = served(live, "gpt-5", OPENAI)
    key = live.key(live.tenant(), limit_usd=1.0, requests_per_minute=1)
    body = client_shapes.body_of(client_shapes.CODEX) | {"model": model}
    answer = sent(live, key, "/v1/responses", body)
    assert 200 == answer.status_code, answer.text
