"""What an upstream says in words of its own inside an answer is scrubbed, as in an error."""

import json

import pytest

from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS

KEY = "upstream-key-0123"
SAID = f"Blocked by https://filter.corp/x for {KEY}"
STOP = {"stop_reason": "refusal", "stop_sequence": None,
        "stop_details": {"type": "refusal", "category": "cyber", "explanation": SAID}}  # fmt: skip
MESSAGE = {"type": "message", "role": "assistant", "model": "m", "content": [],
           "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
BODIES = {
    Protocol.ANTHROPIC_MESSAGES: {**MESSAGE, **STOP},
    Protocol.GEMINI: {"candidates": [{"finishReason": "SAFETY", "finishMessage": SAID}],
                      "promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": SAID}},
}  # fmt: skip
EVENTS = {
    Protocol.ANTHROPIC_MESSAGES: (
        {"type": "message_start", "message": {**MESSAGE, "stop_reason": None}},
        {"type": "message_delta", "delta": STOP, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ),
    Protocol.GEMINI: (BODIES[Protocol.GEMINI],),
}


def framed(document):
    name = f"event: {document['type']}\n" if "type" in document else ""
    return f"{name}data: {json.dumps(document)}\n\n".encode()


@pytest.mark.parametrize("protocol", BODIES)
def test_an_explanation_passes_without_addresses_and_keys(protocol):
    """Whole and in a stream: the sentence stays, what is in it of the upstream's goes."""
    rules = DIALECTS[protocol].answer
    meter = BodyMeter(rules, secrets=[KEY])
    meter.feed(json.dumps(BODIES[protocol]).encode())
    body = meter.finish()
    meter = StreamMeter(rules, secrets=[KEY])
    frames = b"".join(map(framed, EVENTS[protocol]))
    for out in (body, meter.feed(frames) + meter.finish()):
        assert b"Blocked by [redacted] for [redacted]" in out
        assert not any(word in out for word in (b"corp", KEY.encode()))


@pytest.mark.parametrize("before", [b"", b'data: {"choices":[]}\n\n'])
def test_a_frame_behind_a_byte_order_mark_passes_without_it(before):
    """A client reads the mark as a part of a name: what is metered is what it can read."""
    frame = b'data: {"choices":[{"index":0,"delta":{"content":"abc"}}]}\n\n'
    passed = StreamMeter(DIALECTS[Protocol.OPENAI_CHAT].answer).feed(
        before + b"\xef\xbb\xbf" + frame
    )
    assert passed.endswith(b"\n\n" + frame if before else frame)
    assert b"\xef\xbb\xbf" not in passed
