"""What all five protocols can say, each says and reads alike: requests, answers, streams."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.dialects.conversation import across
from tollgate_dialects.common import documents
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.conversation.answer import Answer, Ending, Stop
from tollgate_dialects.conversation.parts import (
    FunctionTool,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollgate_dialects.conversation.request import Request, ToolChoice, Turn
from tollgate_dialects.conversation.translation import Target
from tollgate_dialects.registry import DIALECTS

MODELS = {
    Protocol.OPENAI_CHAT: "gpt-4.1", Protocol.OPENAI_RESPONSES: "gpt-4.1",
    Protocol.ANTHROPIC_MESSAGES: "claude-sonnet-4-5", Protocol.GEMINI: "gemini-2.5-pro",
    Protocol.DASHSCOPE: "qwen-plus",
}  # fmt: skip
LIMIT = 1_000
# No blanks: some protocols drop a text of nothing else.
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=9)
ARGUMENTS = st.dictionaries(WORDS, WORDS | st.integers(-(2**70), 2**70) | st.booleans(), max_size=2)
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TOOLS = tuple(FunctionTool(name, f"Does {name}.", SCHEMA) for name in ("f", "g"))


@st.composite
def calls(draw, start=0):
    found = draw(st.lists(st.tuples(st.sampled_from("fg"), ARGUMENTS), max_size=3))
    return tuple(
        ToolCall(f"call_{start + n}", name, documents.written(arguments).decode())
        for n, (name, arguments) in enumerate(found)
    )


@st.composite
def conversations(draw):
    """A system's words or none; questions and answers, and between them calls with results."""
    turns = [Turn("system", (Text(draw(WORDS)),))] if draw(st.booleans()) else []
    turns.append(Turn("user", (Text(draw(WORDS)),)))
    made = 0
    for _ in range(draw(st.integers(0, 3))):
        said = (Text(draw(WORDS)),) if draw(st.booleans()) else ()
        called = draw(calls(made))
        made += len(called)
        if not said + called:
            continue
        turns.append(Turn("assistant", said + called))
        if called:
            results = tuple(
                ToolResult(one.call_id, (Text(draw(WORDS)),), name=one.name) for one in called
            )
            turns.append(Turn("user", results))
        else:
            turns.append(Turn("user", (Text(draw(WORDS)),)))
    return Request(
        model="m",
        turns=tuple(turns),
        tools=TOOLS,
        tool_choice=draw(st.sampled_from([None, ToolChoice("auto"), ToolChoice("none")])),
        temperature=draw(st.sampled_from([None, 0.0, 0.5, 1.0])),
        top_p=draw(st.sampled_from([None, 0.5])),
    )


def said_in(request):
    """Who said what in which order; calls and their results by their number."""
    numbers: dict[str, int] = {}
    for turn in request.turns:
        role = "system" if turn.role == "developer" else turn.role
        for part in turn.parts:
            match part:
                case Text(text):
                    yield role, text
                case ToolCall(call_id, name, arguments):
                    numbers[call_id] = len(numbers)
                    yield "call", numbers[call_id], name, json.loads(arguments or "{}")
                case ToolResult(call_id, parts):
                    yield "result", numbers[call_id], "".join(one.text for one in parts)


def asked_in(request):
    choice = request.tool_choice or ToolChoice("auto")
    tools = [(tool.name, tool.description, tool.schema) for tool in request.tools]
    return list(said_in(request)), tools, choice.mode, request.temperature, request.top_p


def passed_on(request, protocol):
    """A request as a client of a protocol would send it, read again."""
    translation = DIALECTS[protocol].translation
    written = translation.write_request(request, Target(MODELS[protocol], LIMIT))
    assert not written.dropped - {"temperature", "top_p"}
    read = translation.read_request(documents.read(documents.written(written.document)))
    if protocol is not Protocol.GEMINI:
        assert MODELS[protocol] == read.model
    assert LIMIT == read.max_output_tokens
    return read


@given(request_=conversations(), order=st.permutations(list(MODELS)))
def test_a_conversation_that_goes_through_every_protocol_is_the_same(request_, order):
    """Written and read again five times, in any order: every pair is among them."""
    asked = request_
    for protocol in order:
        asked = passed_on(asked, protocol)
        assert list(said_in(request_)) == list(said_in(asked)), protocol
    assert asked_in(request_)[1:3] == asked_in(asked)[1:3]


@pytest.mark.parametrize("protocol", MODELS)
@settings(max_examples=25)
@given(request_=conversations())
def test_settings_are_read_as_they_are_written(protocol, request_):
    """Temperature and its like come back from the protocol's own words."""
    read = passed_on(request_, protocol)
    assert asked_in(request_)[:3] == asked_in(read)[:3]
    both = request_.temperature is not None and request_.top_p is not None
    if not both or protocol is not Protocol.ANTHROPIC_MESSAGES:  # Claude takes one of them
        assert asked_in(request_)[3:] == asked_in(read)[3:]


@st.composite
def answers(draw):
    thought = (Thinking(draw(WORDS)),) if draw(st.booleans()) else ()
    said = (Text(draw(WORDS)),) if draw(st.booleans()) else ()
    called = draw(calls())
    if not said + called:
        said = (Text("x"),)
    stop = Stop.TOOL_CALLS if called else draw(st.sampled_from([Stop.END, Stop.LENGTH]))
    return Answer(thought + said + called, Ending(stop), "a", "m")


def told_in(answer):
    for part in answer.parts:
        match part:
            case ToolCall(_, name, arguments):
                yield name, json.loads(arguments or "{}")
            case Thinking(text) | Text(text):
                yield type(part).__name__, text
    yield answer.ending.stop


@pytest.mark.parametrize("source", MODELS)
@settings(max_examples=25)
@given(answer=answers(), size=st.sampled_from([1, 7, 1_000]))
def test_a_stream_is_what_its_plain_answer_is_on_every_protocol(source, answer, size):
    """From each protocol to each: in pieces or whole, the answer is the one that was given."""
    assert list(told_in(answer)) == list(
        told_in(across.added_up(source, across.frames(source, answer)))
    )
    written = DIALECTS[source].translation.write_answer(answer, across.USAGE, across.context())
    document = documents.written(written)
    raw = across.frames(source, answer)
    for target in MODELS:
        if target is source:
            continue
        whole = across.whole(source, target, document)
        read = DIALECTS[target].translation.read_answer(documents.read(documents.written(whole)))
        out, finished = across.told(source, target, raw, size=size)
        assert finished
        streamed = across.added_up(target, out)
        assert list(told_in(answer)) == list(told_in(read)) == list(told_in(streamed)), target
