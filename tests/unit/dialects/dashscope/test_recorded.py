"""Recorded generations go through the one form and come back the same, judged by their SDK."""

import dataclasses
import json

import orjson
import pytest

from tests.unit.dialects import corpus
from tests.unit.dialects.dashscope import sdk
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.anthropic.dialect import ANTHROPIC_MESSAGES
from tollgate_dialects.common import sse
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.conversation.machine import Machine
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.conversation.translation import Target, Untranslatable
from tollgate_dialects.dashscope.dialect import DASHSCOPE
from tollgate_dialects.dashscope.translate.translation import TRANSLATION
from tollgate_dialects.openai_chat.dialect import OPENAI_CHAT
from tollgate_dialects.openai_responses.dialect import OPENAI_RESPONSES
from tollgate_dialects.pricing.bound import worst_case
from tollgate_dialects.pricing.cost import ceil_nano_usd
from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import UsageSource
from tollgate_dialects.request import request, rewrite

APIS = (
    "dashscope.aigc.text-generation.generation",
    "dashscope.aigc.multimodal-generation.generation",
)
# Frames of a research, which has no message at its end and searches on its own.
RESEARCH = "deep-research"


@pytest.fixture(scope="module")
def exchanges():
    return [one for one in corpus.exchanges(*APIS) if RESEARCH not in one["id"]]


def is_stream(exchange):
    return exchange["resp_text"].lstrip().startswith("id:")


def metered(exchange):
    """The meter after an answer, and what it passed."""
    raw = corpus.stream_of(Protocol.DASHSCOPE, exchange)
    meter = StreamMeter(DASHSCOPE.answer) if is_stream(exchange) else BodyMeter(DASHSCOPE.answer)
    return meter, meter.feed(raw) + meter.finish()


def facts_of(document, *, stream=False):
    told = DASHSCOPE.request.told(None, stream=stream)
    return request.read(orjson.dumps(document), DASHSCOPE.request, told)


def answers(exchanges, *, stream):
    """Recorded answers, with their meters and what passed of them."""
    for exchange in exchanges:
        if exchange["status"] == 200 and is_stream(exchange) is stream:
            meter, passed = metered(exchange)
            if meter.finished:
                yield exchange, meter, passed


def test_recorded_answers_pass_byte_for_byte(exchanges):
    """Whole or in frames: what DashScope sends reaches its clients as it was, with its usage."""
    tried = 0
    for exchange in exchanges:
        if exchange["status"] != 200 or "error" in exchange["id"]:
            continue
        meter, passed = metered(exchange)
        assert meter.finished, exchange["id"]
        if "generation-image-nosse" in exchange["id"]:
            continue  # a picture that was made: it has no tokens
        raw = corpus.stream_of(Protocol.DASHSCOPE, exchange).lstrip(b"\n")
        assert raw.rstrip(b"\n") == passed.rstrip(b"\n"), exchange["id"]
        assert (UsageSource.UPSTREAM, "") == (meter.usage_source, meter.flag), exchange["id"]
        tried += 1
    assert tried >= 27


def test_the_last_frame_waits(exchanges):
    """All but what ends the answer passes at once; that passes when the upstream has closed."""
    for exchange in exchanges:
        if exchange["status"] != 200 or not is_stream(exchange) or "error" in exchange["id"]:
            continue
        raw = corpus.stream_of(Protocol.DASHSCOPE, exchange)
        meter = StreamMeter(DASHSCOPE.answer)
        at_once, last = meter.feed(raw), meter.finish()
        assert sse.end_of(at_once, DASHSCOPE.answer.end) < 0
        assert 0 == sse.end_of(last, DASHSCOPE.answer.end)
        assert 1 == last.count(b"event:result")


def test_recorded_errors_are_told(exchanges):
    """An error in a stream of status 200 and one in a body: status, code and words, scrubbed."""
    found = {}
    for exchange in exchanges:
        if "error" in exchange["id"]:
            meter, passed = metered(exchange)
            assert not passed
            found[exchange["id"].split("/")[-1]] = (meter.error.http_status, meter.error.code)
    assert {(401, ""), (400, "InvalidParameter")} == set(found.values())
    assert 3 == len(found)


def test_recorded_requests_cover_their_usage(exchanges):
    """The worst case of a request is never below what DashScope billed for it."""
    price = Price.of(
        model="m", version=1, source="t", max_input_tokens=1_000_000, max_output_tokens=32_768,
        input_pico_usd=1_000, output_pico_usd=7_000, cache_read_pico_usd=100,
        cache_write_5m_pico_usd=1_250, cache_write_1h_pico_usd=0,
    )  # fmt: skip
    tried = 0
    for exchange in exchanges:
        document = exchange.get("req")
        if exchange["status"] != 200 or "error" in exchange["id"] or not document:
            continue
        try:
            facts = facts_of(document)
        except BadRequest:
            continue
        meter, _ = metered(exchange)
        usage = meter.usage
        assert facts.unbounded_input or facts.input_token_bound >= usage.total_input_tokens
        spent = ceil_nano_usd(usage.total_input_tokens * 1_250 + usage[Unit.OUTPUT] * 7_000)
        assert worst_case(facts, price).amount_nano_usd >= spent, exchange["id"]
        tried += 1
    assert tried >= 20


def test_a_recorded_request_reads_back_as_it_was(exchanges):
    """Written for the same protocol and read again, a request is equal but for what is named."""
    tried = 0
    for exchange in exchanges:
        try:
            facts_of(exchange["req"])
            asked = TRANSLATION.read_request(exchange["req"])
            written = TRANSLATION.write_request(asked, Target(asked.model, asked.max_output_tokens))
        except (BadRequest, Untranslatable, KeyError):
            continue
        again = TRANSLATION.read_request(json.loads(json.dumps(written.document)))
        assert again.turns == asked.turns, exchange["id"]
        if not written.dropped:
            assert plain(again) == plain(asked), exchange["id"]
        tried += 1
    assert tried >= 20


def plain(asked):
    return dataclasses.replace(asked, told_as=frozenset(), extra={})


def test_recorded_requests_are_told_to_other_vendors(exchanges):
    """To chats, to messages, to Responses: written, or refused with a word."""
    written = 0
    models = {OPENAI_CHAT: "gpt-4o", ANTHROPIC_MESSAGES: "claude-sonnet-4-5",
              OPENAI_RESPONSES: "gpt-5"}  # fmt: skip
    for exchange in exchanges:
        try:
            facts_of(exchange["req"])
        except (BadRequest, KeyError):
            continue
        asked = TRANSLATION.read_request(exchange["req"])
        for dialect, model in models.items():
            try:
                document = dialect.translation.write_request(asked, Target(model, 4_000)).document
            except Untranslatable:
                continue
            assert document.get("messages") or document.get("input")
            orjson.dumps(document)
            written += 1
    assert written >= 55


def test_a_recorded_answer_reads_the_same_to_the_sdk(exchanges):
    """Text, thinking, calls, how it ended and usage, in each of the forms that a client asks."""
    tried = 0
    for exchange, meter, passed in answers(exchanges, stream=False):
        document = json.loads(passed)
        answer = TRANSLATION.read_answer(document)
        for words in ((), ("message",), ("parts",)):
            written = TRANSLATION.write_answer(answer, meter.usage, sdk.context(None, *words))
            assert sdk.whole(document) == sdk.whole(written), exchange["id"]
            usage = written["usage"]
            assert usage["output_tokens"] == meter.usage[Unit.OUTPUT]
            assert usage["input_tokens"] == meter.usage.total_input_tokens
        told = TRANSLATION.write_answer(answer, meter.usage, sdk.context(None, "text"))
        assert sdk.whole(document)["text"] == told["output"]["text"]
        tried += 1
    assert tried >= 12


def test_a_recorded_stream_reads_the_same_to_the_sdk(exchanges):
    """The same of streams, told in pieces or whole so far, to both of the SDK's clients."""
    tried = 0
    for exchange, meter, passed in answers(exchanges, stream=True):
        original = sdk.streamed(passed)
        for words in (("pieces", "message"), ("pieces", "parts")):
            assert original == sdk.streamed(translated(passed, meter.usage, *words)), exchange["id"]
        pieces = translated(passed, meter.usage, "pieces", "message")
        assert original["text"] == sdk.merged(pieces)
        full = translated(passed, meter.usage, "message")
        assert original == sdk.whole(sdk.frames_of(full)[-1]), exchange["id"]
        # And what is told whole so far is read again as the same answer.
        assert added_up(full) == added_up(pieces) == added_up(passed), exchange["id"]
        tried += 1
    assert tried >= 10


def translated(passed, usage, *words):
    translator = StreamTranslator(
        TRANSLATION.event_reader(), TRANSLATION.event_writer(sdk.context(None, *words))
    )
    written = translator.feed(passed, usage)
    assert translator.finished
    last = sdk.frames_of(written)[-1]["usage"]
    assert (usage.total_input_tokens, usage[Unit.OUTPUT]) == (
        last["input_tokens"], last["output_tokens"],
    )  # fmt: skip
    meter = StreamMeter(DASHSCOPE.answer)
    assert written == meter.feed(written) + meter.finish()
    assert meter.finished
    return written


def added_up(frames):
    reader, machine, position = TRANSLATION.event_reader(), Machine(), 0
    while position < len(frames):
        start, position = sse.frame_at(frames, position)
        for event in reader.read(sse.parse(frames[start:position])):
            machine.check(event)
    return dataclasses.replace(machine.answer(), answer_id="")


@pytest.mark.parametrize(
    ("dialect", "api"),
    [
        (ANTHROPIC_MESSAGES, "anthropic.messages"),
        (OPENAI_CHAT, "openai.chat"),
        (OPENAI_CHAT, "openai.chat(dashscope-compat)"),
    ],
)
def test_streams_of_other_vendors_are_generations_to_the_sdk(dialect, api):
    """A recorded stream of another protocol is a legal one here, and ends with its usage."""
    tried = 0
    for exchange in corpus.exchanges(api):
        if not exchange["stream"] or exchange["status"] != 200:
            continue
        meter = StreamMeter(dialect.answer)
        passed = meter.feed(corpus.stream_of(dialect.protocol, exchange)) + meter.finish()
        if not meter.finished:
            continue
        writer = TRANSLATION.event_writer(sdk.context(None, "pieces"))
        translator = StreamTranslator(dialect.translation.event_reader(), writer)
        written = translator.feed(passed, meter.usage)
        assert translator.finished
        sdk.streamed(written)
        last = sdk.frames_of(written)[-1]
        assert last["usage"]["output_tokens"] == meter.usage[Unit.OUTPUT]
        tried += 1
    assert tried >= (3 if "compat" in api else 20)


def test_a_recorded_request_goes_up_with_nothing_else_changed(exchanges):
    """Model and a limit inside of the parameters; every other byte is the client's."""
    for exchange in exchanges:
        try:
            facts = facts_of(exchange["req"])
        except (BadRequest, KeyError):
            continue
        body = json.dumps(exchange["req"]).encode()
        limit = 777 if facts.max_output_tokens is None else facts.max_output_tokens
        sent = rewrite.upstream_body(
            body, DASHSCOPE.request, asked=facts, model="up", max_output_tokens=limit
        )
        document = json.loads(sent)
        before = {**exchange["req"], "model": "up"}
        if facts.max_output_tokens is None:
            assert 777 == document["parameters"].pop("max_tokens")
        if facts.limit_names == ("parameters.max_completion_tokens",):
            # The model may not know the name.
            assert limit == document["parameters"].pop("max_tokens")
        assert before == document
