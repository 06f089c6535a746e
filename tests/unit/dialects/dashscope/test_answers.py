"""Streams and whole answers: what a meter passes, what is read of them, how they are written."""

import itertools
import json

import orjson
import pytest

from tests.unit.dialects.dashscope import sdk
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
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
from tollgate_dialects.dashscope.translate.growth import Growth, Mode
from tollgate_dialects.dashscope.translate.translation import TRANSLATION
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import Usage, UsageSource

USAGE = {"input_tokens": 5, "output_tokens": 3}


def frame(output, usage=USAGE, number=1, **members):
    document = {"output": output, "usage": usage, "request_id": "r", **members}
    data = orjson.dumps({name: value for name, value in document.items() if value is not None})
    return b"id:%d\nevent:result\n:HTTP_STATUS/200\ndata:%b\n\n" % (number, data)


def choice(content="", reason="null", index=None, **members):
    one = {"message": {"role": "assistant", "content": content, **members}, "finish_reason": reason}
    return one if index is None else {**one, "index": index}


def choices(*args, **members):
    return {"choices": [choice(*args, **members)]}


def passed(*frames):
    """The meter after a stream that its upstream closed, and what it passed."""
    meter = StreamMeter(DASHSCOPE.answer)
    return meter, b"".join([meter.feed(frame) for frame in frames]) + meter.finish()


def added_up(*frames):
    reader, machine = TRANSLATION.event_reader(), Machine()
    for each in frames:
        for event in reader.read(sse.parse(each)):
            machine.check(event)
    return machine.answer()


# ---- what passes ---------------------------------------------------------------------------------


def test_what_no_list_has_does_not_pass():
    """Unknown members are dropped; the frame keeps its number and its form."""
    odd = frame({**choices("a", "stop"), "leak": "x"}, number=7, debug={"host": "h"})
    meter, told = passed(odd)
    assert meter.finished
    assert frame(choices("a", "stop"), number=7) == told


@pytest.mark.parametrize(
    "odd",
    [
        b'event: result\ndata: {"output":{"text":"a","finish_reason":"stop"}}\n\n',
        b'data:{"output":{"text":"a","finish_reason":"stop"}}\n\n',
        b': note\nid:1\nevent:result\ndata:{"output":{"text":"a","finish_reason":"stop"}}\n\n',
        (
            b"id:1\r\nevent:result\r\n:HTTP_STATUS/200\r\n"
            b'data:{"output":{"text":"a","finish_reason":"stop"}}\r\n\r\n'
        ),
    ],
)
def test_frames_of_another_form_come_to_dashscopes(odd):
    """Its SDK knows no blanks after a colon; comments of an upstream do not pass."""
    _, told = passed(odd)
    assert told.endswith(
        b'event:result\n:HTTP_STATUS/200\ndata:{"output":{"text":"a","finish_reason":"stop"}}\n\n'
    )
    assert b"note" not in told
    assert sdk.streamed(told)["text"] == "a"


@pytest.mark.parametrize(
    "failure",
    [
        b'id:2\nevent:error\n:HTTP_STATUS/429\ndata:{"code":"Throttling","message":"slow"}\n\n',
        frame(None, None, code="Throttling", message="slow"),
        b'data:{"code":"Throttling","message":"slow","request_id":"r"}\n\n',
        b'{"code":"Throttling","message":"slow","request_id":"r"}',
        frame(choices("b", "stop"), code="Throttling", message="slow"),
    ],
)
def test_a_failure_is_told_and_no_end(failure):
    """An error in a frame of its own, in one of an answer, or in a body where a stream was asked."""
    meter, told = passed(frame(choices("a")), failure)
    assert frame(choices("a")) == told
    assert (429, "Throttling", "slow") == (
        meter.error.http_status, meter.error.code, meter.error.message
    )  # fmt: skip
    assert not meter.finished
    whole = BodyMeter(DASHSCOPE.answer)
    whole.feed(b'{"code":"Throttling","message":"slow","output":{"text":"x"},"request_id":"r"}')
    assert (b"", 429) == (whole.finish(), whole.error.http_status)


def test_a_stream_that_breaks_off_is_not_finished():
    """Without a reason why it ended, an answer has none; what was reported is charged."""
    meter, told = passed(frame(choices("a")), b"id:2\nevent:result\nda")
    assert not meter.finished
    assert meter.error or not meter.is_final
    assert frame(choices("a")) == told
    assert 3 == meter.usage[Unit.OUTPUT]


def test_usage_behind_the_end_counts():
    """Frames may follow the one that ends the answer: the last report is the one that is charged."""
    later = frame({"choices": []}, {"input_tokens": 5, "output_tokens": 9}, number=3)
    done = b"id:4\nevent:done\ndata:[DONE]\n\n"
    meter, told = passed(frame(choices("a")), frame(choices("", "stop"), number=2), later, done)
    assert frame(choices("a")) + frame(choices("", "stop"), number=2) + later == told
    assert 9 == meter.usage[Unit.OUTPUT]


def test_the_end_is_found_however_its_key_is_written():
    """A key in escapes is written out, for the edge finds the end by its letters."""
    odd = frame(choices("a", "stop")).replace(b"finish_reason", b"\\u0066inish_reason")
    meter, told = passed(odd)
    assert meter.finished
    assert frame(choices("a", "stop")) == told


def test_no_frame_overtakes_another():
    """One that comes behind the end, of whatever choice, waits as the end does."""
    frames = [frame(choices("a", "stop")), frame({"choices": [choice("b", "null", 1)]}),
              frame({"choices": [choice("", "stop", 1)]})]  # fmt: skip
    meter = StreamMeter(DASHSCOPE.answer)
    assert not any(meter.feed(each) for each in frames)
    assert b"".join(frames) == meter.finish()


def test_every_choice_has_to_end():
    """Of several choices the answer has ended when all that began have."""
    frames = [
        frame({"choices": [choice("a", "null", 0)]}),
        frame({"choices": [choice("", "stop", 0)]}),
        frame({"choices": [choice("b", "null", 1)]}),
    ]
    assert not passed(*frames)[0].finished
    assert passed(*frames, frame({"choices": [choice("", "length", 1)]}))[0].finished


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({**USAGE, "cached_tokens": 2}, Usage.of(input_tokens=3, cache_read_tokens=2, output_tokens=3)),
        (
            {**USAGE, "prompt_tokens_details": {"cached_tokens": 1, "cache_creation_input_tokens": 2}},
            Usage.of(input_tokens=2, cache_read_tokens=1, cache_write_5m_tokens=2, output_tokens=3),
        ),
        (
            {**USAGE, "output_tokens_details": {"reasoning_tokens": 2}},
            Usage.of(input_tokens=5, output_tokens=3, reasoning_tokens=2),
        ),
        (
            {**USAGE, "total_tokens": 18, "output_tokens_details": {"reasoning_tokens": 10}},
            Usage.of(input_tokens=5, output_tokens=13, reasoning_tokens=10),
        ),
    ],
)  # fmt: skip
def test_usage_is_read_into_disjoint_classes(usage, expected):
    """Cached and written are subsets of the input, thinking of the output."""
    assert expected == passed(frame(choices("a", "stop"), usage))[0].usage


@pytest.mark.parametrize("usage", [{"input_tokens": -1, "output_tokens": 1}, {"image_count": 1},
                                   {"input_tokens": 10**19, "output_tokens": 1}])  # fmt: skip
def test_an_implausible_report_is_estimated_instead(usage):
    """Counts that cannot be are refused whole, and said to be odd."""
    meter, _ = passed(frame(choices("a" * 30, "stop"), usage))
    assert (UsageSource.ESTIMATED, "implausible") == (meter.usage_source, meter.flag)
    assert 10 == meter.usage[Unit.OUTPUT]


def test_what_is_repeated_is_counted_once():
    """Where each frame has all so far, no more was produced than the last one has."""
    text = "word " * 400
    frames = [frame(choices(text[:n]), None, n) for n in range(100, 2_001, 100)]
    meter, _ = passed(*frames)
    assert 667 == meter.usage[Unit.OUTPUT]


# ---- what is read --------------------------------------------------------------------------------


def grown(*texts):
    growth = Growth(Mode())
    return "".join([growth.take(text) for text in texts]) + growth.finish()


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("a", "ab", "abc", "abc"), "abc"),
        (("", "a", "ab", "abc"), "abc"),
        (("He", "Hello", "Hello to", "Hello to all", "Hello to all"), "Hello to all"),
        ((" ", "  ", "   ", "x", ""), "      x"),
        (("ha", "ha", "ha", ""), "hahaha"),
        (("1", "1+", "1=2", ""), "11+1=2"),
        (("-", "--", "x"), "---x"),
        (("a", "b", "c"), "abc"),
        (("a",), "a"),
        (("a", "a"), "a"),
        (("a", "ab"), "ab"),
        (("a", ""), "a"),
        ((), ""),
    ],
)
def test_both_ways_of_telling_a_text_are_read(texts, expected):
    """In pieces, of which some repeat what was said; and whole so far in each frame."""
    assert expected == grown(*texts)


def test_a_thought_is_whole_before_the_answer_in_either_way():
    """Thinking that each frame repeats is told once, and so are the calls behind it."""
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f"}}
    full = [("H", "", None), ("Hm", "", None), ("Hm.", "", None), ("Hm.", "So", None),
            ("Hm.", "So", '{"a"'), ("Hm.", "So", '{"a":1}')]  # fmt: skip
    frames = []
    for number, (thought, text, arguments) in enumerate(full):
        calls = [] if arguments is None else [
            {**call, "function": {"name": "f", "arguments": arguments}}
        ]  # fmt: skip
        reason = "tool_calls" if number == len(full) - 1 else "null"
        frames.append(frame(choices(text, reason, reasoning_content=thought, tool_calls=calls)))
    expected = (Thinking("Hm."), Text("So"), ToolCall("c", "f", '{"a":1}'))
    assert expected == added_up(*frames).parts
    pieces = [
        frame(choices("", reasoning_content="Hm")),
        frame(choices("", reasoning_content=".")),
        frame(choices("So")),
        frame(choices("", tool_calls=[{**call, "function": {"name": "f", "arguments": '{"a"'}}])),
        frame(
            choices("", "stop", tool_calls=[{"index": 0, "id": "", "type": "function",
                                             "function": {"arguments": ":1}"}}])
        ),
    ]  # fmt: skip
    answer = added_up(*pieces)
    assert expected == answer.parts
    assert Stop.TOOL_CALLS is answer.ending.stop


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
    """A block without words has none beside it; a refusal without words has a reason of its own."""
    block = Opaque(Origin.ANTHROPIC, Seal.ENCRYPTED, "enc")
    answer = Answer((Thinking("", block),), Ending(Stop.REFUSAL))
    document = TRANSLATION.write_answer(answer, sdk.NO_USAGE, sdk.context())
    one = document["output"]["choices"][0]
    assert "content_filter" == one["finish_reason"]
    read = TRANSLATION.read_request({"model": "m", "input": {"messages": [one["message"]]}})
    assert Thinking("", block) == read.turns[0].parts[0]
    words = Answer((Text("No.", is_refusal=True),), Ending(Stop.REFUSAL))
    document = TRANSLATION.write_answer(words, sdk.NO_USAGE, sdk.context())
    assert "stop" == document["output"]["choices"][0]["finish_reason"]


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
