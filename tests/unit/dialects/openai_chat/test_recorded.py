"""Recorded chats go through the one form and come back the same, judged by OpenAI's SDK."""

import itertools
import json
import re
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage

from tests.unit.dialects import corpus
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.conversation.parts import Text
from tollgate_dialects.conversation.request import Request, Turn
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.conversation.translation import Context, Target, Untranslatable
from tollgate_dialects.openai_chat.dialect import OPENAI_CHAT
from tollgate_dialects.openai_chat.translate.translation import TRANSLATION
from tollgate_dialects.pricing.units import Unit

APIS = ("openai.chat", "openai.chat(mistral)", "openai.chat(dashscope-compat)")
MADE = re.compile(r"(?:call_[0-9a-f]{8}_\d+)?")
# Words of other vendors for a plain end, which a chat has not; and the old word for a call.
WORDS = {**dict.fromkeys(("eos", "eos_token", "end_turn", "COMPLETE", "", None), "stop"),
         "function_call": "tool_calls"}  # fmt: skip


def context(request: Request) -> Context:
    return Context(
        request=request, trace="0" * 32, created_s=1_760_000_000, estimated_input_tokens=1
    )


def asked(exchange: dict[str, Any]) -> Request:
    return TRANSLATION.read_request(exchange["req"])


def told(choice: Any) -> dict[str, Any]:
    """What a person or a program reads of a choice."""
    # Azure leaves it out where its filter stopped the answer.
    message = choice.message or ChatCompletionMessage.construct(role="assistant")
    calls = [
        (call.id, call.function.name, call.function.arguments or "{}")
        if getattr(call, "function", None)
        else (call.id, call.custom.name, call.custom.input)
        for call in message.tool_calls or ()
    ]
    if legacy := getattr(message, "function_call", None):
        calls.append(("", legacy.name, legacy.arguments))
    # Ids that we made for calls without one.
    calls = [("" if MADE.fullmatch(call_id or "") else call_id, *rest) for call_id, *rest in calls]
    finish = WORDS.get(choice.finish_reason, choice.finish_reason)
    if finish in ("stop", "tool_calls"):
        # Some say of a call what they say of a text.
        finish = "tool_calls" if calls else "stop"
    extra = message.model_extra or {}
    thought = extra.get("reasoning_content") or extra.get("reasoning") or ""
    content = message.content or ""
    if isinstance(content, list):  # Mistral
        thought = thought or "".join(
            each["text"] for part in content if part["type"] == "thinking"
            for each in part["thinking"]
        )  # fmt: skip
        content = "".join(part["text"] for part in content if part["type"] == "text")
    return {
        "content": content,
        "refusal": message.refusal or "",
        "calls": calls,
        "thought": thought,
        "finish": finish,
    }


def whole(document: dict[str, Any]) -> dict[str, Any]:
    return told(ChatCompletion.construct(**document).choices[0])


def streamed(frames: bytes) -> dict[str, Any]:
    state = ChatCompletionStreamState()
    for line in frames.decode().splitlines():
        if not line.startswith("data:") or line.strip() == "data: [DONE]":
            continue
        chunk = json.loads(line[5:])
        for choice in chunk.get("choices", ()):
            # Without an index the SDK fails on them.
            choice["delta"].pop("annotations", None)
            for place, call in enumerate(choice["delta"].get("tool_calls") or ()):
                call.setdefault("index", place)
                call.setdefault("type", "function")
        state.handle_chunk(ChatCompletionChunk.construct(**chunk))
    return told(state.current_completion_snapshot.choices[0])


@pytest.fixture(scope="module")
def exchanges():
    found = corpus.exchanges(*APIS)
    return [one for one in found if one["status"] == 200 and isinstance(one.get("req"), dict)]


def one_system(turns):
    """Several system messages at the beginning are one, as templates of some models want it."""
    head = list(itertools.takewhile(lambda turn: turn.role == "system", turns))
    if len(head) < 2:
        return turns
    words = "\n\n".join(part.text for turn in head for part in turn.parts)
    return (Turn("system", (Text(words),)), *turns[len(head) :])


def test_a_recorded_request_reads_back_as_it_was(exchanges):
    """Written for the same protocol and read again, a request is the same but for what is named."""
    tried = 0
    for exchange in exchanges:
        request = asked(exchange)
        target = Target("deepseek-chat", request.max_output_tokens)
        try:
            written = TRANSLATION.write_request(request, target)
        except Untranslatable:
            continue
        again = TRANSLATION.read_request(json.loads(json.dumps(written.document)))
        if not written.dropped:
            assert one_system(request.turns) == again.turns, exchange["id"]
            assert request.tools == again.tools, exchange["id"]
        texts = [
            part.text for turn in request.turns for part in turn.parts if hasattr(part, "text")
        ]
        kept = [part.text for turn in again.turns for part in turn.parts if hasattr(part, "text")]
        assert "".join(texts).replace("\n", "") == "".join(kept).replace("\n", ""), exchange["id"]
        tried += 1
    assert tried > 200


def test_a_recorded_answer_reads_the_same_to_the_sdk(exchanges):
    """Text, refusal, thinking, tool calls, finish reason and usage, in one piece."""
    tried = 0
    for exchange in exchanges:
        if exchange["stream"] or not isinstance(exchange.get("resp_text"), str):
            continue
        meter = BodyMeter(OPENAI_CHAT.answer)
        meter.feed(exchange["resp_text"].encode())
        passed = meter.finish()
        if not passed:
            continue
        document = json.loads(passed)
        written = TRANSLATION.write_answer(
            TRANSLATION.read_answer(document), meter.usage, context(asked(exchange))
        )
        assert whole(document) == whole(written), exchange["id"]
        assert meter.usage[Unit.OUTPUT] == written["usage"]["completion_tokens"]
        assert meter.usage.total_input_tokens == written["usage"]["prompt_tokens"]
        tried += 1
    assert tried > 150


def test_a_recorded_stream_reads_the_same_to_the_sdk(exchanges):
    """The same of streams; and a stream ends with its usage, where it was asked for, and [DONE]."""
    tried = 0
    for exchange in exchanges:
        if not exchange["stream"]:
            continue
        raw = corpus.stream_of(Protocol.OPENAI_CHAT, exchange)
        meter = StreamMeter(OPENAI_CHAT.answer)
        passed = meter.feed(raw) + meter.finish()
        if not meter.finished:
            continue
        translator = StreamTranslator(
            TRANSLATION.event_reader(), TRANSLATION.event_writer(context(asked(exchange)))
        )
        written = translator.feed(passed, meter.usage)
        assert translator.finished
        assert written.endswith(b"data: [DONE]\n\n")
        assert streamed(passed) == streamed(written), exchange["id"]
        tried += 1
    assert tried > 25
