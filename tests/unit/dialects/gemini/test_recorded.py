"""Recorded calls go through the one form and come back the same, judged by Google's SDK."""

import dataclasses
import json
from typing import Any

import orjson
import pytest

from tests.unit.dialects import corpus
from tests.unit.dialects.gemini import sdk
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.anthropic.dialect import ANTHROPIC_MESSAGES
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.conversation.parts import Media, Text, ToolCall, ToolResult
from tollgate_dialects.conversation.request import Request
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.conversation.translation import Target, Untranslatable
from tollgate_dialects.gemini import signatures
from tollgate_dialects.gemini.dialect import GEMINI
from tollgate_dialects.gemini.translate.translation import TRANSLATION
from tollgate_dialects.openai_chat.dialect import OPENAI_CHAT
from tollgate_dialects.openai_responses.dialect import OPENAI_RESPONSES
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import UsageSource
from tollgate_dialects.request import request as requests
from tollgate_dialects.request.rules import Told

OTHERS = (
    (OPENAI_CHAT, "qwen3"),
    (OPENAI_RESPONSES, "gpt-5"),
    (ANTHROPIC_MESSAGES, "claude-sonnet-4-5"),
)
CLAUDE_CODE = corpus.CORPUS / "captured-clients" / "claude-code-2.1.197.request-shape.json"


@pytest.fixture(scope="module")
def exchanges() -> list[dict[str, Any]]:
    found = corpus.exchanges("gemini.generatecontent", "gemini.streamgeneratecontent")
    # A live session is another protocol.
    return [
        one for one in found if one["status"] == 200 and "serverContent" not in one["resp_text"]
    ]


def told(exchange: dict[str, Any]) -> Told:
    return Told("gemini-3-flash", exchange["stream"])


def metered(exchange: dict[str, Any]) -> tuple[StreamMeter | BodyMeter, bytes]:
    if exchange["stream"]:
        stream = StreamMeter(GEMINI.answer)
        return stream, stream.feed(corpus.stream_of(Protocol.GEMINI, exchange)) + stream.finish()
    meter = BodyMeter(GEMINI.answer)
    meter.feed(exchange["resp_text"].encode())
    return meter, meter.finish()


def documents_of(exchange: dict[str, Any], passed: bytes) -> list[dict[str, Any]]:
    return sdk.chunks(passed) if exchange["stream"] else [json.loads(passed)]


def test_what_passes_is_what_was_sent(exchanges):
    """Byte for byte, whole and streamed; and each call is charged by its own report."""
    tried = 0
    for exchange in exchanges:
        meter, passed = metered(exchange)
        assert meter.finished, exchange["id"]
        tried += 1
        if exchange["resp_ct"] == "x-chunk-lines":
            continue
        if any(word in exchange["resp_text"] for word in ("groundingMetadata", "toolCall")):
            continue  # what was searched is not told
        if exchange["stream"]:
            sent = exchange["resp_text"].replace("\r\n", "\n").encode()
            assert passed.replace(b"\r\n", b"\n") == sent, exchange["id"]
        else:
            assert passed == exchange["resp_text"].encode(), exchange["id"]
    assert tried > 150


def test_recorded_usage_is_read_into_disjoint_classes(exchanges):
    """Input, cache and output add up to the total that Google reports."""
    tried = 0
    for exchange in exchanges:
        meter, passed = metered(exchange)
        if b'"totalTokenCount"' not in passed:
            continue
        assert meter.usage_source is UsageSource.UPSTREAM, exchange["id"]
        report = documents_of(exchange, passed)[-1]["usageMetadata"]
        usage = meter.usage
        assert usage.total_input_tokens + usage[Unit.OUTPUT] == report["totalTokenCount"]
        cached = report.get("cachedContentTokenCount", 0)
        # Sound that came from a cache counts as sound.
        assert cached - usage[Unit.AUDIO_INPUT] <= usage[Unit.CACHE_READ] <= cached
        assert usage.reasoning_tokens == report.get("thoughtsTokenCount", 0)
        assert meter.flag == "", exchange["id"]
        tried += 1
    assert tried > 150


def test_no_recorded_call_read_more_than_its_bound(exchanges):
    """What Google counted as input is below what is set aside for it."""
    tried = refused = 0
    for exchange in exchanges:
        document = exchange.get("req")
        if not isinstance(document, dict) or "contents" not in document:
            continue
        try:
            facts = requests.read(orjson.dumps(document), GEMINI.request, told(exchange))
        except BadRequest:
            refused += 1
            continue
        meter, _ = metered(exchange)
        if meter.usage_source is UsageSource.UPSTREAM:
            assert facts.unbounded_input or (
                facts.input_token_bound >= meter.usage.total_input_tokens
            ), exchange["id"]
            tried += 1
    assert tried > 120
    assert refused < 30


def kept(request: Request) -> Request:
    """What a round trip through this protocol keeps: text files as words, ids as numbers."""
    ids: dict[str, str] = {}

    def told_again(part):
        if isinstance(part, Media) and part.text:
            return Text(f"{part.name}\n\n{part.text}" if part.name else part.text)
        if isinstance(part, ToolCall | ToolResult):
            return dataclasses.replace(part, call_id=ids.setdefault(part.call_id, str(len(ids))))
        return part

    turns = tuple(
        dataclasses.replace(turn, parts=tuple(map(told_again, turn.parts)))
        for turn in request.turns
    )
    return dataclasses.replace(request, turns=turns, extra={}, unheld=frozenset())


def test_a_recorded_request_reads_back_as_it_was(exchanges):
    """Written for Google again and read again, a request is equal but for what is named."""
    tried = 0
    for exchange in exchanges:
        document = exchange.get("req")
        if not isinstance(document, dict) or "contents" not in document:
            continue
        try:
            requests.read(orjson.dumps(document), GEMINI.request, told(exchange))
            request = TRANSLATION.read_request(document)
            target = Target("gemini-3-flash", request.max_output_tokens)
            written = TRANSLATION.write_request(request, target)
        except (BadRequest, Untranslatable):
            continue
        again = kept(TRANSLATION.read_request(json.loads(json.dumps(written.document))))
        if not written.dropped:
            assert kept(request) == again, exchange["id"]
        if "thinking" not in written.dropped:
            assert kept(request).turns == again.turns, exchange["id"]
        assert [tool.name for tool in request.tools] == [tool.name for tool in again.tools]
        tried += 1
    assert tried > 120


def test_recorded_requests_are_told_to_other_vendors(exchanges):
    """To chats, Responses and messages: written, or refused with a word; never anything else."""
    written = 0
    for exchange in exchanges:
        document = exchange.get("req")
        if not isinstance(document, dict) or "contents" not in document:
            continue
        try:
            requests.read(orjson.dumps(document), GEMINI.request, told(exchange))
            request = TRANSLATION.read_request(document)
        except BadRequest:
            continue
        for dialect, model in OTHERS:
            try:
                sent = dialect.translation.write_request(request, Target(model, 4_000)).document
            except Untranslatable:
                continue
            body = orjson.dumps({"max_tokens": 4_000, **sent} if "messages" in sent else sent)
            if dialect is not OPENAI_RESPONSES:
                requests.read(body, dialect.request)
            written += 1
    assert written > 350


def test_a_recorded_answer_reads_the_same_to_the_sdk(exchanges):
    """Thoughts, text, calls, how it ended, usage, and each signature on its part, bytes unchanged."""
    tried = 0
    for exchange in exchanges:
        meter, passed = metered(exchange)
        if b"executableCode" in passed:
            continue
        documents = documents_of(exchange, passed)
        if any("partialArgs" in json.dumps(one) for one in documents):
            continue  # the SDK does not put them together
        if exchange["stream"]:
            translator = StreamTranslator(
                TRANSLATION.event_reader(), TRANSLATION.event_writer(sdk.context())
            )
            written = sdk.chunks(translator.feed(passed, meter.usage))
            assert translator.finished
        else:
            answer = TRANSLATION.read_answer(documents[0])
            written = [TRANSLATION.write_answer(answer, meter.usage, sdk.context())]
        before, after = sdk.gist(*documents), sdk.gist(*written)
        assert before["said"] == after["said"], exchange["id"]
        genuine = [one for one in after["signed"] if one[1].decode() != signatures._FOREIGN]
        assert before["signed"] == genuine, exchange["id"]
        if before["reason"] in ("STOP", "MAX_TOKENS", "SAFETY"):
            assert before["reason"] == after["reason"], exchange["id"]
        is_plain = b"toolUse" not in passed and not meter.usage[Unit.AUDIO_INPUT]
        if b'"totalTokenCount"' in passed and is_plain:
            assert before["usage"] == after["usage"], exchange["id"]
        tried += 1
    assert tried > 140


def test_arguments_in_pieces_come_together(exchanges):
    """Vertex may tell a call's arguments path by path: clients of others get one object."""
    found = []
    for exchange in exchanges:
        if not exchange["stream"] or "partialArgs" not in exchange["resp_text"]:
            continue
        meter, passed = metered(exchange)
        translator = StreamTranslator(
            TRANSLATION.event_reader(), TRANSLATION.event_writer(sdk.context())
        )
        said = sdk.gist(*sdk.chunks(translator.feed(passed, meter.usage)))["said"]
        found += [one[1:] for one in said if one[0] == "call"]
    assert ("getWeather", {"location": "Boston"}) in found
    assert ("getWeather", {"location": "San Francisco"}) in found
    items = next(args for name, args in found if name == "writeItems")["operations"]
    assert [item["itemid"] for item in items] == ["apple_001", "banana_001"]
    assert [item["price"] for item in items] == [0.5, 0.3]


def test_claude_code_is_understood():
    """Claude Code's request is written for Google, its 24 tools and their schemas included."""
    if not CLAUDE_CODE.exists():
        pytest.skip("no captured clients: set TOLLGATE_CORPUS to the corpus folder")
    document = json.loads(CLAUDE_CODE.read_text())["body"]
    request = ANTHROPIC_MESSAGES.translation.read_request(document)
    written = TRANSLATION.write_request(request, Target("gemini-3-pro", 32_000)).document
    functions = written["tools"][0]["functionDeclarations"]
    assert len(functions) == len(request.tools)
    for word in ("$schema", "propertyNames", "exclusiveMinimum", "const"):
        assert f'"{word}":' not in json.dumps(
            [one.get("parametersJsonSchema") for one in functions]
        )
    requests.read(orjson.dumps(written), GEMINI.request, Told("gemini-3-pro", stream=True))


@pytest.mark.parametrize(
    ("dialect", "api"),
    [
        (ANTHROPIC_MESSAGES, "anthropic.messages"),
        (OPENAI_CHAT, "openai.chat"),
        (OPENAI_RESPONSES, "openai.responses"),
    ],
)
def test_streams_of_other_vendors_are_streams_to_the_sdk(dialect, api):
    """A recorded stream of another protocol is a legal one here, and ends with its usage."""
    tried = 0
    for exchange in corpus.exchanges(api):
        if not exchange["stream"] or exchange["status"] != 200:
            continue
        try:
            raw = corpus.stream_of(dialect.protocol, exchange)
        except ValueError:  # cut in the middle of an event
            continue
        meter = StreamMeter(dialect.answer)
        passed = meter.feed(raw) + meter.finish()
        if not meter.finished:
            continue
        translator = StreamTranslator(
            dialect.translation.event_reader(), TRANSLATION.event_writer(sdk.context())
        )
        found = sdk.chunks(translator.feed(passed, meter.usage))
        assert sdk.gist(*found)["reason"] in ("STOP", "MAX_TOKENS", "SAFETY")
        usage = found[-1]["usageMetadata"]
        assert usage["promptTokenCount"] == meter.usage.total_input_tokens
        assert usage["totalTokenCount"] == usage["promptTokenCount"] + meter.usage[Unit.OUTPUT]
        tried += 1
    assert tried > 20
