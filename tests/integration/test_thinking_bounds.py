"""A model that thinks beyond an answer's limit is reserved for that, by its upstream's name."""

import httpx
import pytest

from tests.live import DASHSCOPE, OPENAI, Live

LIMIT, MODEL_MAX = 100, 1_000
# Output alone costs something here: $1 a million.
PRICE = {"input_pico_usd": 0, "output_pico_usd": 1_000_000}
NANO_USD = 1_000
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


@pytest.mark.parametrize(
    ("path", "protocol", "upstream_model", "beyond"),
    [
        (CHAT, OPENAI, "qwen3.5-plus", MODEL_MAX),
        (CHAT, OPENAI, "gpt-4o", 0),
        (MESSAGES, DASHSCOPE, "deepseek-r1", MODEL_MAX),
        (MESSAGES, OPENAI, "qwq-plus", MODEL_MAX),
    ],
)
def test_an_alias_is_reserved_for_what_its_upstreams_model_thinks(
    live: Live, path: str, protocol: int, upstream_model: str, beyond: int
) -> None:
    """On the upstream's protocol and on another one: its answer, and as long a thought."""
    model = live.models({"fast": upstream_model}, protocol, price=PRICE)["fast"]
    key = live.key(live.tenant(), limit_usd=1.0)
    body = {
        "model": model, "max_tokens": LIMIT, "messages": [{"role": "user", "content": "hi"}]
    }  # fmt: skip
    headers = {"authorization": f"Bearer {key.text}"}
    answer = httpx.post(live.api_urls[0] + path, json=body, headers=headers, timeout=30)
    assert 200 == answer.status_code, answer.text
    (transfer,) = live.transfers(f"key:{key.key_id}")
    assert (LIMIT + beyond) * NANO_USD == transfer.reserved_nano_usd
