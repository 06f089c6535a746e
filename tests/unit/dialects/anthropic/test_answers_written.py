"""What Anthropic's clients are told of an answer."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.anthropic import sdk
from tollgate_dialects.anthropic.translate import answer_writer, request_reader
from tollgate_dialects.common import documents
from tollgate_dialects.conversation.answer import (
    Answer,
    Cited,
    Delta,
    Ending,
    Finished,
    PartEnded,
    PartStarted,
    Sealed,
    Started,
    Stop,
)
from tollgate_dialects.conversation.machine import events_of
from tollgate_dialects.conversation.parts import (
    Citation,
    Opaque,
    Origin,
    Seal,
    Text,
    Thinking,
    ToolCall,
)
from tollgate_dialects.pricing.usage import Usage

USAGE = Usage.of(
    input_tokens=10, output_tokens=7, cache_read_tokens=3, cache_write_5m_tokens=2,
    cache_write_1h_tokens=1, reasoning_tokens=5,
)  # fmt: skip
GOOGLE = Opaque(Origin.GOOGLE, Seal.SIGNATURE, "g:1==")
OPENAI = Opaque(Origin.OPENAI, Seal.ENCRYPTED, "o:1==", "rs_1")
END = Ending(Stop.END)


def stream_of(*events, usage=None, estimate=321):
    writer = answer_writer.MessageWriter(sdk.context(estimate=estimate))
    told = [Started(), *events, Finished(END)] if not isinstance(events[0], Started) else events
    return b"".join(writer.write(event, usage) for event in told)


def told(*events, **options):
    """The documents between start and end."""
    return sdk.strict_events(stream_of(*events, **options))[1:-2]


def both(*parts, ending=END):
    """The blocks of an answer, which are the same in one piece and as a stream."""
    answer = Answer(parts, ending)
    whole = answer_writer.write(answer, USAGE, sdk.context())
    out = stream_of(*events_of(answer), usage=USAGE)
    streamed = sdk.accumulated(out)
    sdk.strict_events(out)
    assert sdk.gist(sdk.message(whole)) == sdk.gist(streamed)
    return whole


def test_every_frame_has_its_name():
    """The SDK skips a frame without a name: each has its type, in the order of the protocol."""
    out = stream_of(*events_of(Answer((Text("a"),), END)))
    lines = out.decode().splitlines()
    assert [line for line in lines if line.startswith("event: ")] == [
        "event: message_start", "event: content_block_start", "event: content_block_delta",
        "event: content_block_stop", "event: message_delta", "event: message_stop",
    ]  # fmt: skip


@given(st.lists(st.text(max_size=20) | st.sampled_from(["\ud800", '"\\\n']), max_size=4))
def test_more_text_is_written_as_every_document(texts):
    """The frame that is written at once is the one that its document would have become."""
    events = (Started(), PartStarted(Text("")), *(Delta(text) for text in texts))
    teller = answer_writer.MessageWriter(sdk.context())
    documented = [document for event in events for document in teller.told(event, None)]
    writer = answer_writer.MessageWriter(sdk.context())
    out = b"".join(writer.write(event, None) for event in events)
    assert out == b"".join(
        b"event: %b\ndata: %b\n\n" % (each["type"].encode(), documents.written(each))
        for each in documented
    )


@pytest.mark.parametrize(
    ("usage", "expected"),
    [(None, (321, 1)), (Usage(), (321, 1)), (Usage.of(input_tokens=9, output_tokens=2), (9, 2))],
)
def test_the_start_tells_of_the_input(usage, expected):
    """Clients meter their context by it: the estimate, until the upstream has said it."""
    start = sdk.strict_events(stream_of(Started("upstream", "other"), Finished(END), usage=usage))[
        0
    ]
    message = start["message"]
    assert expected == (message["usage"]["input_tokens"], message["usage"]["output_tokens"])
    assert ("msg_" + sdk.context().trace, "asked-model") == (message["id"], message["model"])
    assert [] == message["content"]


def test_the_end_tells_of_all_usage():
    """Every class by itself, the two writes also in sum, and the thinking in the output."""
    expected = {
        "input_tokens": 10, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 3,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 1},
        "output_tokens": 7, "output_tokens_details": {"thinking_tokens": 5},
    }  # fmt: skip
    delta, last = sdk.strict_events(stream_of(PartStarted(Text("a")), PartEnded(), usage=USAGE))[
        -2:
    ]
    assert expected == delta["usage"]
    assert {"type": "message_stop"} == last
    assert expected == both(Text("a"))["usage"]


def test_each_part_is_a_block_of_its_own():
    """A new block for every part, numbered from 0; what is empty is none."""
    blocks = both(
        Thinking("t", GOOGLE),
        Text("a"),
        Text(""),
        Thinking(""),
        Text("b"),
        ToolCall("c", "f", "{}"),
    )
    assert ["thinking", "text", "text", "tool_use"] == [b["type"] for b in blocks["content"]]
    documents = told(*events_of(Answer((Text("a"), Text(""), Text("b")), END))[1:-1])
    starts = [d["index"] for d in documents if d["type"] == "content_block_start"]
    assert [0, 1] == starts


def test_own_blocks_are_as_they_were():
    """Anthropic's signatures and redacted data, byte for byte, the signature last."""
    signature = Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, "s==")
    redacted = Opaque(Origin.ANTHROPIC, Seal.ENCRYPTED, "d==")
    assert [
        {"type": "thinking", "thinking": "t", "signature": "s=="},
        {"type": "redacted_thinking", "data": "d=="},
        {"type": "thinking", "thinking": "", "signature": "s=="},
    ] == both(Thinking("t", signature), Thinking("", redacted), Thinking("", signature))["content"]
    kinds = [
        d["delta"]["type"]
        for d in told(
            PartStarted(Thinking("")), Sealed(signature), Delta("t"), Delta("u"), PartEnded()
        )
        if d["type"] == "content_block_delta"
    ]
    assert ["thinking_delta", "thinking_delta", "signature_delta"] == kinds
    [start, _] = told(PartStarted(Thinking("")), Sealed(redacted), PartEnded())
    assert {"type": "redacted_thinking", "data": "d=="} == start["content_block"]


def test_foreign_blocks_come_back_whole():
    """Blocks of other vendors go through a client in signatures, and are read as what they were."""
    parts = (
        Thinking("t", OPENAI),
        ToolCall("c", "f", '{"a":1}', opaque=GOOGLE),
        ToolCall("d", "f", "{}"),
    )
    content = both(*parts)["content"]
    assert ["thinking", "thinking", "tool_use", "tool_use"] == [block["type"] for block in content]
    assert "" == content[1]["thinking"]
    request = request_reader.read(
        {"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": content}]}
    )
    assert parts == request.turns[0].parts


def test_thinking_that_nobody_sealed_has_a_signature():
    """Clients throw away thinking without one, which vendors of chats want back; it says nothing."""
    content = both(Thinking("t"), Thinking(""), Text("x"))["content"]
    assert [("thinking", True), ("text", False)] == [
        (block["type"], bool(block.get("signature"))) for block in content
    ]
    request = request_reader.read(
        {"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": content}]}
    )
    assert (Thinking("t"), Text("x")) == request.turns[0].parts


@pytest.mark.parametrize("pieces", [['{"a":1}'], ['{"a"', ":1}"], ["{", '"a"', ":", "1}"]])
@pytest.mark.parametrize("at", [0, 1, 2, 5])
def test_a_block_of_a_call_comes_whenever(pieces, at):
    """Before, between or behind the pieces of its call: it is the call's again afterwards."""
    events = [Delta(piece) for piece in pieces]
    events.insert(at, Sealed(GOOGLE))
    out = stream_of(PartStarted(ToolCall("c:d", "f", "")), *events, PartEnded())
    sdk.strict_events(out)
    content = sdk.accumulated(out)["content"]
    request = request_reader.read(
        {"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": content}]}
    )
    [call] = request.turns[0].parts
    assert ('{"a":1}', GOOGLE) == (call.arguments, call.opaque)


def test_pieces_of_arguments_are_sent_on():
    """A call begins with an empty object and an empty piece; its pieces do not wait for the end."""
    writer = answer_writer.MessageWriter(sdk.context())
    writer.write(Started(), None)
    assert b"" == writer.write(PartStarted(ToolCall("c", "f", "")), None)
    assert b"" == writer.write(Delta('{"a"'), None)
    begun = sdk.strict_events(writer.write(Delta(":1"), None))
    assert {"type": "tool_use", "id": "c", "name": "f", "input": {}} == begun[0]["content_block"]
    assert ["", '{"a":1'] == [d["delta"]["partial_json"] for d in begun[1:]]
    [more] = sdk.strict_events(writer.write(Delta("}"), None))
    assert "}" == more["delta"]["partial_json"]


@pytest.mark.parametrize(
    ("arguments", "takes_text", "expected"),
    [
        ('{"a": 1}', False, {"a": 1}),
        ("", False, {}),
        ("ls -la", False, {"arguments": "ls -la"}),
        ("{'a': 1}", False, {"arguments": "{'a': 1}"}),
        ('["a"]', False, {"arguments": '["a"]'}),
        ("free", True, {"input": "free"}),
        ("", True, {"input": ""}),
    ],
)
def test_arguments_are_an_object(arguments, takes_text, expected):
    """Whatever a model wrote, in one piece or letter by letter, a client gets an object."""
    call = ToolCall("c", "f", arguments, takes_text=takes_text)
    assert expected == both(call)["content"][0]["input"]
    empty = dataclasses.replace(call, arguments="")
    out = stream_of(PartStarted(empty), *map(Delta, arguments), PartEnded())
    assert expected == sdk.accumulated(out)["content"][0]["input"]


def test_ids_are_fit_for_clients():
    """Letters that Anthropic knows, each call its own, also where the upstream gave none."""
    calls = [ToolCall(one, "f", "{}") for one in ("a:b", "a_b", "", "")]
    ids = [block["id"] for block in both(*calls)["content"]]
    assert 4 == len({*ids})
    assert "a_b" == ids[1]
    assert all(one.replace("_", "").replace("-", "").isalnum() for one in ids)


def test_citations_are_of_their_text():
    """Pages by address, all else as a quote of a document."""
    text = Text("a", (Citation("https://u", "t", "q"), Citation(title="d", quote="q")))
    first, second = both(text)["content"][0]["citations"]
    assert ("web_search_result_location", "https://u") == (first["type"], first["url"])
    assert ("char_location", "d") == (second["type"], second["document_title"])
    documents = told(PartStarted(Text("")), Cited(Citation("https://u")), PartEnded())
    assert "content_block_start" == documents[0]["type"]


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (Stop.END, "end_turn"),
        (Stop.LENGTH, "max_tokens"),
        (Stop.TOOL_CALLS, "tool_use"),
        (Stop.STOP_SEQUENCE, "stop_sequence"),
        (Stop.REFUSAL, "refusal"),
        (Stop.PAUSE, "pause_turn"),
        (Stop.CONTEXT_FULL, "model_context_window_exceeded"),
    ],
)
def test_reasons_to_stop(stop, reason):
    """Each has its word."""
    calls = (ToolCall("c", "f", "{}"),) if stop is Stop.TOOL_CALLS else ()
    written = both(Text("a"), *calls, ending=Ending(stop, "x"))
    assert reason == written["stop_reason"]
    assert ("x" if stop is Stop.STOP_SEQUENCE else None) == written["stop_sequence"]


def test_a_refusal_says_so():
    """A refusal's words are text, its reason is refusal, its kind one that clients know."""
    written = both(Text("I won't", is_refusal=True), ending=Ending(Stop.REFUSAL))
    assert ("refusal", "I won't") == (written["stop_reason"], written["content"][0]["text"])
    details = both(ending=Ending(Stop.REFUSAL, "", "cyber", "why"))["stop_details"]
    assert {"type": "refusal", "category": "cyber", "explanation": "why"} == details
    assert both(ending=Ending(Stop.REFUSAL, "", "SAFETY"))["stop_details"]["category"] is None


def test_a_call_stops_for_its_tool():
    """Vendors that say of a call what they say of text are put right: clients act on the reason."""
    assert "tool_use" == both(ToolCall("c", "f", "{}"))["stop_reason"]
