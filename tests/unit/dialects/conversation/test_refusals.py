"""A refusal is told as one: every protocol's client reads its own protocol's word for it."""

import itertools
import json

import pytest

from tests.unit.dialects.bedrock_converse import aws
from tests.unit.dialects.conversation import across
from tollgate_dialects.answer.meter import StreamMeter
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.conversation.answer import Answer, Ending, Stop
from tollgate_dialects.conversation.parts import Text, Thinking
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.registry import DIALECTS, UPSTREAM_DIALECTS

CHAT, RESPONSES, MESSAGES, GEMINI, DASHSCOPE = (
    Protocol.OPENAI_CHAT, Protocol.OPENAI_RESPONSES, Protocol.ANTHROPIC_MESSAGES, Protocol.GEMINI,
    Protocol.DASHSCOPE,
)  # fmt: skip
BEDROCK = Protocol.BEDROCK_CONVERSE
SAID = "I will not."


def chat(message, reason):
    return {"id": "a", "model": "m", "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": reason}]}  # fmt: skip


def response(part, **members):
    item = {"type": "message", "id": "m1", "role": "assistant", "content": [part]}
    return {"id": "a", "object": "response", "model": "m", "status": "completed",
            "output": [item], **members}  # fmt: skip


def message(reason):
    return {"type": "message", "id": "a", "role": "assistant", "model": "m", "stop_reason": reason,
            "content": [{"type": "text", "text": SAID}]}  # fmt: skip


def candidate(reason):
    return {"candidates": [{"content": {"parts": [{"text": SAID}]}, "finishReason": reason}]}


TEXT = {"type": "output_text", "text": SAID, "annotations": []}
# What upstreams answer, each under its protocol.
REFUSALS = [
    (CHAT, chat({"content": None, "refusal": SAID}, "stop")),
    (CHAT, chat({"content": SAID}, "content_filter")),
    (CHAT, chat({"content": SAID}, "refusal")),
    (RESPONSES, response({"type": "refusal", "refusal": SAID})),
    (RESPONSES, response(TEXT, status="incomplete",
                         incomplete_details={"reason": "content_filter"})),
    (MESSAGES, message("refusal")),
    (DASHSCOPE, {"output": {"choices": [
        {"index": 0, "finish_reason": "content_filter", "message": {"content": SAID}}]}}),
    *((GEMINI, candidate(reason)) for reason in
      ("SAFETY", "PROHIBITED_CONTENT", "RECITATION", "BLOCKLIST", "SPII")),
    *((BEDROCK, {"stopReason": reason, "output": {"message": {
        "role": "assistant", "content": [{"text": SAID}]}}}) for reason in
      ("content_filtered", "guardrail_intervened")),
]  # fmt: skip


def word(protocol, document):
    """How an answer says that it is a refusal."""
    match protocol:
        case Protocol.OPENAI_CHAT:
            choice = document["choices"][0]
            # Words of a refusal end as an answer does, with a place of their own.
            return choice["message"].get("refusal") or choice["finish_reason"]
        case Protocol.OPENAI_RESPONSES:
            details = document["incomplete_details"]
            part = document["output"][0]["content"][0]
            return details["reason"] if details else part.get("refusal")
        case Protocol.ANTHROPIC_MESSAGES:
            return document["stop_reason"]
        case Protocol.GEMINI:
            return document["candidates"][0]["finishReason"]
    return document["output"]["choices"][0]["finish_reason"]


WORDS = {
    CHAT: {SAID, "content_filter"}, RESPONSES: {SAID, "content_filter"}, MESSAGES: {"refusal"},
    GEMINI: {"SAFETY"}, DASHSCOPE: {"content_filter"},
}  # fmt: skip
CASES = [
    (source, document, target)
    for (source, document), target in itertools.product(REFUSALS, WORDS)
    if source is not target
]


@pytest.mark.parametrize(("source", "document", "target"), CASES)
def test_a_refusal_is_told_in_the_clients_word_and_its_text_stays(source, document, target):
    """In one piece: read from each vendor's way to say it, written in each client's."""
    read = UPSTREAM_DIALECTS[source].translation.read_answer(document)
    assert Stop.REFUSAL is read.ending.stop
    context = across.context(told_as=frozenset(("message",)))
    told = DIALECTS[target].translation.write_answer(read, across.USAGE, context)
    assert word(target, told) in WORDS[target]
    assert SAID in json.dumps(told)


@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(WORDS, 2)))
def test_a_streamed_refusal_is_one_as_well(source, target):
    """Written by one protocol, it is a refusal to who reads it in the other."""
    answer = across.answered(SAID, stop=Stop.REFUSAL)
    out, finished = across.told(source, target, across.frames(source, answer))
    assert finished
    added = across.added_up(target, out)
    assert (Stop.REFUSAL, SAID) == (added.ending.stop, added.parts[0].text)


@pytest.mark.parametrize("target", WORDS)
def test_a_refusal_of_aws_is_one_in_a_stream(target):
    """Its reason stands in an event of its own."""
    raw = aws.event("messageStart", role="assistant") + aws.text(SAID)
    raw += aws.end("guardrail_intervened", inputTokens=1, outputTokens=1)
    bedrock = UPSTREAM_DIALECTS[BEDROCK]
    meter = StreamMeter(bedrock.answer)
    translator = StreamTranslator(
        bedrock.translation.event_reader(),
        DIALECTS[target].translation.event_writer(across.context()),
    )
    out = translator.feed(meter.feed(raw) + meter.finish(), meter.usage)
    assert Stop.REFUSAL is across.added_up(target, out).ending.stop


WHY = "This request is about what is not talked of."
EXPLAINED = [
    (),
    (Thinking(""),),
    (Text("half"),),
    (Thinking("hm"), Text("half", phase="commentary")),
]


@pytest.mark.parametrize("parts", EXPLAINED)
@pytest.mark.parametrize("target", [CHAT, RESPONSES])
@pytest.mark.parametrize("source", [MESSAGES, GEMINI])
def test_a_vendors_explanation_stands_for_a_refusal_without_words(source, target, parts):
    """In the place of a refusal's words, whole and streamed; that it was cut short is still told."""
    answer = Answer(parts, Ending(Stop.REFUSAL, category="cyber", explanation=WHY), "a", "m")
    writer = DIALECTS[source].translation
    document = writer.write_answer(answer, across.USAGE, across.context())
    out, finished = across.told(source, target, across.frames(source, answer))
    assert finished
    told = across.whole(source, target, document)
    said = [Text(part.text) for part in parts if isinstance(part, Text)]
    for found in (
        DIALECTS[target].translation.read_answer(told), across.added_up(target, out)
    ):  # fmt: skip
        words = [part for part in found.parts if isinstance(part, Text)]
        assert [*said, Text(WHY, is_refusal=True)] == [
            Text(x.text, (), x.is_refusal) for x in words
        ]
        assert Stop.REFUSAL is found.ending.stop
    if target is CHAT:
        assert (WHY, "content_filter") == (
            told["choices"][0]["message"]["refusal"], told["choices"][0]["finish_reason"],
        )  # fmt: skip
        assert b'"finish_reason":"content_filter"' in out
    else:
        assert "content_filter" == told["incomplete_details"]["reason"]
        last = across.events(out)[-1]["response"]
        assert told["output"][-1]["content"] == last["output"][-1]["content"]
        assert {"type": "refusal", "refusal": WHY} == last["output"][-1]["content"][-1]


@pytest.mark.parametrize("target", [CHAT, RESPONSES])
def test_a_refusals_own_words_need_no_explanation(target):
    """They are told once, and by nobody but the model."""
    words = (Text(SAID, is_refusal=True),)
    answer = Answer(words, Ending(Stop.REFUSAL, explanation=WHY), "a", "m")
    told = DIALECTS[target].translation.write_answer(answer, across.USAGE, across.context())
    assert WHY not in json.dumps(told)
    assert WHY.encode() not in across.frames(target, answer)
