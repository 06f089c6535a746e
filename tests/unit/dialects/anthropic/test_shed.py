"""Thinking of other makers in a message: left out for Anthropic, and nothing else."""

import orjson
import pytest

from tests.unit.dialects.corpus import exchanges
from tollgate_dialects.anthropic.dialect import ANTHROPIC_MESSAGES as DIALECT
from tollgate_dialects.common import documents
from tollgate_dialects.request import request

CLAUDE, OTHER = "anthropic.claude-sonnet-4-5@20250929", "kimi-k2-thinking"
OWN = {"type": "thinking", "thinking": "hm", "signature": "EuY="}
FOREIGN = {"type": "thinking", "thinking": "ah", "signature": "tg1:openai:encrypted:rs_1:gAAA"}
UNSIGNED = {"type": "thinking", "thinking": "oh", "signature": ""}
BARE = {"type": "thinking", "thinking": "oh"}
REDACTED = {"type": "redacted_thinking", "data": "tg1:google:encrypted::x"}
CALL = {"type": "tool_use", "id": "c", "name": "f", "input": {"n": 10**30}}
RESULT = {
    "role": "user",
    "content": [
        {
            "type": "tool_result",
            "tool_use_id": "c",
            "content": "r",
            "cache_control": {"type": "ephemeral"},
        }
    ],
}
HELLO = {"role": "user", "content": [{"type": "text", "text": "hi", "new_member": 1}]}
# What the one form has no place for.
MORE = {
    "max_tokens": 4_000,
    "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
    "tools": [{"type": "bash_20250124", "name": "bash"}, {"name": "f", "input_schema": {}}],
    "metadata": {"user_id": "u", "other": "o"},
    "new_at_the_top": [1],
}


def message(*blocks, **more):
    said = {"role": "assistant", "content": list(blocks)}
    return {"model": "m", **MORE, "messages": [HELLO, said, RESULT], **more}


def facts(document):
    return request.read(documents.written(document), DIALECT.request)


def shed(document, model=CLAUDE):
    return DIALECT.request.shed(document, model, False)


@pytest.mark.parametrize("block", [FOREIGN, UNSIGNED, BARE, REDACTED])
def test_thinking_of_others_is_left_out_and_nothing_else(block):
    """Signed by us, by nobody or without a place for it: Anthropic answers each with a 400."""
    document = message(OWN, block, CALL)
    assert facts(document).sheds
    found = shed(document)
    assert {"thinking"} == found.dropped
    assert message(OWN, CALL) == found.document
    assert message(OWN, block, CALL) == document


def test_what_anthropic_sealed_goes_up_as_it_is():
    """The client's bytes: nothing is written anew."""
    document = message(OWN, {"type": "redacted_thinking", "data": "x"}, CALL)
    assert not facts(document).sheds
    assert shed(document).document is document


def test_words_about_signatures_are_no_signatures():
    """Text and arguments that look like one stay, whatever the first look says."""
    words = {"type": "text", "text": "tg1:openai:signature::x"}
    document = message(OWN, words, {**CALL, "input": {"thinking": "x", "signature": ""}})
    found = shed(document)
    assert (found.document, found.dropped) == (document, frozenset())


@pytest.mark.parametrize("block", [UNSIGNED, BARE])
def test_vendors_that_seal_nothing_get_their_thinking_back(block):
    """Kimi and DeepSeek want it in a turn of tools; what we signed for another maker they do not."""
    document = message(block, CALL)
    assert shed(document, OTHER).document is document
    assert message(CALL) == shed(message(FOREIGN, CALL), OTHER).document


def test_our_mark_of_no_seal_goes_to_nobody():
    """Anthropic gets no such block; vendors that seal nothing get it as they made it."""
    marked = {**UNSIGNED, "signature": "tg1:nobody:signature::"}
    assert facts(message(marked, CALL)).sheds
    assert message(CALL) == shed(message(marked, CALL)).document
    assert message(UNSIGNED, CALL) == shed(message(marked, CALL), OTHER).document


def test_an_own_block_that_was_carried_is_put_back():
    """It went through a protocol that names its blocks."""
    carried = {**OWN, "signature": "tg1:anthropic:signature:rs_1:EuY="}
    found = shed(message(carried, CALL))
    assert (message(OWN, CALL), frozenset()) == (found.document, found.dropped)


def test_an_answer_of_nothing_else_is_no_message():
    """Anthropic refuses one that is empty."""
    found = shed(message(FOREIGN))
    assert [HELLO, RESULT] == found.document["messages"]


CLEAR = {"type": "clear_thinking_20251015", "keep": "all"}


def test_thinking_rests_where_it_could_not_go_on():
    """In the middle of calling tools, with the thinking before the call gone; and it is named."""
    document = message(
        FOREIGN,
        CALL,
        thinking={"type": "enabled", "budget_tokens": 1_024},
        context_management={"edits": [CLEAR]},
    )
    found = shed(document)
    assert {"thinking", "reasoning"} == found.dropped
    assert not found.document.keys() & {"thinking", "context_management"}
    both = {"edits": [*MORE["context_management"]["edits"], CLEAR]}
    found = shed({**document, "context_management": both})
    assert MORE["context_management"] == found.document["context_management"]


@pytest.mark.parametrize(
    "document",
    [
        message(FOREIGN, CALL, thinking={"type": "adaptive"}),
        message(OWN, FOREIGN, CALL, thinking={"type": "enabled", "budget_tokens": 1_024}),
        {
            **message(FOREIGN, CALL, thinking={"type": "enabled", "budget_tokens": 1_024}),
            "messages": [
                HELLO,
                {"role": "assistant", "content": [FOREIGN, {"type": "text", "text": "t"}]},
                HELLO,
            ],
        },
    ],
)
def test_thinking_goes_on_where_it_can(document):
    """A model that decides itself, a call behind own thinking, an answer that was the last word."""
    assert {"thinking"} == shed(document).dropped
    assert document["thinking"] == shed(document).document["thinking"]


def test_a_recorded_message_sheds_nothing_of_anthropics():
    """Each recorded request of Anthropic's own clients goes up as it is, or with less thinking."""
    tried = 0
    for exchange in exchanges("anthropic.messages"):
        document = exchange.get("req")
        if exchange["status"] != 200 or not isinstance(document, dict):
            continue
        printed = orjson.dumps(document)
        found = shed(document)
        assert DIALECT.request.sheds(document, printed) or found.document is document
        assert {"thinking", "reasoning"} >= found.dropped
        tried += 1
    assert tried > 200
