"""Recorded responses go through the one form and come back the same, judged by OpenAI's SDK."""

import dataclasses
import json
from typing import Any

import pytest

from tests.unit.dialects import corpus
from tests.unit.dialects.openai_responses import sdk
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.anthropic.dialect import ANTHROPIC_MESSAGES
from tollgate_dialects.common import sse
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.conversation.answer import Answer
from tollgate_dialects.conversation.machine import Machine
from tollgate_dialects.conversation.parts import FunctionTool, Opaque, Thinking
from tollgate_dialects.conversation.request import Request
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.conversation.translation import Target, Untranslatable
from tollgate_dialects.openai_chat.dialect import OPENAI_CHAT
from tollgate_dialects.openai_responses.dialect import OPENAI_RESPONSES
from tollgate_dialects.openai_responses.translate.translation import TRANSLATION
from tollgate_dialects.pricing.units import Unit

CODEX = corpus.CORPUS / "captured-clients" / "codex-0.169.0.request-shape.json"

# Whoever published them has cut their deltas: they do not add up to the last event.
SHORTENED = ("openai-phase.1",)


def kept(request: Request) -> Request:
    """What a round trip through this protocol keeps: no tools of the vendor's, strict as said."""
    tools = tuple(
        dataclasses.replace(
            tool,
            strict=None if tool.takes_text else tool.strict is True,
            schema=tool.schema
            or (None if tool.takes_text else {"type": "object", "properties": {}}),
        )
        for tool in request.tools
        if isinstance(tool, FunctionTool)
    )
    return dataclasses.replace(request, tools=tools, extra={}, unheld=frozenset())


@pytest.fixture(scope="module")
def exchanges() -> list[dict[str, Any]]:
    found = corpus.exchanges("openai.responses")
    return [one for one in found if one["status"] == 200]


def asked(exchange: dict[str, Any]) -> Request:
    document = exchange.get("req")
    if not isinstance(document, dict):
        return Request(model="asked-model", turns=())
    try:
        return TRANSLATION.read_request(document)
    except BadRequest:
        return Request(model="asked-model", turns=())


def test_a_recorded_request_reads_back_as_it_was(exchanges):
    """Written for the same protocol and read again, a request is equal but for what is named."""
    tried = refused = 0
    for exchange in exchanges:
        if not isinstance(exchange.get("req"), dict):
            continue
        try:
            request = TRANSLATION.read_request(exchange["req"])
            written = TRANSLATION.write_request(
                request, Target(request.model, request.max_output_tokens)
            )
        except (BadRequest, Untranslatable):
            refused += 1
            continue
        again = kept(TRANSLATION.read_request(json.loads(json.dumps(written.document))))
        before = kept(request)
        if not written.dropped:
            assert before == again, exchange["id"]
        if "thinking" not in written.dropped:
            assert before.turns == again.turns, exchange["id"]
        assert before.tools == again.tools, exchange["id"]
        tried += 1
    assert tried > 170
    assert refused < tried / 5


def test_recorded_requests_are_told_to_other_vendors(exchanges):
    """To chat and to Anthropic: written, or refused with a word; never anything else."""
    written = 0
    for exchange in exchanges:
        if not isinstance(exchange.get("req"), dict):
            continue
        try:
            request = TRANSLATION.read_request(exchange["req"])
        except BadRequest:
            continue
        for dialect, model in ((OPENAI_CHAT, "qwen3"), (ANTHROPIC_MESSAGES, "claude-sonnet-4-5")):
            try:
                document = dialect.translation.write_request(request, Target(model, 4_000)).document
            except Untranslatable:
                continue
            assert document["messages"]
            written += 1
    assert written > 300


def test_codex_is_understood():
    """The captured request of Codex is read whole, and told to both other protocols."""
    if not CODEX.exists():
        pytest.skip("no captured clients: set TOLLGATE_CORPUS to the corpus folder")
    document = json.loads(CODEX.read_text())["body"]
    request = TRANSLATION.read_request(document)
    assert not request.extra
    assert request.turns[0].role == "developer"
    declared = [tool for tool in request.tools if isinstance(tool, FunctionTool)]
    assert any(tool.namespace for tool in declared)
    for dialect, model in ((OPENAI_CHAT, "qwen3"), (ANTHROPIC_MESSAGES, "claude-sonnet-4-5")):
        written = dialect.translation.write_request(request, Target(model, 4_000)).document
        assert len(written["tools"]) == len(declared)


def test_a_recorded_answer_reads_the_same_to_the_sdk(exchanges):
    """Text, refusal, thinking, calls, how it ended and usage; and its blocks, byte for byte."""
    tried = 0
    for exchange in exchanges:
        if exchange["stream"] or not isinstance(exchange.get("resp_text"), str):
            continue
        meter = BodyMeter(OPENAI_RESPONSES.answer)
        meter.feed(exchange["resp_text"].encode())
        passed = meter.finish()
        if not passed:
            continue
        document = json.loads(passed)
        answer = TRANSLATION.read_answer(document)
        written = TRANSLATION.write_answer(answer, meter.usage, sdk.context(asked(exchange)))
        assert sdk.gist(document) == sdk.whole(written), exchange["id"]
        usage = written["usage"]
        assert usage["output_tokens"] == meter.usage[Unit.OUTPUT]
        assert usage["input_tokens"] == meter.usage.total_input_tokens
        again = TRANSLATION.read_answer(written)
        assert [blocks(part) for part in answer.parts] == [blocks(part) for part in again.parts]
        tried += 1
    assert tried > 150


def blocks(part: Any) -> tuple[str, Opaque | None]:
    return type(part).__name__, getattr(part, "opaque", None)


def test_a_recorded_stream_reads_the_same_to_the_sdk(exchanges):
    """The same of streams; and what the events add up to is what the last one says."""
    tried = 0
    for exchange in exchanges:
        if not exchange["stream"] or any(name in exchange["id"] for name in SHORTENED):
            continue
        try:
            raw = corpus.stream_of(Protocol.OPENAI_RESPONSES, exchange)
        except ValueError:  # cut in the middle of an event
            continue
        meter = StreamMeter(OPENAI_RESPONSES.answer)
        passed = meter.feed(raw) + meter.finish()
        if not meter.finished:
            continue
        translator = StreamTranslator(
            TRANSLATION.event_reader(), TRANSLATION.event_writer(sdk.context(asked(exchange)))
        )
        written = translator.feed(passed, meter.usage)
        assert translator.finished
        original = sdk.frames_of(passed)[-1]["response"]
        assert sdk.gist(original) == sdk.streamed(written), exchange["id"]
        assert told(added_up(passed)) == told(TRANSLATION.read_answer(original)), exchange["id"]
        tried += 1
    assert tried > 25


def told(answer: Answer) -> Answer:
    """Without what vendors make anew for each event: ids, and the bytes of what is encrypted."""
    parts = [
        dataclasses.replace(part, opaque=dataclasses.replace(part.opaque, data="", item_id=""))
        if isinstance(part, Thinking) and part.opaque
        else part
        for part in answer.parts
    ]
    return dataclasses.replace(answer, answer_id="", parts=tuple(parts))


def added_up(frames: bytes) -> Any:
    reader, machine, position = TRANSLATION.event_reader(), Machine(), 0
    while position < len(frames):
        start, position = sse.frame_at(frames, position)
        for event in reader.read(sse.parse(frames[start:position])):
            machine.check(event)
    return machine.answer()


@pytest.mark.parametrize(
    ("dialect", "api"), [(ANTHROPIC_MESSAGES, "anthropic.messages"), (OPENAI_CHAT, "openai.chat")]
)
def test_streams_of_other_vendors_are_responses_to_the_sdk(dialect, api):
    """A recorded stream of another protocol is a legal one here, and ends with its usage."""
    tried = 0
    for exchange in corpus.exchanges(api):
        if not exchange["stream"] or exchange["status"] != 200:
            continue
        meter = StreamMeter(dialect.answer)
        passed = meter.feed(corpus.stream_of(dialect.protocol, exchange)) + meter.finish()
        if not meter.finished:
            continue
        machine = StreamTranslator(
            dialect.translation.event_reader(), TRANSLATION.event_writer(sdk.context())
        )
        written = machine.feed(passed, meter.usage)
        sdk.streamed(written)
        last = sdk.frames_of(written)[-1]["response"]
        assert last["usage"]["output_tokens"] == meter.usage[Unit.OUTPUT]
        tried += 1
    assert tried > 20
