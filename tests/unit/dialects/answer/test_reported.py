"""What users of other gateways reported, tried here: each failed once, or nearly did."""

import json

import pytest

from tollgate_dialects.answer import reported, upstream_error
from tollgate_dialects.answer import schema as answer_schema
from tollgate_dialects.answer.meter import StreamMeter
from tollgate_dialects.anthropic import usage as message_usage
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import request, rewrite

OPENAI, ANTHROPIC = DIALECTS[Protocol.OPENAI_CHAT], DIALECTS[Protocol.ANTHROPIC_MESSAGES]


def chunk(text: str, reason: object, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


@pytest.mark.parametrize("reason", ["", None])
def test_an_empty_finish_reason_ends_nothing(reason):
    """ollama#4357: without a word a choice has not ended: no end is supplied, no usage is final."""
    meter = StreamMeter(OPENAI.answer)
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    passed = meter.feed(chunk("Hello", reason, usage=usage)) + meter.feed(chunk(" wor", reason))
    passed += meter.finish()
    assert (False, False) == (meter.finished, meter.has_final_usage)
    assert b"[DONE]" not in passed


def test_an_empty_stop_reason_ends_nothing():
    """The same for Anthropic: message_stop is not supplied."""
    meter = StreamMeter(ANTHROPIC.answer)
    event = {"type": "message_delta", "delta": {"stop_reason": ""}, "usage": {"output_tokens": 1}}
    meter.feed(b"event: message_delta\ndata: " + json.dumps(event).encode() + b"\n\n")
    assert b"message_stop" not in meter.finish()
    assert not meter.finished


def test_a_word_about_funds_wins_over_a_number():
    """FastGPT#1056: 429 with insufficient_quota is the operator's empty account, not a rate."""
    said = {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": 429}
    fault = upstream_error.in_stream(said, OPENAI.answer.error_codes)
    assert (402, "") == (fault.http_status, fault.message)


def test_zeros_do_not_take_back_a_count():
    """ai-gateway PR#1631: a delta that repeats input counters as 0 leaves them as they were."""
    merged: dict = {}
    message_usage.merge(
        merged, {"input_tokens": 2500, "cache_read_input_tokens": 900, "output_tokens": 1}
    )
    message_usage.merge(
        merged, {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 150}
    )
    usage = reported.usage_of(merged, ANTHROPIC.answer.usage)
    assert usage is not None
    assert (2500, 900, 150) == (usage[Unit.INPUT], usage[Unit.CACHE_READ], usage[Unit.OUTPUT])


def test_a_zero_under_one_name_does_not_hide_another():
    """workbuddy-manager#39: cached_tokens 0 beside prompt_cache_hit_tokens 1024."""
    usage = reported.usage_of(
        {"prompt_tokens": 1204, "completion_tokens": 5, "total_tokens": 1209,
         "prompt_tokens_details": {"cached_tokens": 0}, "prompt_cache_hit_tokens": 1024},
        OPENAI.answer.usage,
    )  # fmt: skip
    assert usage is not None
    assert (180, 1024) == (usage[Unit.INPUT], usage[Unit.CACHE_READ])


@pytest.mark.parametrize(
    "member",
    [
        {"extra_content": {"google": {"thought": True}}},
        {"reasoning_text": "hm"},
        {"reasoning_opaque": "AAAA"},
        {"tool_calls": [{"index": 0, "function": {"name": "f", "thought_signature": "AA"}}]},
    ],
    ids=str,
)
def test_what_carries_reasoning_passes(member):
    """litellm#35021, dayu-agent#45: signatures and reasoning of Copilot and Gemini reach clients."""
    document = {"choices": [{"index": 0, "delta": {"content": "x", **member}}]}
    assert document == answer_schema.kept(document, OPENAI.answer.body)


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("prod-gpt-5", "max_completion_tokens"), ("gpt5-mini", "max_completion_tokens"),
        ("azure-o3-mini", "max_completion_tokens"), ("eu.gpt-5", "max_completion_tokens"),
        ("gpt-35-turbo", "max_tokens"), ("gpt-4o", "max_tokens"), ("gpt-oss-20b", "max_tokens"),
        ("qwen-turbo1", "max_tokens"),
    ],
)  # fmt: skip
def test_the_limit_has_the_name_that_the_model_takes(model, key):
    """litellm#13714: a reasoning model behind a deployment's own name takes no max_tokens."""
    sent = b'{"model":"m","messages":[]}'
    asked = request.read(sent, OPENAI.request)
    body = rewrite.upstream_body(
        sent, OPENAI.request, asked=asked, model=model, max_output_tokens=9
    )
    assert 9 == json.loads(body)[key]
