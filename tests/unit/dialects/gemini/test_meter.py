"""Streams and answers are metered: their usage, their end, their failure, and what passes."""

import orjson
import pytest

from tests.unit.dialects.gemini import sdk
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.common import sse
from tollgate_dialects.gemini.dialect import GEMINI
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import Usage, UsageSource

USAGE = {
    "promptTokenCount": 100,
    "cachedContentTokenCount": 60,
    "toolUsePromptTokenCount": 5,
    "candidatesTokenCount": 10,
    "thoughtsTokenCount": 30,
    "totalTokenCount": 145,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 100}],
    "trafficType": "ON_DEMAND",
}
COUNTED = Usage.of(input_tokens=45, cache_read_tokens=60, output_tokens=40, reasoning_tokens=30)


def chunk(*parts, reason=None, **members):
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], **members}


TEXT = chunk({"text": "Hello, dear reader."})
LAST = chunk({"text": ""}, reason="STOP", usageMetadata=USAGE)


def frames(*documents):
    return b"".join(b"data: %b\n\n" % orjson.dumps(document) for document in documents)


def metered(*documents):
    meter = StreamMeter(GEMINI.answer)
    return meter, meter.feed(frames(*documents)), meter.finish()


def test_the_last_chunk_waits_for_the_close():
    """Text passes at once, the end when the upstream has closed: it may still tell its usage."""
    meter = StreamMeter(GEMINI.answer)
    assert meter.feed(frames(TEXT)) == frames(TEXT)
    bare = chunk({"text": "!"}, reason="STOP")
    assert meter.feed(frames(bare)) == b""
    assert meter.awaits_close
    behind = {"usageMetadata": USAGE, "responseId": "r"}
    assert meter.feed(frames(behind)) == b""
    assert meter.finish() == frames(bare, behind)
    assert meter.finished
    assert meter.usage == COUNTED
    assert meter.usage_source is UsageSource.UPSTREAM


def test_usage_is_read_into_disjoint_classes():
    """The cache is a part of the prompt; thoughts and tools' prompts stand beside."""
    meter, passed, rest = metered(TEXT, LAST)
    assert passed + rest == frames(TEXT, LAST)
    assert meter.usage == COUNTED
    body = BodyMeter(GEMINI.answer)
    body.feed(orjson.dumps(LAST))
    assert orjson.loads(body.finish()) == LAST
    assert body.usage == COUNTED


def test_thoughts_count_without_a_total():
    """They are no part of the candidates."""
    report = {"promptTokenCount": 9, "candidatesTokenCount": 10, "thoughtsTokenCount": 4}
    meter, *_ = metered(chunk({"text": "x"}, reason="STOP", usageMetadata=report))
    assert meter.usage == Usage.of(input_tokens=9, output_tokens=14, reasoning_tokens=4)


def test_a_cut_stream_is_charged_for_what_it_said():
    """Cumulative reports so far, and an estimate of what came behind them; it has failed."""
    so_far = {"promptTokenCount": 100, "candidatesTokenCount": 4, "totalTokenCount": 104}
    meter, *_ = metered({**TEXT, "usageMetadata": so_far}, chunk({"text": "a" * 300}))
    assert not meter.finished
    assert meter.usage_source is UsageSource.PARTIAL
    assert meter.usage[Unit.INPUT] == 100
    assert meter.usage[Unit.OUTPUT] == 4 + 100


def test_a_report_without_output_does_not_hide_text():
    """A first chunk may count the prompt alone; so does the last of an answer without words."""
    only = {"promptTokenCount": 100, "totalTokenCount": 100}
    meter, *_ = metered({**chunk({"text": "a" * 300}), "usageMetadata": only})
    assert meter.usage_source is UsageSource.PARTIAL
    assert meter.usage[Unit.OUTPUT] == 100
    meter, *_ = metered({**chunk(reason="SAFETY"), "usageMetadata": only})
    assert meter.usage_source is UsageSource.UPSTREAM
    assert meter.usage == Usage.of(input_tokens=100)


def test_arguments_count_as_text():
    """Each text in a call's arguments is the model's; a signature is not."""
    call = {"functionCall": {"name": "f", "args": {"a": ["x"], "b": {"c": "y" * 300}}}}
    meter, *_ = metered(chunk({**call, "thoughtSignature": "z" * 3_000}))
    assert 100 <= meter.usage[Unit.OUTPUT] < 110


ARGUMENTS = [
    ["word " * 60] * 10,
    {"data": "x" * 3_000},
    {"role": "x" * 3_000, "category": "y"},
    {"deep": [[{"text": "x" * 3_000}]]},
    {"numbers": list(range(10_000, 10_500))},
    {f"name{number:03}": True for number in range(220)},
    "x" * 3_000,
]


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_all_of_a_call_is_the_models(arguments):
    """Whatever its arguments are made of: as they are printed, once, in streams and bodies."""
    document = chunk({"functionCall": {"name": "f", "args": arguments}})
    meter, *_ = metered(document)
    body = BodyMeter(GEMINI.answer)
    body.feed(orjson.dumps(document))
    body.finish()
    least = len(orjson.dumps(arguments)) // 3
    for found in (meter, body):
        assert least <= found.usage[Unit.OUTPUT] <= least + 2


def test_pieces_of_arguments_count_by_their_values():
    """Where they go is not written by the model; what is no piece does not pass."""
    piece = {"jsonPath": "$.text", "stringValue": "x" * 300}
    document = chunk({"functionCall": {"name": "f", "partialArgs": [piece, {"other": "y" * 900}]}})
    meter, passed, _ = metered(document)
    assert 100 <= meter.usage[Unit.OUTPUT] <= 102
    assert b"yyy" not in passed


def test_a_blocked_prompt_is_a_whole_answer():
    """Nothing was said; it ends the stream, and what was read is charged."""
    blocked = {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
    }
    meter, passed, rest = metered(blocked)
    assert passed + rest == frames(blocked)
    assert meter.finished
    assert meter.usage == Usage.of(input_tokens=9)


@pytest.mark.parametrize("count", [-1, 1.5, "7", True, 10**12, None])
def test_a_report_that_cannot_be_is_refused(count):
    """Whole: none of its counts is believed."""
    meter, *_ = metered(
        TEXT, chunk(reason="STOP", usageMetadata={**USAGE, "promptTokenCount": count})
    )
    assert meter.finished
    assert meter.usage_source is UsageSource.ESTIMATED


@pytest.mark.parametrize("odd", [["STOP"], {"why": "STOP"}, True, 1, ""])
def test_only_a_word_ends_a_stream(odd):
    """What is read as an end is passed as one, or it is none: the stream has failed."""
    for document in (
        {**TEXT, "candidates": [{**TEXT["candidates"][0], "finishReason": odd}]},
        {"promptFeedback": {"blockReason": odd}},
    ):
        meter, passed, rest = metered(TEXT, document)
        assert not meter.finished
        assert sse.end_of(passed + rest, GEMINI.answer.end) == -1


PROSE = "Refused by {} for key AIzaSyD-1234567890abcdefg, see https://internal.example.com/x?k=1."


@pytest.mark.parametrize(
    "document",
    [
        {"candidates": [{"finishReason": "SAFETY", "finishMessage": PROSE, "index": 0}]},
        {"promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": PROSE}},
    ],
)
def test_what_google_says_of_an_end_is_scrubbed(document):
    """In its own words; keys, also the upstream's, and addresses are gone, whole or in a stream."""
    raw = orjson.dumps(document).replace(b"{}", b"our-own-key")
    stream = StreamMeter(GEMINI.answer, secrets=("our-own-key",))
    body = BodyMeter(GEMINI.answer, secrets=("our-own-key",))
    told = stream.feed(b"data: %b\n\n" % raw) + stream.finish()
    body.feed(raw)
    for passed in (told, body.finish()):
        assert b"Refused by [redacted] for key [redacted]" in passed
        for secret in (b"our-own-key", b"AIza", b"internal.example"):
            assert secret not in passed
    harmless = {"candidates": [{"finishReason": "OTHER", "finishMessage": "Too much of it: 7 > 5"}]}
    _, passed, rest = metered(harmless)
    assert passed + rest == frames(harmless)


def test_an_error_ends_a_stream():
    """As a chunk, with its status; nothing passes from there on."""
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    meter, passed, rest = metered(TEXT, error, LAST)
    assert passed + rest == frames(TEXT)
    assert meter.error is not None
    assert meter.error.http_status == 503
    assert meter.is_failure_told


def test_a_body_of_json_is_an_error_too():
    """An upstream may answer a stream with one body, in an array."""
    meter = StreamMeter(GEMINI.answer)
    body = b'[{"error":{"code":400,"message":"Bad.","status":"INVALID_ARGUMENT"}}]'
    assert meter.feed(body) + meter.finish() == b""
    assert meter.error is not None


def test_only_what_is_listed_passes():
    """At the top, in a candidate and in a part; each under its kind."""
    odd = chunk(
        {"text": "Hi", "leak": "x", "functionCall": {"name": "f", "args": {"any": {"thing": 1}}}},
        leak={"a": "b"},
        groundingMetadata={},
        responseId="r",
    )
    odd["candidates"][0]["leak"] = 1
    meter = StreamMeter(GEMINI.answer)
    passed = orjson.loads(meter.feed(frames(odd)).removeprefix(b"data: "))
    assert passed == chunk(
        {"text": "Hi", "functionCall": {"name": "f", "args": {"any": {"thing": 1}}}},
        responseId="r",
    )


@pytest.mark.parametrize(
    "document",
    [
        {"a": 1},
        {"candidates": 1},
        {"candidates": [1]},
        {"usageMetadata": 1},
        {"promptFeedback": []},
    ],
)
def test_what_is_no_answer_does_not_pass(document):
    """Whole or in a stream."""
    meter = BodyMeter(GEMINI.answer)
    meter.feed(orjson.dumps(document))
    assert meter.finish() == b""
    assert meter.error is not None
    _, passed, rest = metered(document)
    assert passed + rest == b""


def test_the_end_is_found_where_it_is():
    """Text that speaks of a finishReason is no end."""
    end = GEMINI.answer.end
    talks = frames(chunk({"text": '{"finishReason":"STOP"}'}))
    assert sse.end_of(talks, end) == -1
    assert sse.end_of(talks + frames(LAST), end) == len(talks)
    half = frames(LAST).replace(b'"text":""', b'"text":"\\ud83d"')
    assert sse.end_of(talks + half, end) == len(talks)


def test_an_error_of_ours_raises_in_the_sdk():
    """As the event that ends a broken stream, and in the body of a refusal."""
    told = {
        "type": "error",
        "error": {
            "type": "RESOURCE_EXHAUSTED",
            "code": "rate_limit_exceeded",
            "message": "The rate limit of this key is reached.",
            "param": None,
            "trace_id": "t",
            "details": {"error_code": "x"},
        },
        "request_id": "r",
    }
    body = orjson.dumps(GEMINI.errors.body(told, 429))
    with pytest.raises(sdk.errors.ClientError) as caught:
        sdk.chunks(GEMINI.errors.event(body))
    assert caught.value.code == 429
    assert caught.value.status == "RESOURCE_EXHAUSTED"
    assert caught.value.message == "The rate limit of this key is reached."
    info = caught.value.details["error"]["details"][0]
    assert info["reason"] == "RATE_LIMIT_EXCEEDED"
    assert info["metadata"]["trace_id"] == "t"
    assert all(isinstance(value, str) for value in info["metadata"].values())
