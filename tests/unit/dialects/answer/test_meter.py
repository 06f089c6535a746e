"""Meters and the event splitter: what passes, what is counted, what stops an answer."""

import dataclasses
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.answer import reported
from tollgate_dialects.answer.answer_usage import estimated_tokens
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.answer.rules import StreamReader
from tollgate_dialects.common import sse
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import NOTHING, Usage, UsageSource
from tollgate_dialects.registry import DIALECTS

OPENAI = DIALECTS[Protocol.OPENAI_CHAT].answer
ANTHROPIC = DIALECTS[Protocol.ANTHROPIC_MESSAGES].answer


def data(document, end="\n\n", name=""):
    head = f"event: {name}{end[: len(end) // 2]}" if name else ""
    return f"{head}data: {json.dumps(document)}{end}".encode()


def words(count, end="\n\n"):
    chunk = {"choices": [{"index": 0, "delta": {"content": "abc"}}], "usage": None}
    return [data(chunk, end) for _ in range(count)]


USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14,
         "prompt_tokens_details": {"cached_tokens": 3}}  # fmt: skip
READ = Usage.of(input_tokens=7, output_tokens=4, cache_read_tokens=3)
USAGE_ONLY = data({"choices": [], "usage": USAGE})
USAGE_LAST = data({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": USAGE, "id": "z"})
DONE = b"data: [DONE]\n\n"


def claude(*extra, start=None, end=None, stop=True):
    begin = {"input_tokens": 9, "output_tokens": 1} if start is None else start
    finish = {"output_tokens": 5} if end is None else end
    return [
        data({"type": "message_start", "message": {"usage": begin}}, name="message_start"),
        data({"type": "ping"}, name="ping"),
        data({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "abcdef"}},
             name="content_block_delta"),
        *extra,
        *([data({"type": "message_delta", "usage": finish}, name="message_delta")] if finish
          else []),
        *([data({"type": "message_stop"}, name="message_stop")] if stop else []),
    ]  # fmt: skip


def run(protocol, frames, *, strip=True, size=None, **options):
    meter = StreamMeter(protocol, strip_usage=strip, **options)
    raw = b"".join(frames)
    step = size or len(raw)
    out = b"".join(meter.feed(raw[at : at + step]) for at in range(0, len(raw), step))
    return out + meter.finish(), meter


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, None])
def test_usage_is_stripped_and_nothing_else(end, size):
    """However chunked and ended, the usage-only chunk goes and every other byte stays."""
    usage_only = data({"choices": [], "usage": USAGE}, end)
    done = f"data: [DONE]{end}".encode()
    out, meter = run(OPENAI, [*words(3, end), usage_only, done], size=size)
    assert b"".join([*words(3, end), DONE]) == out
    assert (READ, UsageSource.UPSTREAM, True, None) == (
        meter.usage, meter.usage_source, meter.finished, meter.error
    )  # fmt: skip
    out, _ = run(OPENAI, [*words(3, end), usage_only, done], strip=False, size=size)
    assert b"".join([*words(3, end), usage_only, DONE]) == out


def test_case_P7_usage_on_a_chunk_with_choices_passes_untouched():
    """DeepSeek, Groq and others: only chunks without choices are dropped, no usage becomes null."""
    out, meter = run(OPENAI, [*words(1), USAGE_LAST, USAGE_ONLY, DONE])
    assert b"".join([*words(1), USAGE_LAST, DONE]) == out
    assert READ == meter.usage


def test_usage_in_text_is_text():
    """A model may talk about usage, errors and [DONE]."""
    said = '"usage":{"prompt_tokens":1} "error" data: [DONE] \\u00e9'
    frame = data({"choices": [{"delta": {"content": said}}]})
    out, meter = run(OPENAI, [frame, USAGE_ONLY, DONE])
    assert (frame + DONE, True, READ) == (out, meter.finished, meter.usage)


def test_after_the_last_event_nothing_passes():
    """Early [DONE] or message_stop ends the answer, whatever follows."""
    out, meter = run(OPENAI, [*words(1), DONE, *words(5), USAGE_ONLY], size=11)
    assert b"".join([*words(1), DONE]) == out
    assert UsageSource.ESTIMATED is meter.usage_source
    frames = claude()
    out, _ = run(ANTHROPIC, [*frames, *words(1)], size=11)
    assert b"".join(frames) == out


SAID = "sk-secret-upstream-key failed at https://host.example/x"


@pytest.mark.parametrize("size", [1, 13, None])
@pytest.mark.parametrize(
    ("protocol", "frame"),
    [
        (OPENAI, data({"error": {"message": SAID, "type": "server_error"}})),
        (OPENAI, data({"error": SAID})),
        (OPENAI, data({"message": SAID}, name="error")),
        (OPENAI, f"event: error\ndata: {SAID}\n\n".encode()),
        (OPENAI, f'data: {{"\\u0065rror":"{SAID}"}}\n\n'.encode()),
        (OPENAI, f"<html>{SAID}</html>\n\n".encode()),
        (OPENAI, f"\n\n{SAID}\n\n".encode()),
        (OPENAI, f'{{"error":"{SAID}"}}'.encode()),
        (ANTHROPIC, data({"type": "error", "error": {"type": "overloaded_error",
                                                     "message": SAID}}, name="error")),
        (ANTHROPIC, data({"type": "error", "error": {"message": SAID}})),
        (ANTHROPIC, f"event: error\ndata: {SAID}\n\n".encode()),
    ],
)  # fmt: skip
def test_red_line_3_an_error_in_a_stream_never_passes(protocol, frame, size):
    """Nothing of the error event, nor of what follows, is among the bytes to pass on."""
    good = words(2) if protocol is OPENAI else claude(end=False, stop=False)
    out, meter = run(protocol, [*good, frame, *words(2), DONE], size=size)
    # Blank lines say nothing.
    assert b"".join(good).rstrip() == out.rstrip()
    assert meter.error is not None
    assert "sk-secret" not in repr(meter.error)
    assert not meter.finished


def test_an_error_in_a_stream_is_described_where_clients_need_it():
    """A context overflow keeps its words; an overload has its status and no words."""
    overflow = {"error": {"message": "maximum context length is 8192 tokens; key sk-aaa-bbbbbb",
                          "type": "invalid_request_error", "code": "context_length_exceeded"}}  # fmt: skip
    _, meter = run(OPENAI, [data(overflow)])
    assert (400, "context_length_exceeded") == (meter.error.http_status, meter.error.code)
    assert "maximum context length is 8192 tokens; key [redacted]" == meter.error.message
    overload = {"type": "error", "error": {"type": "overloaded_error", "message": SAID}}
    _, meter = run(ANTHROPIC, [data(overload, name="error")])
    assert (529, "", "") == (meter.error.http_status, meter.error.message, meter.error.code)
    assert (NOTHING, UsageSource.NONE) == (meter.usage, meter.usage_source)


def test_promise_6_a_cut_stream_is_estimated_and_says_so():
    """Without a report: what was produced at one token per 3 bytes, and the given input."""
    out, meter = run(OPENAI, words(10))
    assert b"".join(words(10)) == out
    assert UsageSource.ESTIMATED is meter.usage_source
    assert Usage.of(output_tokens=10) == meter.usage
    assert 10 == meter.output_units
    _, meter = run(ANTHROPIC, claude(end=False, stop=False))
    assert UsageSource.PARTIAL is meter.usage_source
    assert Usage.of(input_tokens=9, output_tokens=2) == meter.usage


def test_promise_7_zero_is_zero_and_nothing_is_nothing():
    """A reported zero is charged as zero; an empty stream is charged nothing."""
    zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    _, meter = run(OPENAI, [*words(2), data({"choices": [], "usage": zero}), DONE])
    assert (NOTHING, UsageSource.UPSTREAM) == (meter.usage, meter.usage_source)
    meter = StreamMeter(OPENAI, strip_usage=True)
    assert (b"", NOTHING, UsageSource.NONE) == (meter.finish(), meter.usage, meter.usage_source)


@pytest.mark.parametrize("bad", [-1, 10**12, 1.0, "7", True])
def test_trust_59_impossible_counts_are_refused_and_flagged(bad):
    """Negative, absurd, fractional or worded counts: the estimate is charged instead."""
    usage = {"prompt_tokens": 5, "completion_tokens": bad}
    _, meter = run(OPENAI, [*words(4), data({"choices": [], "usage": usage}), DONE])
    assert (UsageSource.ESTIMATED, "implausible", 4) == (
        meter.usage_source, meter.flag, meter.usage[Unit.OUTPUT]
    )  # fmt: skip
    _, meter = run(ANTHROPIC, claude(end={"output_tokens": bad}))
    assert (UsageSource.ESTIMATED, "implausible") == (meter.usage_source, meter.flag)


def test_trust_59_too_few_tokens_for_the_text_are_flagged():
    """The report is charged, and marked."""
    long = data({"choices": [{"delta": {"content": "x" * 5000}}]})
    _, meter = run(OPENAI, [long, USAGE_ONLY, DONE])
    assert (READ, "below_output") == (meter.usage, meter.flag)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ({"prompt_cache_hit_tokens": 4}, Usage.of(input_tokens=6, output_tokens=5,
                                               cache_read_tokens=4)),
        ({"cached_tokens": 4}, Usage.of(input_tokens=6, output_tokens=5, cache_read_tokens=4)),
        ({"prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 5}},
         Usage.of(input_tokens=1, output_tokens=5, cache_read_tokens=4, cache_write_5m_tokens=5)),
        ({"completion_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 15},
         Usage.of(input_tokens=10, output_tokens=5, reasoning_tokens=3)),
        ({"completion_tokens_details": {"reasoning_tokens": 30}, "total_tokens": 45},
         Usage.of(input_tokens=10, output_tokens=35, reasoning_tokens=30)),
        ({"total_tokens": 115}, Usage.of(input_tokens=10, output_tokens=105, reasoning_tokens=100)),
        ({"prompt_tokens_details": {"cached_tokens": 40}, "total_tokens": 15},
         Usage.of(input_tokens=10, output_tokens=5, cache_read_tokens=40)),
        ({"prompt_tokens_details": None}, Usage.of(input_tokens=10, output_tokens=5)),
    ],
)  # fmt: skip
def test_promise_8_openai_dialects_become_disjoint_classes(report, expected):
    """Each vendor's subsets, extras and omissions: no token twice, none negative."""
    base = {"prompt_tokens": 10, "completion_tokens": 5}
    assert expected == reported.usage_of({**base, **report}, OPENAI.usage)


def test_promise_8_anthropic_reports_are_merged_and_the_last_wins():
    """Deltas are cumulative; a cache write is split by its lifetime; a null keeps what was."""
    start = {"input_tokens": 9, "output_tokens": 1, "cache_read_input_tokens": 100,
             "cache_creation_input_tokens": 30,
             "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}}  # fmt: skip
    end = {"input_tokens": 11, "output_tokens": 7, "cache_read_input_tokens": None,
           "output_tokens_details": {"thinking_tokens": 2}}  # fmt: skip
    out, meter = run(ANTHROPIC, claude(start=start, end=end), size=9)
    assert b"".join(claude(start=start, end=end)) == out
    assert Usage.of(
        input_tokens=11, output_tokens=7, cache_read_tokens=100, cache_write_5m_tokens=10,
        cache_write_1h_tokens=20, reasoning_tokens=2,
    ) == meter.usage  # fmt: skip
    second_start = claude(start=start, end=end)[0]
    again = claude(start=start, end=end, stop=False)
    assert 7 == run(ANTHROPIC, [*again, second_start])[1].usage[Unit.OUTPUT]


def test_a_frame_without_end_is_refused():
    """No more than 1 MiB waits for the end of a frame."""
    for size in (65_536, None):
        out, meter = run(OPENAI, [b"data: " + b"x" * (sse.MAX_FRAME_BYTES + 1)], size=size)
        assert (b"", True) == (out, meter.error is not None)
    _, meter = run(OPENAI, [b"data: " + b"x" * (sse.MAX_FRAME_BYTES + 1) + b"\n\n"])
    assert meter.error is not None


frames = st.lists(
    st.sampled_from(
        [*words(1), USAGE_ONLY, USAGE_LAST, DONE, b": comment\n\n", b"\n", b"\r\n", b"junk\n\n",
         b"data: {}\r\n\r\n", b"data: x\r\r", b"event: error\ndata: {}\n\n", b"data: a\ndata: b\n\n"]
    ),
    max_size=8,
)  # fmt: skip


@given(frames, st.lists(st.integers(0, 600), max_size=8), st.booleans())
def test_chunk_borders_do_not_matter(parts, cuts, strip):
    """The same bytes give the same passed bytes, usage and end, however they arrive."""
    raw = b"".join(parts)
    whole = StreamMeter(OPENAI, strip_usage=strip)
    expected = whole.feed(raw) + whole.finish()
    pieces = StreamMeter(OPENAI, strip_usage=strip)
    borders = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    passed = [pieces.feed(raw[a:b]) for a, b in pairwise(borders)]
    passed.append(pieces.finish())
    assert expected == b"".join(passed)
    assert (whole.usage, whole.finished, whole.error) == (
        pieces.usage, pieces.finished, pieces.error
    )  # fmt: skip


@given(st.binary(max_size=300), st.integers(1, 40))
def test_the_splitter_keeps_every_byte(raw, size):
    """Frames and the rest, joined, are what came in."""
    buffer = sse.FrameBuffer()
    out = b"".join(buffer.push(raw[at : at + size]) for at in range(0, len(raw), size))
    assert raw == out + buffer.rest()


def test_bodies():
    """A JSON answer passes whole; HTML, broken JSON, an error and an array do not pass."""
    good = json.dumps({"choices": [{"message": {"content": "hello"}}], "usage": USAGE}).encode()
    meter = BodyMeter(OPENAI)
    assert (b"", good, READ, True) == (
        meter.feed(good), meter.finish(), meter.usage, meter.finished
    )  # fmt: skip
    error = json.dumps({"error": {"message": SAID}}).encode()
    for bad in (b"<html>", good[:-1], b"[]", b"", error, b'{"type":"error"}'):
        meter = BodyMeter(OPENAI)
        meter.feed(bad)
        assert b"" == meter.finish()
        assert (True, NOTHING) == (meter.error is not None, meter.usage)


def test_a_body_without_usage_is_estimated():
    """Its text is counted, not its JSON."""
    body = json.dumps({"choices": [{"message": {"content": "x" * 30}}]}).encode()
    meter = BodyMeter(OPENAI)
    meter.feed(body)
    assert estimated_tokens(len(body)) == meter.output_units
    assert body == meter.finish()
    assert (Usage.of(output_tokens=10), UsageSource.ESTIMATED) == (
        meter.usage, meter.usage_source
    )  # fmt: skip


def test_a_call_in_a_body_is_what_its_input_prints():
    """Anthropic writes an object: all of it is the model's, and no text of it twice."""
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": ["x" * 30], "text": "y"}}
    message = {"type": "message", "content": [{"type": "text", "text": "z" * 30}, call]}
    meter = BodyMeter(DIALECTS[Protocol.ANTHROPIC_MESSAGES].answer)
    meter.feed(json.dumps(message).encode())
    meter.finish()
    printed = json.dumps(call["input"], separators=(",", ":"))
    assert estimated_tokens(30 + len(printed)) == meter.output_units


@pytest.mark.parametrize(
    "odd",
    [b"data: null\n\n", data({"object": "chat.completion.chunk", "choices": None, "usage": None}),
     data({"object": "chat.completion.chunk", "usage": {}})],
    ids=["null", "no choices", "empty usage"],
)  # fmt: skip
def test_case_P2_a_frame_of_nothing_ends_no_stream(odd):
    """Beats as some vendors write them: the stream goes on, and its usage counts."""
    _, meter = run(OPENAI, [*words(2), odd, *words(1), USAGE_LAST, DONE])
    assert (None, True, READ) == (meter.error, meter.finished, meter.usage)


def test_case_M11_counts_that_have_begun_do_not_fall_to_zero():
    """A report of zeros behind the true one is none; zeros alone stay zero."""
    zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    _, meter = run(OPENAI, [*words(2), USAGE_LAST, data({"choices": [], "usage": zero}), DONE])
    assert (READ, UsageSource.UPSTREAM) == (meter.usage, meter.usage_source)


class UnendedReader(StreamReader):
    """A protocol without a last event: a word in `why` ends the answer."""

    def __init__(self, *, choices, strip_usage):
        del choices, strip_usage

    def read(self, meter, event, document):
        meter.produce(event.data)
        if document.get("why"):
            self.has_ended = meter.is_final = True
        return document


UNENDED = dataclasses.replace(
    OPENAI,
    stream_reader=UnendedReader,
    end=sse.StreamEnd(
        frame=b"",
        marker=b'"why"',
        is_last=lambda event: b'"why": "' in event.data,
        is_document=True,
        waits=True,
    ),
)
ANSWERED = [data({"text": "a"}), data({"text": "b", "why": "stop"}), data({"meta": 1})]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_without_a_last_event_the_end_passes_when_the_upstream_closes(size):
    """From the document that ends the answer on nothing passes before the upstream has closed."""
    meter = StreamMeter(UNENDED)
    raw = b"".join(ANSWERED)
    passed = b"".join(meter.feed(raw[at : at + size]) for at in range(0, len(raw), size))
    assert (ANSWERED[0], True, False) == (passed, meter.awaits_close, meter.finished)
    assert b"".join(ANSWERED[1:]) == meter.finish()
    assert meter.finished


def test_without_a_last_event_an_error_behind_the_answer_is_an_error():
    """What was kept for the end does not pass when the upstream then tells of a failure."""
    meter = StreamMeter(UNENDED)
    meter.feed(b"".join(ANSWERED[:2]))
    assert b"" == meter.feed(data({"error": {"message": "no"}}))
    assert (b"", False, False) == (meter.finish(), meter.awaits_close, meter.finished)
    assert meter.error is not None


def test_without_a_last_event_half_a_frame_behind_the_answer_is_nothing():
    """An upstream that stops in the middle of its metadata has answered all the same."""
    meter = StreamMeter(UNENDED)
    meter.feed(b"".join(ANSWERED[:2]) + b'data: {"met')
    assert (ANSWERED[1], True, None) == (meter.finish(), meter.finished, meter.error)


def test_without_a_last_event_what_follows_the_answer_is_bounded():
    """An upstream that never stops behind its answer is cut, not kept."""
    meter = StreamMeter(UNENDED)
    meter.feed(ANSWERED[1])
    for _ in range(3):
        meter.feed(data({"meta": "x" * (sse.MAX_FRAME_BYTES // 2)}))
    assert meter.error is not None
