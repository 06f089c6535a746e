"""Whatever comes in: only what AWS's SDK takes goes out, and only legal events come of a stream."""

import contextlib
import itertools
import json
import time

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.dialects.anthropic import sdk
from tests.unit.dialects.anthropic import test_fuzz as messages
from tests.unit.dialects.bedrock_converse import aws
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.anthropic.translate.translation import TRANSLATION as MESSAGES
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.conversation.machine import IllegalEventError, Machine
from tollgate_dialects.conversation.parts import FunctionTool
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.conversation.translation import Target, Untranslatable

MODELS = st.sampled_from(
    (
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-3-haiku-20240307-v1:0",
        "us.anthropic.claude-opus-4-8-v1:0", "us.amazon.nova-2-lite-v1:0",
        "openai.gpt-oss-120b-1:0", "us.meta.llama4-maverick-17b-instruct-v1:0",
    )
)  # fmt: skip
LIMITS = st.none() | st.integers(1, 50_000)


@settings(max_examples=200, deadline=None)
@given(
    messages.MEMBERS,
    st.lists(messages.TAME_MESSAGES, min_size=1, max_size=4) | st.lists(messages.MESSAGES),
    MODELS,
    LIMITS,
)
def test_requests_are_what_the_sdk_takes_or_refused(members, said, model, limit):
    """Any message that reads as a request is written as one of the SDK's shape, or refused."""
    try:
        request = MESSAGES.read_request({**members, "messages": said})
        written = aws.TRANSLATION.write_request(request, Target(model, limit))
    except (BadRequest, Untranslatable):
        return
    document = orjson.loads(orjson.dumps(written.document))
    aws.check_request(document)
    roles = [message["role"] for message in document["messages"]]
    assert "user" == roles[0]
    assert not any(one == other for one, other in itertools.pairwise(roles))
    for block in blocks_in(document):
        assert block.get("text", "x")
        assert block.get("toolResult", {"content": "x"})["content"]
    marks = sum("cachePoint" in block for block in blocks_in(document))
    assert marks <= 4
    if any("toolUse" in block for block in blocks_in(document)):
        assert document["toolConfig"]["tools"]


def blocks_in(document):
    yield from document.get("system", ())
    yield from document.get("toolConfig", {}).get("tools", ())
    for message in document["messages"]:
        yield from message["content"]
        for block in message["content"]:
            yield from block.get("toolResult", {}).get("content", ())


# ---- streams --------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ("", "a", "text", "tool_use", "end_turn", "server_tool_use", "{}", "YQ==", "\ud800"[:0])
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | WORDS,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(("text", "toolUse", "input", "usage", "error")), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
DELTAS = st.one_of(
    st.builds(lambda words: {"text": words}, WORDS),
    st.builds(lambda words: {"toolUse": {"input": words}}, WORDS),
    st.builds(lambda words: {"reasoningContent": {"text": words}}, WORDS),
    st.builds(lambda words: {"reasoningContent": {"signature": words}}, WORDS),
    st.builds(lambda words: {"reasoningContent": {"redactedContent": words}}, WORDS),
    st.builds(lambda words: {"citation": {"title": words}}, WORDS),
    JSON,
)
STARTS = st.one_of(
    st.builds(lambda kind: {"toolUse": {"toolUseId": "c", "name": "f", "type": kind}}, WORDS),
    st.just({"toolResult": {}}),
    st.just({}),
    JSON,
)
INDICES = st.integers(0, 2) | st.just(10**19) | JSON
EVENTS = st.one_of(
    st.builds(lambda at, one: ("contentBlockStart", {"contentBlockIndex": at, "start": one}), INDICES, STARTS),
    st.builds(lambda at, one: ("contentBlockDelta", {"contentBlockIndex": at, "delta": one}), INDICES, DELTAS),
    st.builds(lambda at: ("contentBlockStop", {"contentBlockIndex": at}), INDICES),
    st.builds(lambda word: ("messageStop", {"stopReason": word}), WORDS),
    st.builds(lambda one: ("metadata", {"usage": one}), JSON),
    st.just(("messageStart", {"role": "assistant"})),
    st.builds(lambda one: ("messageStart", {"role": one}), JSON),
)  # fmt: skip


def raw_of(events):
    return b"".join(
        aws.message(json.dumps(said).encode(), message_type="event", event_type=name)
        for name, said in events
    )


@settings(max_examples=250, deadline=None)
@given(st.lists(EVENTS, max_size=14), st.integers(1, 40))
def test_streams_are_legal_whatever_comes(events, size):
    """A complete stream adds up to an answer in legal order, or is said to be unreadable."""
    meter, passed = aws.metered(raw_of(events), size)
    machine = Machine()
    try:
        told = aws.events_in(passed)
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    for event in told:
        machine.check(event)
    assert machine.finished is meter.finished
    assert min(meter.usage.counts) >= 0


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENTS, max_size=8), st.binary(max_size=30), st.integers(0, 400))
def test_hostile_bytes_raise_one_thing(events, noise, at):
    """Bytes cut, inserted, repeated: the meter fails or passes, the translator says one thing."""
    raw = raw_of(events)
    raw = raw[:at] + noise + raw[at:]
    meter = StreamMeter(aws.RULES)
    translator = StreamTranslator(
        aws.TRANSLATION.event_reader(), MESSAGES.event_writer(sdk.context()), [FunctionTool("f")]
    )
    passed = meter.feed(raw) + meter.finish()
    with contextlib.suppress(IllegalEventError):
        translator.feed(passed, meter.usage)


@settings(max_examples=200, deadline=None)
@given(JSON, JSON, WORDS)
def test_whole_answers_are_read_or_refused(content, block, reason):
    """Any document: an answer, or one of the errors that a reader may raise."""
    parts = [block, {"text": "a"}] if isinstance(block, dict) else content
    document = {"output": {"message": {"content": parts}}, "stopReason": reason}
    meter = BodyMeter(aws.RULES)
    meter.feed(json.dumps(document).encode())
    passed = meter.finish()
    if meter.error:
        return
    with contextlib.suppress(ValueError, KeyError, TypeError):
        aws.TRANSLATION.read_answer(orjson.loads(passed))


def test_deep_and_long_documents_end():
    """Nesting, repeated members and huge numbers: a failure or an answer, in no time."""
    deep = b'{"contentBlockIndex":0,"delta":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    twice = b'{"contentBlockIndex":0,"contentBlockIndex":1,"delta":{"text":"a","text":"b"}}'
    huge = b'{"contentBlockIndex":' + b"9" * 5_000 + b',"delta":{"text":"a"}}'
    half = b'{"contentBlockIndex":0,"delta":{"text":"\\ud800"}}'
    for payload in (deep, twice, huge, half, b"null", b"[]", b"7"):
        raw = aws.message(payload, message_type="event", event_type="contentBlockDelta")
        meter, passed = aws.metered(raw + aws.end())
        with contextlib.suppress(ValueError, KeyError, TypeError, IllegalEventError):
            aws.answer_in(passed)
        assert meter.error or meter.finished


def test_work_is_in_proportion_to_what_comes():
    """Many marks, documents of one name, pieces of a signature: as many again take twice as long."""
    marked = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
    source = {"type": "text", "media_type": "text/plain", "data": "a"}
    document = {"type": "document", "title": "same", "source": source}
    model = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

    def write(count):
        said = [{"role": "user", "content": [marked, document] * count}]
        request = MESSAGES.read_request({"messages": said})
        return aws.TRANSLATION.write_request(request, Target(model, 9))

    def read(count):
        reader = aws.TRANSLATION.event_reader()
        piece = {"reasoningContent": {"signature": "s"}}
        for _ in range(count):
            reader.told({"contentBlockDelta": {"contentBlockIndex": 0, "delta": piece}})
        return reader.told({"contentBlockStop": {"contentBlockIndex": 0}})

    for work, count in ((write, 2_000), (read, 10_000)):
        once, thrice = (min(timed(work, count * times) for _ in range(3)) for times in (1, 3))
        assert thrice < 6 * once


def timed(work, count) -> float:
    began = time.process_time()
    work(count)
    return time.process_time() - began
