"""Answers from one protocol to another, as router has them told, in few words."""

import itertools

import orjson

from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.common import documents, sse
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.conversation.answer import Answer, Ending, Stop
from tollgate_dialects.conversation.machine import Machine, events_of
from tollgate_dialects.conversation.parts import Text, ToolCall
from tollgate_dialects.conversation.request import Request, Turn
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.conversation.translation import Context
from tollgate_dialects.pricing.usage import Usage
from tollgate_dialects.registry import DIALECTS

CHAT, RESPONSES, MESSAGES, DASHSCOPE = (
    Protocol.OPENAI_CHAT, Protocol.OPENAI_RESPONSES, Protocol.ANTHROPIC_MESSAGES,
    Protocol.DASHSCOPE,
)  # fmt: skip
PROTOCOLS = (CHAT, RESPONSES, MESSAGES, DASHSCOPE)
PAIRS = tuple(itertools.permutations(PROTOCOLS, 2))
USAGE = Usage.of(input_tokens=5, output_tokens=2)


def context(**members):
    asked = {"model": "m", "turns": (Turn("user", (Text("hi"),)),), "wants_usage": True}
    return Context(
        request=Request(**{**asked, **members}),
        trace="0" * 32,
        created_s=1,
        estimated_input_tokens=7,
    )


def answered(*parts, stop=Stop.END):
    """An answer of these parts, texts where they are words alone."""
    said = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    called = any(isinstance(part, ToolCall) for part in said)
    return Answer(said, Ending(Stop.TOOL_CALLS if called else stop), "a", "m")


def frames(protocol, answer):
    """An answer as an upstream of a protocol streams it."""
    writer = DIALECTS[protocol].translation.event_writer(context())
    return b"".join(writer.write(event, USAGE) for event in events_of(answer))


def told(source, target, raw, *, tools=(), size=1 << 20):
    """A stream through meter and translator: what the client gets, and whether it has its end."""
    meter = StreamMeter(DIALECTS[source].answer, strip_usage=False)
    translator = StreamTranslator(
        DIALECTS[source].translation.event_reader(),
        DIALECTS[target].translation.event_writer(context(tools=tools)),
        tools,
    )
    out = b""
    for at in range(0, len(raw), size):
        out += translator.feed(meter.feed(raw[at : at + size]), meter.usage)
    out += translator.feed(meter.finish(), meter.usage)
    assert meter.error is None
    return out, translator.finished


def whole(source, target, document):
    """An answer in one piece; the document as an upstream sends it, or its bytes."""
    meter = BodyMeter(DIALECTS[source].answer)
    meter.feed(document if isinstance(document, bytes) else orjson.dumps(document))
    found = DIALECTS[source].translation.read_answer(documents.read(meter.finish()))
    return DIALECTS[target].translation.write_answer(found, meter.usage, context())


def events(raw):
    """The documents of a stream."""
    found, position = [], 0
    while position < len(raw):
        start, position = sse.frame_at(raw, position)
        data = sse.parse(raw[start:position]).data
        if data and data != b"[DONE]":
            found.append(documents.read(data))
    return found


def added_up(protocol, raw):
    """The answer that a stream of a protocol adds up to, by the gateway's own reader."""
    reader, machine, position = DIALECTS[protocol].translation.event_reader(), Machine(), 0
    while position < len(raw):
        start, position = sse.frame_at(raw, position)
        for event in reader.read(sse.parse(raw[start:position])):
            machine.check(event)
    for event in reader.close():
        machine.check(event)
    return machine.answer()
