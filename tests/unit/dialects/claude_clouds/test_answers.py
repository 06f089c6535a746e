"""Claude's answers by Bedrock: what Anthropic would have sent, out of the cloud's frames."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects import corpus
from tests.unit.dialects.bedrock_converse import aws
from tests.unit.dialects.claude_clouds import clouds
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.anthropic.answer import RULES
from tollgate_dialects.common import sse
from tollgate_dialects.common.protocol import Protocol

METRICS = {"inputTokenCount": 10, "outputTokenCount": 5, "invocationLatency": 9}
START = {
    "id": "msg_bdrk_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
    "content": [], "stop_reason": None, "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 1},
}  # fmt: skip
EVENTS = [
    {"type": "message_start", "message": START},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hé\n"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
     "usage": {"output_tokens": 5}},
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": METRICS},
]  # fmt: skip


def stream(documents=EVENTS):
    return b"".join(clouds.chunk(json.dumps(each).encode()) for each in documents)


def metered(raw, size=1_000_000, rules=clouds.BEDROCK.answer):
    meter = StreamMeter(rules)
    passed = b"".join(meter.feed(raw[at : at + size]) for at in range(0, len(raw), size))
    return meter, passed + meter.finish()


def frames_in(told):
    frames = [sse.parse(frame + b"\n\n") for frame in told.split(b"\n\n")[:-1]]
    return [(frame.name.decode(), json.loads(frame.data)) for frame in frames]


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
def test_a_stream_is_told_as_anthropic_tells_it(size):
    """Event by event as the SDK reads them, under the names that its clients need."""
    meter, told = metered(stream(), size)
    theirs = [document for _, document in clouds.read_by_the_sdk(stream(), size)]
    assert theirs == EVENTS
    assert [(each["type"], each) for each in theirs] == frames_in(told)
    assert meter.finished
    assert (10, 5) == (meter.usage.fields()["input_tokens"], meter.usage.fields()["output_tokens"])


def test_an_exception_ends_a_stream():
    """As for Converse: its name and words, for who judges them; the SDK reads an error as well."""
    raw = stream(EVENTS[:3]) + aws.exception("throttlingException", "Too many tokens")
    meter, _ = metered(raw)
    assert meter.error is not None
    assert (429, "Too many tokens") == (meter.error.http_status, meter.error.message)
    assert "error" == clouds.read_by_the_sdk(raw)[-1][0]


@pytest.mark.parametrize(
    "event",
    [
        aws.event("chunk", bytes="no base64"),
        aws.event("chunk", bytes="bm8ganNvbg=="),
        aws.event("chunk", bytes=7),
        aws.event("chunk"),
        clouds.chunk(b"[]"),
        clouds.chunk(b'{"type":"a\\nevent: b"}'),
        clouds.chunk(b'{"type":7}'),
    ],
)
def test_a_chunk_that_holds_no_event_is_no_answer(event):
    """Nothing of it passes, and the stream has failed."""
    meter, told = metered(stream(EVENTS[:2]) + event + stream(EVENTS[2:]))
    assert (True, False) == (meter.error is not None, meter.finished)
    assert 2 >= len(frames_in(told))


def test_other_events_are_read_over():
    """As the SDK does."""
    meter, told = metered(aws.event("telemetry", a=1) + stream())
    assert meter.finished
    assert len(EVENTS) == len(frames_in(told))


@given(raw=st.binary(max_size=200), at=st.integers(0, 400))
def test_hostile_bytes_raise_nothing(raw, at):
    """Whatever stands in a stream, its meter says whether it was an answer."""
    whole = stream()
    meter, _ = metered(whole[:at] + raw + whole[at:])
    assert meter.finished is not (meter.error is not None) or not raw


def test_recorded_streams_survive_bedrock():
    """Each stream that Anthropic sent, told by Bedrock's frames, is metered and told the same."""
    seen = 0
    for each in corpus.exchanges("anthropic.messages"):
        if not each["stream"] or each["status"] != 200 or not each["resp_text"]:
            continue
        plain = corpus.stream_of(Protocol.ANTHROPIC_MESSAGES, each)
        try:
            raw = clouds.chunks(plain.replace(b"\r\n", b"\n"))
            own, told = metered(plain, rules=RULES)
            theirs, retold = metered(raw)
        except ValueError:
            continue
        if own.error is not None:
            continue
        assert frames_in(told) == frames_in(retold), each["id"]
        assert (own.finished, own.usage) == (theirs.finished, theirs.usage), each["id"]
        seen += 1
    assert seen > 20


def test_recorded_answers_pass_byte_for_byte():
    """What Bedrock answered whole is a message, and its usage is read."""
    recorded = [
        each
        for each in corpus.exchanges("bedrock.invoke")
        if "anthropic.claude" in each["url"] and each["status"] == 200
    ]
    assert recorded
    for each in recorded:
        body = each["resp_text"].encode()
        meter = BodyMeter(clouds.BEDROCK.answer)
        meter.feed(body)
        assert json.loads(body) == json.loads(meter.finish()), each["id"]
        assert meter.usage.fields()["output_tokens"], each["id"]
