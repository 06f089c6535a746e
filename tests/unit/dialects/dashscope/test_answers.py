"""Streams and whole answers: what a meter passes, and what is read of them."""

import orjson
import pytest

from tests.unit.dialects.dashscope import sdk
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.common import sse
from tollgate_dialects.conversation.answer import (
    Stop,
)
from tollgate_dialects.conversation.machine import Machine
from tollgate_dialects.conversation.parts import (
    Text,
    Thinking,
    ToolCall,
)
from tollgate_dialects.dashscope.dialect import DASHSCOPE
from tollgate_dialects.dashscope.stream import END
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


def test_a_word_of_the_client_s_own_form_ends_nothing():
    """Its documents may have a member of that name: the stream goes on, and none of it waits."""
    form = {"ocr_result": {"kv_result": {"finish_reason": "sold"}}}
    going = frame(choices([{"text": "a", **form}], "null"))
    last = frame(choices([{"text": "b", **form}], "stop"))
    assert -1 == sse.end_of(going * 2, END)
    assert len(going) == sse.end_of(going + last + going, END)
    meter = StreamMeter(DASHSCOPE.answer)
    assert going == meter.feed(going)
    assert not meter.awaits_close
    assert b"" == meter.feed(last)
    assert (last, True) == (meter.finish(), meter.finished)


@pytest.mark.parametrize(
    "data",
    [
        b'{"output":{"text":"a","finish_reason":"stop"}',
        b'["finish_reason":"stop"]',
        b'[{"finish_reason":"stop"}]',
        b'{"finish_reason":"stop"}',
        b'{"output":{"finish_reason":"stop"}}',
    ],
)
def test_what_is_no_answer_ends_nothing(data):
    """Nor does what cannot be read."""
    assert -1 == sse.end_of(b"event:result\ndata:%b\n\n" % data, END)


@pytest.mark.parametrize("code", ["", None])
def test_what_an_upstream_says_beside_an_answer_does_not_pass(code):
    """A message is for errors, and may name keys and hosts; in an answer there is none."""
    told = {"code": code, "message": "node-7.internal: key sk-abcdef0123456789"}
    _, streamed = passed(frame(choices("a", "stop"), **told))
    meter = BodyMeter(DASHSCOPE.answer)
    meter.feed(orjson.dumps({"output": choices("a", "stop"), "usage": USAGE, **told}))
    for data in (streamed, meter.finish()):
        assert b'"content":"a"' in data
        assert b"internal" not in data
        assert b"sk-abc" not in data
    empty = frame(choices("a", "stop"), code="", message="")
    assert empty == passed(empty)[1]
