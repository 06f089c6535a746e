"""Streams and bodies of Converse are metered: their usage, their end, their failure."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.dialects.bedrock_converse import aws
from tollgate_dialects.answer.reported import ImplausibleError
from tollgate_dialects.bedrock_converse import usage
from tollgate_dialects.conversation.answer import Finished, Stop
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import UsageSource

START = aws.event("messageStart", role="assistant")
STOP = aws.event("messageStop", stopReason="end_turn")


def test_the_usage_comes_behind_the_end():
    """Text, its end, the usage: the stream ends with the usage and not before."""
    meter, _ = aws.metered(START + aws.text("hello") + STOP)
    assert meter.is_final
    whole = START + aws.text("hello") + aws.end(cacheReadInputTokens=7, cacheWriteInputTokens=3)
    meter, passed = aws.metered(whole + aws.text("behind"))
    assert meter.finished
    assert b"behind" not in passed
    counts = [meter.usage[unit] for unit in (Unit.INPUT, Unit.OUTPUT, Unit.CACHE_READ)]
    assert [10, 5, 7] == counts
    assert 3 == meter.usage[Unit.CACHE_WRITE_5M]
    assert UsageSource.UPSTREAM is meter.usage_source


def test_an_answer_whose_usage_never_came_is_complete_and_estimated():
    """The text had ended: the client gets its last event, and the charge is an estimate."""
    meter, passed = aws.metered(START + aws.text("hello there") + STOP)
    assert meter.finished
    assert UsageSource.ESTIMATED is meter.usage_source
    assert isinstance(aws.events_in(passed)[-1], Finished)


@pytest.mark.parametrize(
    "cut",
    [
        START + aws.text("hello"),
        START + aws.text("hello") + STOP + aws.end()[-40:-20],
        START + aws.text("hello") + aws.end()[:-1],
        START + aws.text("hello") + aws.event("metadata", usage={"inputTokens": 1}),
    ],
)
def test_a_cut_stream_is_no_answer(cut):
    """Half a message, or no end of the text: a failure."""
    meter, _ = aws.metered(cut, size=11)
    assert not meter.finished


@pytest.mark.parametrize("odd", [["end_turn"], {"a": "b"}, True, 1, ""])
def test_only_a_word_ends_a_stream(odd):
    """What is read as an end is passed as one, or it is none: the stream has failed."""
    raw = START + aws.text("hello") + aws.event("messageStop", stopReason=odd)
    meter, _ = aws.metered(raw + aws.event("metadata", usage={"inputTokens": 1, "outputTokens": 1}))
    assert not meter.finished


def test_metadata_may_come_first():
    """As some fakes of AWS write it."""
    raw = aws.text("a") + aws.event("metadata", usage={"inputTokens": 1, "outputTokens": 2}) + STOP
    meter, passed = aws.metered(raw)
    assert meter.finished
    assert 2 == meter.usage[Unit.OUTPUT]
    assert isinstance(aws.events_in(passed)[-1], Finished)


@pytest.mark.parametrize(
    ("name", "status", "is_told"),
    [
        ("throttlingException", 429, True),
        ("validationException", 400, True),
        ("internalServerException", 500, False),
        ("modelStreamErrorException", 500, False),
        ("serviceUnavailableException", 503, False),
        ("somethingNewException", 0, False),
    ],
)
def test_an_exception_in_a_stream_is_its_end(name, status, is_told):
    """Its words are told only where the client may act on them; nothing passes behind it."""
    raw = START + aws.text("hello") + aws.exception(name, "Too many tokens") + aws.end()
    meter, passed = aws.metered(raw, size=13)
    assert not meter.finished
    assert meter.error
    assert meter.is_failure_told
    assert (status, "Too many tokens" if is_told else "") == (
        meter.error.http_status,
        meter.error.message,
    )
    assert b"hello" in passed
    assert b"metadata" not in passed


def test_an_error_without_a_shape_is_told_apart():
    """AWS's other form of an error: its code and words are headers."""
    raw = aws.message(
        b"", message_type="error", error_code="throttlingException", error_message="m"
    )
    meter, _ = aws.metered(aws.text("a") + raw)
    assert meter.error
    assert (429, "m") == (meter.error.http_status, meter.error.message)


def test_what_is_no_stream_is_a_failure():
    """An error page, events of text, a document where a stream was asked for."""
    for raw in (b"<html>", b'data: {"a":1}\n\n' * 3, b'{"message":"no"}', b""):
        meter, passed = aws.metered(raw, size=9)
        assert not meter.finished
        assert b"" == passed


def test_an_unknown_event_is_passed_over():
    """Also one that speaks of the connection; its name is one word, or it is none."""
    raw = aws.message(b"{}", message_type="event", event_type="initial-response")
    meter, passed = aws.metered(raw + aws.event("somethingNew", a=1) + aws.text("a") + aws.end())
    assert meter.finished
    assert b"somethingNew" not in passed
    bad = aws.message(b"{}", message_type="event", event_type='x":1}\n\ndata: {"metadata')
    meter, passed = aws.metered(bad + aws.end())
    assert meter.error
    assert b"" == passed


def test_line_ends_in_a_payload_end_no_frame():
    """JSON may be written on several lines."""
    pretty = orjson.dumps(
        {"contentBlockIndex": 0, "delta": {"text": "a\nb"}}, option=orjson.OPT_INDENT_2
    ).replace(b"\n", b"\r\n\r\n")
    raw = aws.message(pretty, message_type="event", event_type="contentBlockDelta")
    meter, passed = aws.metered(START + raw + aws.end())
    assert meter.finished
    assert "a\nb" == aws.answer_in(passed).parts[0].text


def test_only_what_is_listed_passes():
    """Members that nobody knows, traces of guardrails: left out; words and calls stay."""
    delta = {"text": "a", "secret": "x", "citation": {"title": "t", "internal": "x"}}
    raw = aws.event("contentBlockDelta", contentBlockIndex=0, delta=delta, host="ip-10-0-0-1")
    raw += STOP + aws.event("metadata", usage={"inputTokens": 1, "outputTokens": 1}, trace={"a": 1})
    _, passed = aws.metered(raw)
    for word in (b"secret", b"internal", b"ip-10", b"trace"):
        assert word not in passed
    assert b'"title"' in passed


def body(**members):
    content = [{"text": "hi"}]
    message = {"role": "assistant", "content": content}
    report = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}
    document = {"output": {"message": message}, "stopReason": "end_turn", "usage": report}
    return orjson.dumps({**document, **members})


def test_a_whole_answer_is_charged_what_it_states():
    """And one without a report by what it holds; an error in a 200 is none."""
    meter, passed = aws.metered_body(body())
    assert meter.finished
    assert (10, 5) == (meter.usage[Unit.INPUT], meter.usage[Unit.OUTPUT])
    assert b"hi" in passed
    meter, _ = aws.metered_body(body(usage=None))
    assert UsageSource.ESTIMATED is meter.usage_source
    for none in (b'{"message":"no"}', b'{"Output":{"__type":"X"}}', b"[]", body(output={})):
        meter, passed = aws.metered_body(none)
        assert meter.error
        assert b"" == passed


@pytest.mark.parametrize("given", [["x" * 300] * 10, {"n": list(range(9_000))}, {"text": "x"}])
def test_a_calls_input_is_the_models(given):
    """An object, whatever it is made of: as it is printed, and once."""
    call = {"toolUse": {"toolUseId": "t", "name": "f", "input": given}}
    message = {"role": "assistant", "content": [call]}
    meter, _ = aws.metered_body(body(output={"message": message}, usage=None))
    assert -(-len(orjson.dumps(given)) // 3) == meter.usage[Unit.OUTPUT]


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("end_turn", Stop.END),
        ("tool_use", Stop.TOOL_CALLS),
        ("max_tokens", Stop.LENGTH),
        ("stop_sequence", Stop.STOP_SEQUENCE),
        ("guardrail_intervened", Stop.REFUSAL),
        ("content_filtered", Stop.REFUSAL),
        ("malformed_model_output", Stop.END),
        ("malformed_tool_use", Stop.END),
        ("model_context_window_exceeded", Stop.CONTEXT_FULL),
        ("a new one", Stop.END),
    ],
)
def test_ends_have_our_names(reason, stop):
    """In a stream and in a whole answer."""
    _, passed = aws.metered(aws.text("a") + aws.end(reason))
    assert stop is aws.answer_in(passed).ending.stop
    _, passed = aws.metered_body(body(stopReason=reason))
    assert stop is aws.TRANSLATION.read_answer(orjson.loads(passed)).ending.stop


# ---- usage ----------------------------------------------------------------------------------------


def read(**counts):
    return usage.read({"inputTokens": 1, "outputTokens": 2, **counts})


def test_classes_exclude_one_another():
    """Cache reads and writes are beside the input; an hour's writes are told by their details."""
    hour = [{"ttl": "1h", "inputTokens": 4}, {"ttl": "5m", "inputTokens": 6}]
    found = read(cacheReadInputTokens=3, cacheWriteInputTokens=10, cacheDetails=hour)
    units = (Unit.INPUT, Unit.CACHE_READ, Unit.CACHE_WRITE_5M, Unit.CACHE_WRITE_1H, Unit.OUTPUT)
    assert [1, 3, 6, 4, 2] == [found[unit] for unit in units]
    assert 16 == read(cacheDetails=[*hour, {"inputTokens": 6}]).total_input_tokens - 1
    assert 9 == read(cacheReadInputTokenCount=9)[Unit.CACHE_READ]
    assert 2 == read(cacheWriteInputTokens=2, cacheDetails=hour)[Unit.CACHE_WRITE_1H]


@pytest.mark.parametrize(
    "counts",
    [
        {"inputTokens": None},
        {"outputTokens": -1},
        {"inputTokens": 10**20},
        {"cacheReadInputTokens": 1.5},
        {"cacheWriteInputTokens": True},
        {"cacheDetails": [{"ttl": "1h", "inputTokens": -5}]},
    ],
)
def test_a_report_that_cannot_be_is_none(counts):
    """Refused whole, never repaired."""
    with pytest.raises(ImplausibleError):
        read(**counts)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(("inputTokens", "outputTokens", "cacheDetails", "ttl")),
       st.recursive(st.none() | st.integers() | st.text(max_size=3),
                    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(("ttl", "inputTokens")), inner))))  # fmt: skip
def test_whatever_is_reported_is_a_usage_or_none(report):
    """Only ImplausibleError leaves the reader, and no count is negative."""
    try:
        found = usage.read(report)
    except ImplausibleError:
        return
    assert min(found.counts) >= 0
