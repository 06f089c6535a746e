"""What a model says counts as output, also where a vendor writes it as no text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.answer import words
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.answer.template import Shapes
from tollgate_dialects.common import documents
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS

CHAT, MESSAGES, RESPONSES = (
    Protocol.OPENAI_CHAT, Protocol.ANTHROPIC_MESSAGES, Protocol.OPENAI_RESPONSES,
)  # fmt: skip


def chunk(**delta):
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def said(protocol, value):
    """A frame that has a value where words stand."""
    if protocol is CHAT:
        call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": value}}
        return chunk(tool_calls=[call])
    if protocol is MESSAGES:
        block = {"type": "tool_use", "id": "c", "name": "f", "input": value}
        return {"type": "content_block_start", "index": 0, "content_block": block}
    call = {"type": "tool_search_call", "call_id": "c", "arguments": value}
    return {"type": "response.output_item.done", "output_index": 0, "item": call}


def framed(document):
    name = f"event: {document['type']}\n".encode() if "type" in document else b""
    return name + b"data: " + documents.written(document) + b"\n\n"


INSIDE = st.recursive(
    st.text(max_size=9) | st.integers(0, 9) | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("content", "text", "a", "usage")), inner, max_size=3)
    ),
    max_leaves=6,
)
TEXT = '"input":{"a":1}'
OBJECTS = st.dictionaries(st.sampled_from(("content", "a_b", "é")), INSIDE, min_size=1, max_size=3)


@pytest.mark.parametrize("protocol", [CHAT, MESSAGES, RESPONSES])
@given(value=OBJECTS, others=st.lists(OBJECTS, max_size=2))
def test_arguments_as_an_object_count_as_they_are_printed(protocol, value, others):
    """Once and whole, whatever shapes earlier frames of the upstream have taught."""
    shapes = Shapes()
    StreamMeter(DIALECTS[protocol].answer, shapes=shapes).feed(
        b"".join(framed(said(protocol, other)) for other in others)
    )
    meter = StreamMeter(DIALECTS[protocol].answer, shapes=shapes)
    frames = framed(said(protocol, value)) * 2
    assert frames == meter.feed(frames)
    assert 2 * len(documents.written(value)) == meter._produced_bytes


def test_a_list_of_parts_counts():
    """Mistral's thinking, and its words beside references."""
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "so far"}]}]
    meter = StreamMeter(DIALECTS[CHAT].answer)
    meter.feed(framed(chunk(content=parts)))
    assert len(json.dumps(parts, separators=(",", ":"))) == meter._produced_bytes


def test_a_whole_chat_counts_its_arguments():
    """Without a report the output is estimated by all that was said."""
    call = said(CHAT, {"city": "x" * 300})["choices"][0]["delta"]["tool_calls"]
    body = {"choices": [{"index": 0, "message": {"content": None, "tool_calls": call}}]}
    meter = BodyMeter(DIALECTS[CHAT].answer)
    meter.feed(documents.written(body))
    assert meter.finish()
    assert meter.output_units >= 100


def test_texts_are_counted_in_their_bytes():
    """A text that speaks of such members is one, and an empty object is nothing."""
    counter = words.Counter("arguments|input")
    meter = StreamMeter(DIALECTS[CHAT].answer)
    for value in ('"input":{"a":1}', {}, []):
        counter.count(meter, documents.written({"x": {"input": value}}), None)
    assert len(json.dumps(TEXT)) - 2 == meter._produced_bytes
