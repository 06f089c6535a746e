"""About how many tokens a message has: near the truth, strict in reading, never refused for a price."""

import base64
import json

import pytest

from tests.unit.dialects.request.test_pictures import png
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import request

RULES = DIALECTS[Protocol.ANTHROPIC_MESSAGES].request
TOOL = {"name": "t", "description": "d", "input_schema": {"type": "object"}}


def counted(content="hello there", **fields) -> int:
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **fields}
    return request.count(json.dumps(body, ensure_ascii=False).encode(), RULES).input_tokens


def test_text_counts_by_its_length_and_its_signs():
    """Some five letters a token, a token for each sign beyond ASCII; what only steers counts nothing."""
    assert 180 <= counted("word " * 170) <= 210
    assert 1_000 <= counted("额" * 1_000) <= 1_030
    assert counted() == counted(max_tokens=9, metadata={"user_id": "u" * 500}, stream=True)
    assert counted("a" * 400) < counted("a" * 400, system="b" * 400)


def test_what_is_said_to_the_model_besides_is_counted():
    """Tools, a schema and thinking bring prompts of their own."""
    base = counted()
    assert 500 <= counted(tools=[TOOL]) - base <= 560
    assert 28 == counted(thinking={"type": "enabled", "budget_tokens": 2000}) - base
    assert base == counted(thinking={"type": "disabled"})
    schema = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert 200 <= counted(output_config=schema) - base <= 230


def test_a_picture_counts_by_its_pixels():
    """Not by its base64, which has a hundred times as many bytes."""
    data = base64.b64encode(png(800, 600, (b"tEXt", bytes(500_000)))).decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    assert counted([{"type": "image", "source": source}]) < 2_500


def test_what_a_call_is_refused_for_is_counted():
    """A server tool has no price, but its definition has tokens."""
    search = {"type": "web_search_20250305", "name": "web_search"}
    assert counted(tools=[search]) > 500
    assert counted(mcp_servers=[{"type": "url", "url": "https://a", "name": "n"}]) == counted()


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"messages":[]}', b'{"model":"","messages":[]}', b'{"model":1}',
     b'{"model":"a","model":"b"}', b'{"model":"m","messages":{}}', b'{"model":"m","tools":{}}',
     b'{"model":"m","tools":[1]}', b'{"model":"m","system":7}', b'{"model":"m","messages":[1]}',
     b"\xff", b'{"model":"m","messages":[{"content":[[]]}]}'],
)  # fmt: skip
def test_what_is_not_understood_is_refused(body):
    """As in a call: no other reader may see another body in the same bytes."""
    with pytest.raises(request.BadRequest):
        request.count(body, RULES)


def test_nothing_at_all_is_a_token():
    """An answer of 0 would be taken for a fault."""
    assert 1 <= request.count(b'{"model":"m"}', RULES).input_tokens <= 5
