"""Streams of responses are metered: their usage, their end, their failure."""

import orjson
import pytest

from tollgate_dialects.answer.meter import StreamMeter
from tollgate_dialects.common import sse
from tollgate_dialects.openai_responses.dialect import OPENAI_RESPONSES
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import UsageSource

USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
    "output_tokens": 40,
    "output_tokens_details": {"reasoning_tokens": 30},
    "total_tokens": 140,
}
TEXT = {
    "type": "response.output_text.delta",
    "item_id": "msg_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hello, dear reader.",
}


def frame(document: dict) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (document["type"].encode(), orjson.dumps(document))


def last(kind: str, **members: object) -> bytes:
    response = {"id": "resp_1", "object": "response", "output": [], **members}
    return frame({"type": kind, "response": response})


@pytest.mark.parametrize(
    ("kind", "status"), [("response.completed", "completed"), ("response.incomplete", "incomplete")]
)
def test_the_last_event_has_the_usage(kind, status):
    """Cached and written tokens are taken out of the input; nothing passes after it."""
    meter = StreamMeter(OPENAI_RESPONSES.answer)
    end = last(kind, status=status, usage=USAGE)
    passed = meter.feed(frame(TEXT) + end + frame(TEXT)) + meter.finish()
    assert meter.finished
    assert frame(TEXT) + end == passed
    assert (30, 40, 60, 10) == tuple(
        meter.usage[unit]
        for unit in (Unit.INPUT, Unit.OUTPUT, Unit.CACHE_READ, Unit.CACHE_WRITE_5M)
    )
    assert 30 == meter.usage.reasoning_tokens
    assert meter.usage_source is UsageSource.UPSTREAM


def test_a_stream_without_its_last_event_has_failed():
    """Nothing is supplied: the last event is the answer itself, and only its maker has it."""
    meter = StreamMeter(OPENAI_RESPONSES.answer)
    assert frame(TEXT) == meter.feed(frame(TEXT))
    assert b"" == meter.finish()
    assert not meter.finished
    assert not meter.is_final
    assert meter.usage_source is UsageSource.ESTIMATED
    assert -1 == sse.end_of(frame(TEXT), OPENAI_RESPONSES.answer.end)


def test_done_is_another_word_for_completed():
    """What some call response.done passes under the name that clients wait for."""
    meter = StreamMeter(OPENAI_RESPONSES.answer)
    passed = meter.feed(last("response.done", status="completed", usage=USAGE))
    assert meter.finished
    assert passed.startswith(b"event: response.completed\n")
    assert 0 == sse.end_of(passed, OPENAI_RESPONSES.answer.end)


@pytest.mark.parametrize(
    "failure",
    [
        last("response.failed", status="failed", error={"code": "server_error", "message": "m"}),
        frame({"type": "error", "error": {"type": "t", "code": "rate_limit_exceeded"}}),
        frame({"type": "error", "code": "server_error", "message": "m", "sequence_number": 3}),
        last("response.completed", status="failed", error={"code": "server_error"}),
    ],
)
def test_a_failure_is_no_end(failure):
    """A failure that the upstream tells of ends the stream with an error, and does not pass."""
    meter = StreamMeter(OPENAI_RESPONSES.answer)
    assert frame(TEXT) == meter.feed(frame(TEXT) + failure)
    assert meter.error
    assert meter.is_failure_told
    assert not meter.finished
    assert meter.usage[Unit.OUTPUT] > 0


def test_a_beat_in_the_word_of_another_protocol_is_no_end():
    """[DONE] after the last event is dropped; without one before it, it ends nothing."""
    meter = StreamMeter(OPENAI_RESPONSES.answer)
    meter.feed(frame(TEXT) + b"data: [DONE]\n\n")
    meter.finish()
    assert not meter.finished
