"""The model's name in an answer: only that value changes, wherever its protocol has it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.answer.renaming import Renaming
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS

CHAT = Renaming(DIALECTS[Protocol.OPENAI_CHAT].answer.model_at, "fast")
MESSAGES = Renaming(DIALECTS[Protocol.ANTHROPIC_MESSAGES].answer.model_at, "fast")
RESPONSES = Renaming(DIALECTS[Protocol.OPENAI_RESPONSES].answer.model_at, "fast")
SPACED = b'{ "id":"1","model" : "gpt-4o-2024-08-06" ,"choices":[{"message":{"content":"x"}}]}\n'


def test_issue_7_a_client_reads_the_name_that_it_asked_for():
    """A body keeps every byte but the name's."""
    assert SPACED.replace(b"gpt-4o-2024-08-06", b"fast") == CHAT.body(SPACED)


@pytest.mark.parametrize(
    ("renaming", "document"),
    [
        (CHAT, {"model": "FAST", "choices": [{"delta": {"content": '"model":"m"'}}]}),
        (MESSAGES, {"type": "message_start", "message": {"id": "1", "model": "FAST"}}),
        (MESSAGES, {"type": "message", "model": "FAST",
                    "content": [{"type": "tool_use", "input": {"model": "m", "message": {}}}]}),
        (RESPONSES, {"type": "response.created", "response": {"model": "FAST", "tools": [
            {"parameters": {"properties": {"model": {"default": {"model": "m"}}}}}]}}),
    ],
)  # fmt: skip
def test_only_the_answers_own_name_is_changed(renaming, document):
    """What a tool or a text calls a model is the client's business."""
    before = json.dumps(document).encode()
    frames = b"event: e\ndata: " + before + b'\n\ndata: {"a":1}\n\ndata: [DONE]\n\n'
    assert frames.replace(b"FAST", b"fast") == renaming.frames(frames)


@pytest.mark.parametrize(
    "odd", [b"", b"[DONE]", b'{"model":7}', b'{"model":null}', b'{"x":{"model":"m"}}', b'"model"']
)
def test_where_no_name_stands_nothing_changes(odd):
    """A body without a name, or with none that is a text, stays as it is."""
    assert odd == CHAT.body(odd)


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.just("model"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("model", "message", "a")), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(("model", "message", "a")), VALUES, max_size=3))
def test_a_renamed_document_differs_in_the_name_alone(document):
    """Whatever else a document holds, reading the renamed one finds it again."""
    expected = json.loads(json.dumps(document))
    holders = [expected, expected.get("message")]
    for holder in holders:
        if isinstance(holder, dict) and isinstance(holder.get("model"), str):
            holder["model"] = "fast"
    assert expected == json.loads(MESSAGES.body(json.dumps(document).encode()))
