"""Answers and errors as a client of DashScope is told them."""

import itertools
import json

import orjson
import pytest

from tests.unit.dialects.dashscope import sdk
from tollgate_dialects.common import sse
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
from tollgate_dialects.conversation.machine import Machine, events_of
from tollgate_dialects.conversation.parts import (
    Citation,
    Opaque,
    Origin,
    Seal,
    Text,
    Thinking,
    ToolCall,
)
from tollgate_dialects.conversation.request import Request
from tollgate_dialects.dashscope.dialect import DASHSCOPE
from tollgate_dialects.dashscope.translate.translation import TRANSLATION
from tollgate_dialects.pricing.usage import Usage


def added_up(*frames):
    reader, machine = TRANSLATION.event_reader(), Machine()
    for each in frames:
        for event in reader.read(sse.parse(each)):
            machine.check(event)
    return machine.answer()


# ---- what is written -----------------------------------------------------------------------------

OPAQUE = Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, "c2ln")
PARTS = (Thinking("Hm.", OPAQUE), Text("So", (Citation("https://a", "A"),)), ToolCall("c", "f", ""))
ANSWER = Answer(PARTS, Ending(Stop.TOOL_CALLS), "id", "model")


def frames_for(*words, answer=ANSWER, usage=None):
    writer = TRANSLATION.event_writer(sdk.context(None, *words))
    return b"".join(writer.write(event, usage) for event in events_of(answer))


@pytest.mark.parametrize("words", [("pieces", "message"), ("pieces", "parts"), ("pieces",)])
def test_a_stream_in_pieces_is_the_answer(words):
    """Of both clients; calls without arguments have an empty object; sources stand at the end."""
    stream = frames_for(*words, usage=Usage.of(input_tokens=1, output_tokens=2))
    gist = sdk.streamed(stream)
    assert ("So", "Hm.", [("c", "f", "{}")]) == (gist["text"], gist["thought"], gist["calls"])
    assert "tool_calls" == gist["reason"]
    *_, last = sdk.frames_of(stream)
    assert [{"index": 1, "title": "A", "url": "https://a"}] == last["output"]["search_info"][
        "search_results"
    ]
    assert "01234567-89ab-cdef-0123-456789abcdef" == last["request_id"]
    again = added_up(*(each + b"\n\n" for each in stream.split(b"\n\n")[:-1]))
    assert ["Hm.", "So"] == [part.text for part in again.parts[:2]]


@pytest.mark.parametrize("words", [("pieces", "message"), ("message",)])
def test_the_sdk_keeps_a_signature_that_stands_in_the_last_frame(words):
    """It stands in one frame, the last: put together by the SDK, a stream's message has it."""
    frames = sdk.frames_of(frames_for(*words))
    said = [frame["output"]["choices"][0]["message"] for frame in frames]
    assert ["reasoning_signature" in one for one in said] == [*[False] * (len(said) - 1), True]
    whole = TRANSLATION.write_answer(ANSWER, sdk.NO_USAGE, sdk.context(None, "message"))
    kept = whole["output"]["choices"][0]["message"]["reasoning_signature"]
    assert (
        kept == said[-1]["reasoning_signature"] == sdk.merged_message(frames)["reasoning_signature"]
    )


def test_a_signature_comes_back_beside_its_own_thought_alone():
    """What vouches for thinking is carried in the message, and left out beside other words."""
    document = TRANSLATION.write_answer(ANSWER, sdk.NO_USAGE, sdk.context(None, "message"))
    message = document["output"]["choices"][0]["message"]
    for thought, expected in (("Hm.", OPAQUE), ("Hm.\n\nMore", None)):
        turn = {**message, "reasoning_content": thought}
        read = TRANSLATION.read_request({"model": "m", "input": {"messages": [turn]}})
        assert Thinking(thought, expected) == read.turns[0].parts[0]
    foreign = {**message, "reasoning_signature": "3:vendor"}
    read = TRANSLATION.read_request({"model": "m", "input": {"messages": [foreign]}})
    assert Thinking("Hm.") == read.turns[0].parts[0]
    google = Opaque(Origin.GOOGLE, Seal.SIGNATURE, "Z29v")
    calls = Answer((ToolCall("c", "f", "{}", opaque=google),), Ending(Stop.TOOL_CALLS))
    told = TRANSLATION.write_answer(calls, sdk.NO_USAGE, sdk.context())
    message = told["output"]["choices"][0]["message"]
    read = TRANSLATION.read_request({"model": "m", "input": {"messages": [message]}})
    assert google == read.turns[0].parts[0].opaque


def test_a_stream_whole_so_far_is_no_square():
    """Each frame repeats all so far, so a long answer is told in fewer frames than it has pieces."""
    writer = TRANSLATION.event_writer(sdk.context(None, "message"))
    events = [Started(), PartStarted(Text("")), *[Delta("word ")] * 20_000, PartEnded(),
              Finished(Ending(Stop.END))]  # fmt: skip
    stream = b"".join(writer.write(event, None) for event in events)
    documents = sdk.frames_of(stream)
    texts = [one["output"]["choices"][0]["message"]["content"] for one in documents]
    assert "word " * 20_000 == texts[-1]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
    assert len(stream) < 40 * 100_000
    assert "stop" == documents[-1]["output"]["choices"][0]["finish_reason"]


def test_who_says_no_form_gets_both():
    """One text, and choices with a message: the default hangs on names that nobody here knows."""
    answer = Answer((Text("Hi"),), Ending(Stop.LENGTH))
    both = TRANSLATION.write_answer(answer, sdk.NO_USAGE, sdk.context())["output"]
    assert ("Hi", "length") == (both["text"], both["finish_reason"])
    assert "Hi" == both["choices"][0]["message"]["content"]
    text = TRANSLATION.write_answer(answer, sdk.NO_USAGE, sdk.context(None, "text"))["output"]
    assert {"text": "Hi", "finish_reason": "length"} == text


@pytest.mark.parametrize(
    ("parameters", "content", "words"),
    [
        ({}, "x", set()),
        ({"result_format": "text", "incremental_output": False}, "x", {"text"}),
        ({"result_format": "message", "incremental_output": True}, "x", {"message", "pieces"}),
        ({}, [{"text": "x"}], {"parts"}),
        ({}, [{"type": "text", "text": "x"}], set()),
    ],
)
def test_how_a_client_wants_to_be_told(parameters, content, words):
    """Read from its parameters and from how it writes content itself."""
    messages = [{"role": "user", "content": content}]
    document = {"model": "m", "input": {"messages": messages}, "parameters": parameters}
    assert words == TRANSLATION.read_request(document).told_as
    newer = {**document, "model": "qwen3-max", "parameters": {}}
    assert "pieces" in TRANSLATION.read_request(newer).told_as


def test_errors_are_flat_and_seen_by_the_sdk():
    """DashScope's codes by status; its own ones stay; the gateway's word beside."""
    shape = DASHSCOPE.errors
    told = {"type": "error", "error": {"type": shape.kind(503), "code": "overloaded",
            "message": "Busy.", "param": None, "trace_id": "t"}, "request_id": "q"}  # fmt: skip
    body = shape.body(told, 503)
    assert {
        "code": "ServiceUnavailable", "message": "Busy.", "request_id": "q", "status_code": 503,
        "reason": "overloaded", "param": None, "trace_id": "t",
    } == body  # fmt: skip
    assert (503, body) == sdk.error_in(frames_for("pieces")[:0] + shape.event(orjson.dumps(body)))
    told["error"]["code"] = "DataInspectionFailed"
    assert "DataInspectionFailed" == shape.body(told, 400)["code"]
    assert b":HTTP_STATUS/500\n" in shape.event(b'{"message":"x"}')


def test_a_redacted_thought_and_a_refusal():
    """A block without words has none beside it; a refusal has a reason of its own."""
    block = Opaque(Origin.ANTHROPIC, Seal.ENCRYPTED, "enc")
    answer = Answer((Thinking("", block),), Ending(Stop.REFUSAL))
    document = TRANSLATION.write_answer(answer, sdk.NO_USAGE, sdk.context())
    one = document["output"]["choices"][0]
    assert "content_filter" == one["finish_reason"]
    read = TRANSLATION.read_request({"model": "m", "input": {"messages": [one["message"]]}})
    assert Thinking("", block) == read.turns[0].parts[0]
    words = Answer((Text("No.", is_refusal=True),), Ending(Stop.REFUSAL))
    document = TRANSLATION.write_answer(words, sdk.NO_USAGE, sdk.context())
    assert "content_filter" == document["output"]["choices"][0]["finish_reason"]


def test_two_thoughts_are_one_text():
    """With a blank line between; the second one's block vouches for no more than its own words."""
    events = [Started(), PartStarted(Thinking("")), Delta("a"), Sealed(OPAQUE), PartEnded(),
              PartStarted(Thinking("")), Delta("bc"), Sealed(OPAQUE), PartEnded(),
              PartStarted(Text("")), Cited(Citation("u")), PartEnded(),
              Finished(Ending(Stop.END))]  # fmt: skip
    writer = TRANSLATION.event_writer(sdk.context(Request(model="m", turns=())))
    stream = b"".join(writer.write(event, None) for event in events)
    message = sdk.frames_of(stream)[-1]["output"]["choices"][0]["message"]
    assert "a\n\nbc" == message["reasoning_content"]
    read = TRANSLATION.read_request({"model": "m", "input": {"messages": [message]}})
    assert Thinking("a\n\nbc") == read.turns[0].parts[0]
    assert json.dumps(message)
