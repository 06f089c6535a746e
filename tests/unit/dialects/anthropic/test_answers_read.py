"""What Anthropic's answers, whole and streamed, say in the one form."""

import orjson
import pytest

from tollgate_dialects.anthropic.translate import answer_reader
from tollgate_dialects.common import sse
from tollgate_dialects.conversation.answer import (
    Delta,
    Ending,
    Finished,
    PartEnded,
    PartStarted,
    Sealed,
    Started,
    Stop,
)
from tollgate_dialects.conversation.machine import Machine
from tollgate_dialects.conversation.parts import (
    Citation,
    Opaque,
    Origin,
    Seal,
    Text,
    Thinking,
    ToolCall,
)


def start(index, block):
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index, kind, text):
    member = {"input_json": "partial_json"}.get(kind, kind)
    return {
        "type": "content_block_delta",
        "index": index,
        "delta": {"type": f"{kind}_delta", member: text},
    }


def stop(index):
    return {"type": "content_block_stop", "index": index}


HEAD = {"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": []}}
TEXT, THINKING = {"type": "text", "text": ""}, {"type": "thinking", "thinking": "", "signature": ""}
STOP = {"type": "message_stop"}


def call(call_id="c", **more):
    return {"type": "tool_use", "id": call_id, "name": "f", "input": {}, **more}


def ended(reason="end_turn", **more):
    return {"type": "message_delta", "delta": {"stop_reason": reason, **more}, "usage": {}}


def events_of(*documents):
    reader, machine, events = answer_reader.MessageReader(), Machine(), []
    for document in documents:
        kind = document["type"].encode()
        told = reader.read(sse.Event(kind, orjson.dumps(document), is_simple=True, is_event=True))
        for event in told:
            machine.check(event)
        events += told
    return events, machine


def parts_of(*documents):
    _, machine = events_of(HEAD, *documents, ended(), STOP)
    return machine.answer().parts


def signed(data):
    return Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, data)


def test_text_is_told_as_it_comes():
    """Each piece is an event of its own; pings say nothing."""
    events, _ = events_of(
        HEAD, {"type": "ping"}, start(0, TEXT), delta(0, "text", "a"), delta(0, "text", "b"), stop(0),
        ended(), STOP,
    )  # fmt: skip
    assert events == [
        Started("msg_1", "m"), PartStarted(Text("")), Delta("a"), Delta("b"), PartEnded(),
        Finished(Ending(Stop.END)),
    ]  # fmt: skip


def test_a_second_start_is_ignored():
    """Some upstreams send the start twice, or splice another answer's in."""
    other = {"type": "message_start", "message": {"id": "msg_2", "model": "n"}}
    events, _ = events_of(HEAD, HEAD, start(0, TEXT), other, delta(0, "text", "a"), stop(0), STOP)
    assert [Started("msg_1", "m")] == [event for event in events if isinstance(event, Started)]


def test_nothing_follows_the_end():
    """What comes after the last event is another answer's."""
    events, machine = events_of(HEAD, ended(), STOP, HEAD, start(0, TEXT), STOP)
    assert machine.finished
    assert 2 == len(events)


def test_thinking_and_its_signature():
    """The signature seals its thinking; redacted thinking is all block; signatures alone count."""
    assert parts_of(
        start(0, THINKING), delta(0, "thinking", "t"), delta(0, "signature", "s"), stop(0),
        start(1, {"type": "redacted_thinking", "data": "d"}), stop(1),
        start(2, THINKING), delta(2, "signature", "only"), stop(2),
    ) == (
        Thinking("t", signed("s")),
        Thinking("", Opaque(Origin.ANTHROPIC, Seal.ENCRYPTED, "d")),
        Thinking("", signed("only")),
    )  # fmt: skip


def test_a_late_signature_still_seals():
    """A signature behind the end of its block; of several inside of it the last one."""
    assert (Thinking("t", signed("s")), Text("a")) == parts_of(
        start(0, THINKING), delta(0, "thinking", "t"), stop(0), delta(0, "signature", "s"),
        start(1, TEXT), delta(1, "text", "a"), stop(1),
    )  # fmt: skip
    assert (Thinking("t", signed("s2")),) == parts_of(
        start(0, THINKING), delta(0, "thinking", "t"), delta(0, "signature", "s"),
        delta(0, "signature", "s2"), stop(0),
        start(1, TEXT), delta(0, "signature", "too late"), stop(1),
    )  # fmt: skip


def test_thinking_without_a_signature_holds_nothing_up():
    """It waits for a late signature only until the next block begins."""
    events, _ = events_of(
        HEAD, start(0, THINKING), delta(0, "thinking", "t"), stop(0), start(1, TEXT),
        delta(1, "text", "a"),
    )  # fmt: skip
    assert [PartEnded(), PartStarted(Text("")), Delta("a")] == events[3:]


def test_thinking_in_a_block_of_text():
    """A piece of another kind begins another part, whatever its block was begun as."""
    assert (Thinking("t", signed("s")), Text("a")) == parts_of(
        start(0, TEXT), delta(0, "thinking", "t"), delta(0, "signature", "s"), delta(0, "text", "a"), stop(0),
    )  # fmt: skip


def test_arguments_are_as_the_model_wrote_them():
    """Pieces of JSON are kept to the space; a call without any has an empty object."""
    assert (
        ToolCall("c", "f", '{"a" : 1}'), ToolCall("d", "f", "{}"), ToolCall("e", "f", '{"x":2}'),
    ) == parts_of(
        start(0, call()), delta(0, "input_json", ""), delta(0, "input_json", '{"a"'),
        delta(0, "input_json", " : 1}"), stop(0),
        start(1, call("d")), stop(1),
        start(2, call("e", input={"x": 2})), stop(2),
    )  # fmt: skip


def test_interleaved_calls_are_told_one_after_the_other():
    """A call that begins before the one before it ended waits for that."""
    events, machine = events_of(
        HEAD, start(0, call("c")), start(1, call("d")), delta(1, "input_json", "{1}"),
        delta(0, "input_json", "{0}"),
    )  # fmt: skip
    assert [Started("msg_1", "m"), PartStarted(ToolCall("c", "f", "")), Delta("{0}")] == events
    assert not machine.finished
    assert (ToolCall("c", "f", "{0}"), ToolCall("d", "f", "{1}")) == parts_of(
        start(0, call("c")), start(1, call("d")), delta(1, "input_json", "{1}"),
        delta(0, "input_json", "{0}"), stop(1), stop(0),
    )  # fmt: skip


def test_blocks_without_end_or_start():
    """What is never ended ends with the answer; what never began is what its pieces are."""
    assert (Text("a"), Text("b")) == parts_of(
        delta(0, "text", "a"), start(1, TEXT), delta(1, "text", "b")
    )


def test_hosted_tools_leave_no_trace():
    """Calls and results of tools at the vendor are no part; the text around them is."""
    assert (Text("a"), Text("b")) == parts_of(
        start(0, TEXT), delta(0, "text", "a"), stop(0),
        start(1, {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
        delta(1, "input_json", "{}"), stop(1),
        start(2, {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}), stop(2),
        start(3, {"type": "compaction"}), delta(3, "compaction", "c"), stop(3),
        start(4, TEXT), delta(4, "text", "b"), stop(4),
    )  # fmt: skip


def test_citations_are_of_their_text():
    """Pages by address, documents by title; in pieces as in one."""
    web = {
        "type": "web_search_result_location",
        "url": "https://u",
        "title": "t",
        "cited_text": "q",
    }
    page = {"type": "page_location", "document_title": "d", "cited_text": "q"}
    piece = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "citations_delta", "citation": web},
    }
    streamed = parts_of(start(0, TEXT), piece, delta(0, "text", "a"), stop(0))
    assert (Text("a", (Citation("https://u", "t", "q"),)),) == streamed
    block = {"type": "text", "text": "a", "citations": [page]}
    assert (Text("a", (Citation("", "d", "q"),)),) == answer_reader.read({"content": [block]}).parts


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", Stop.END),
        ("max_tokens", Stop.LENGTH),
        ("tool_use", Stop.TOOL_CALLS),
        ("pause_turn", Stop.PAUSE),
        ("model_context_window_exceeded", Stop.CONTEXT_FULL),
        ("of the future", Stop.END),
        (None, Stop.END),
    ],
)
def test_reasons_to_stop(reason, expected):
    """Each reason of Anthropic's, in a stream and in one piece; what is unknown is an end."""
    events, _ = events_of(HEAD, ended(reason), STOP)
    assert Finished(Ending(expected)) == events[-1]
    assert Ending(expected) == answer_reader.read({"content": [], "stop_reason": reason}).ending


def test_reasons_with_details():
    """The sequence that was met, and why and how the model refused."""
    met = {"content": [], "stop_reason": "stop_sequence", "stop_sequence": "x"}
    assert Ending(Stop.STOP_SEQUENCE, "x") == answer_reader.read(met).ending
    details = {"type": "refusal", "category": "cyber", "explanation": "why"}
    events, _ = events_of(HEAD, ended("refusal", stop_details=details), STOP)
    assert Finished(Ending(Stop.REFUSAL, "", "cyber", "why")) == events[-1]
    unsaid = {"content": [call()], "stop_reason": None}
    assert Stop.TOOL_CALLS is answer_reader.read(unsaid).ending.stop


def test_a_whole_answer_is_read():
    """Every kind of part, in order."""
    document = {
        "id": "msg_1",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "t", "signature": "s"},
            {"type": "text", "text": "a"},
            call(input={"x": 1}),
        ],
        "stop_reason": "tool_use",
    }
    answer = answer_reader.read(document)
    assert ("msg_1", "m", Stop.TOOL_CALLS) == (answer.answer_id, answer.model, answer.ending.stop)
    assert (Thinking("t", signed("s")), Text("a"), ToolCall("c", "f", '{"x":1}')) == answer.parts


@pytest.mark.parametrize(
    "documents",
    [
        [{"type": "error", "error": {"type": "overloaded_error"}}],
        [start(0, TEXT), delta(0, "input_json", "{")],
        [start("0", TEXT)],
        [start(0, {"type": "text", "text": 1})],
        [start(0, {})],
    ],
)
def test_what_cannot_be_read_is_said(documents):
    """An error or a wrong shape ends the reading, with a plain exception."""
    with pytest.raises((ValueError, KeyError, TypeError)):
        events_of(HEAD, *documents)


def test_seals_come_last():
    """A signature is told behind all that it signs."""
    events, _ = events_of(
        HEAD, start(0, {"type": "thinking", "thinking": "t", "signature": "s"}),
        delta(0, "thinking", "u"), stop(0),
    )  # fmt: skip
    assert [
        PartStarted(Thinking("")),
        Delta("t"),
        Delta("u"),
        Sealed(signed("s")),
        PartEnded(),
    ] == events[1:]
