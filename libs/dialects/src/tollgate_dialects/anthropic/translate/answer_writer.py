"""Answers of the one form, written for Anthropic's clients: whole, and as they stream.

Promises: one start, a new block for each part, numbered from 0 without gaps, and none that is
empty; blocks of other vendors stand in `signature`, from where the reader of the next request
takes them back.
"""

import dataclasses
from typing import Any, Final

from tollgate_dialects.anthropic.translate import citations, names
from tollgate_dialects.common import documents
from tollgate_dialects.conversation import call_input, carrier
from tollgate_dialects.conversation.answer import (
    Answer,
    Cited,
    Delta,
    Ending,
    Event,
    Finished,
    PartEnded,
    PartStarted,
    Sealed,
    Started,
    Stop,
)
from tollgate_dialects.conversation.machine import events_of
from tollgate_dialects.conversation.parts import Opaque, Origin, Seal, Text, Thinking, ToolCall
from tollgate_dialects.conversation.translation import Context, EventWriter
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import NOTHING, Usage

_STOPS: Final = {
    Stop.END: "end_turn",
    Stop.LENGTH: "max_tokens",
    Stop.TOOL_CALLS: "tool_use",
    Stop.STOP_SEQUENCE: "stop_sequence",
    Stop.REFUSAL: "refusal",
    Stop.PAUSE: "pause_turn",
    Stop.CONTEXT_FULL: "model_context_window_exceeded",
}
# The kinds of refusal that clients know.
_CATEGORIES: Final = frozenset(
    ("cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms")
)
# The frame of more text, as `told` has its document.
_MORE_TEXT: Final = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
    b'"delta":{"type":"text_delta","text":%b}}\n\n'
)
_OBJECT_STARTS: Final = ('"', "}")
# So far it is looked whether arguments begin like an object.
_HEAD_CHARACTERS: Final = 64


def write(answer: Answer, usage: Usage, context: Context) -> dict[str, Any]:
    """A whole message."""
    writer = MessageWriter(context)
    blocks: list[dict[str, Any]] = []
    texts: dict[str, list[str]] = {}
    end: dict[str, Any] = {}
    for event in events_of(answer):
        for document in writer.told(event, usage):
            kind = document["type"]
            if kind == "content_block_start":
                blocks.append(document["content_block"])
                texts = {}
            elif kind == "content_block_delta":
                _add(blocks[-1], document["delta"], texts)
            elif kind == "content_block_stop":
                _complete(blocks[-1], texts)
            elif kind == "message_delta":
                end = document
    head = _head(context)
    return {**head, "content": blocks, **end["delta"], "usage": end["usage"]}


def _add(block: dict[str, Any], delta: dict[str, Any], texts: dict[str, list[str]]) -> None:
    kind = delta["type"]
    if kind == "citations_delta":
        block.setdefault("citations", []).append(delta["citation"])
        return
    member = kind.removesuffix("_delta")
    if member == "input_json":
        texts.setdefault("input", []).append(delta["partial_json"])
    else:
        texts.setdefault(member, []).append(delta[member])


def _complete(block: dict[str, Any], texts: dict[str, list[str]]) -> None:
    for member, pieces in texts.items():
        text = "".join(pieces)
        block[member] = (
            call_input.input_of(text, takes_text=False)
            if member == "input"
            else block[member] + text
        )


def _head(context: Context) -> dict[str, Any]:
    return {
        "id": f"msg_{context.trace}",
        "type": "message",
        "role": "assistant",
        "model": context.request.model,
    }


class MessageWriter(EventWriter):
    """Writes one stream."""

    def __init__(self, context: Context) -> None:
        self._context = context
        # Blocks that were begun; the last one is open if `_is_open`.
        self._count = 0
        self._is_open = False
        self._part: Text | Thinking | ToolCall = Text("")
        self._seal: Opaque | None = None
        # A block of its maker's behind words, kept until more follows: a client that takes the last
        # block for the answer, as Claude Code does, would find nothing in it.
        self._late: Opaque | None = None
        self._has_words = False
        # Of a call: what came before its block was begun, and how that begins.
        self._held: list[str] = []
        self._head = ""
        self._calls = 0

    def write(self, event: Event, usage: Usage | None) -> bytes:
        """The frames of an event; the name of each is what clients go by."""
        if self._is_open and isinstance(event, Delta) and isinstance(self._part, Text):
            # Most events of a stream; an empty one says nothing.
            words = documents.written(event.text)
            return _MORE_TEXT % (self._count - 1, words) if event.text else b""
        frames = [
            b"event: %b\ndata: %b\n\n" % (document["type"].encode(), documents.written(document))
            for document in self.told(event, usage)
        ]
        return b"".join(frames)

    def told(self, event: Event, usage: Usage | None) -> list[dict[str, Any]]:
        """The documents of an event."""
        told: list[dict[str, Any]]
        match event:
            case Delta(text):
                told = self._more(text)
            case Started():
                told = [self._start(usage)]
            case PartStarted(part):
                told = self._begin(part)
            case Sealed(opaque):
                self._seal, told = opaque, []
            case Cited(citation):
                delta = {"type": "citations_delta", "citation": citations.write(citation)}
                told = [*self._open({"type": "text", "text": ""}), self._delta(delta)]
            case PartEnded():
                told = self._end()
            case Finished(ending):
                told = self._finish(ending, usage)
        return told

    def _start(self, usage: Usage | None) -> dict[str, Any]:
        """Clients meter their context by the input that is told here."""
        if usage is None or not usage.total_input_tokens:
            usage = Usage.of(input_tokens=self._context.estimated_input_tokens, output_tokens=1)
        message = {
            **_head(self._context),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": _usage(usage),
        }
        return {"type": "message_start", "message": message}

    def _begin(self, part: Text | Thinking | ToolCall) -> list[dict[str, Any]]:
        told = self._sealed(self._late) + self._close() if self._late is not None else []
        self._late = None
        self._part = part
        self._held, self._head = [], ""
        self._seal = None if isinstance(part, Text) else part.opaque
        if isinstance(part, ToolCall):
            self._calls += 1
            return [*told, *self._more(part.arguments)]
        told += self._more(part.text)
        if isinstance(part, Text):
            for citation in part.citations:
                told += self.told(Cited(citation), None)
        return told

    def _more(self, text: str) -> list[dict[str, Any]]:
        if not text:
            return []
        if isinstance(self._part, ToolCall):
            return self._arguments(text, takes_text=self._part.takes_text)
        if isinstance(self._part, Text):
            self._has_words = True
            told = self._open({"type": "text", "text": ""})
            return [*told, self._delta({"type": "text_delta", "text": text})]
        told = self._open({"type": "thinking", "thinking": "", "signature": ""})
        return [*told, self._delta({"type": "thinking_delta", "thinking": text})]

    def _arguments(self, text: str, *, takes_text: bool) -> list[dict[str, Any]]:
        """Pieces are sent on from the second one: a block of the call's stands before it.

        What does not begin like an object is kept until it is whole, to be wrapped.
        """
        if self._is_open:
            return [self._json(text)]
        is_first = not self._held
        self._held.append(text)
        if len(self._head) < _HEAD_CHARACTERS:
            self._head += text[:_HEAD_CHARACTERS]
        begun = self._head.lstrip()
        after = begun[1:].lstrip()[:1]
        is_object = begun.startswith("{") and after in _OBJECT_STARTS
        if is_first or takes_text or not is_object:
            return []
        return self._call("".join(self._held))

    def _call(self, arguments: str) -> list[dict[str, Any]]:
        """Begins the block of a call, behind the block that its maker wants back with it."""
        call = self._part
        assert isinstance(call, ToolCall), "only calls have arguments"
        call_id = (
            names.tool_id(call.call_id)
            if call.call_id
            else f"toolu_{self._context.trace}_{self._calls}"
        )
        self._part = dataclasses.replace(call, call_id=call_id)
        told = self._carry(self._seal) if self._seal is not None else []
        self._seal = None
        block = {
            "type": "tool_use",
            "id": call_id,
            "name": names.tool_name(call.name, call.namespace),
            "input": {},
        }
        told += [*self._open(block), self._json("")]
        return [*told, self._json(arguments)] if arguments else told

    def _carry(self, opaque: Opaque) -> list[dict[str, Any]]:
        """A call's block, as thinking that says nothing; it names its call."""
        call = self._part
        assert isinstance(call, ToolCall), "other parts have their own place"
        named = dataclasses.replace(opaque, item_id=opaque.item_id or call.call_id)
        signature = carrier.carried(named, Origin.ANTHROPIC)
        told = self._open({"type": "thinking", "thinking": "", "signature": ""})
        told.append(self._delta({"type": "signature_delta", "signature": signature}))
        return [*told, *self._close()]

    def _end(self) -> list[dict[str, Any]]:
        part, seal = self._part, self._seal
        told: list[dict[str, Any]] = []
        if isinstance(part, ToolCall):
            if not self._is_open:
                told += self._call(_object("".join(self._held), part))
            told += self._close()
            # It came when its call was on its way.
            return [*told, *self._carry(self._seal)] if self._seal is not None else told
        if self._has_words and not self._is_open:
            self._late = seal
        elif seal is not None or (isinstance(part, Thinking) and self._is_open):
            told += self._sealed(seal or carrier.UNSEALED)
        return [*told, *self._close()]

    def _sealed(self, seal: Opaque) -> list[dict[str, Any]]:
        """Its maker's block, in the thinking that is open or in one without words."""
        if seal.origin is Origin.ANTHROPIC and seal.seal is Seal.ENCRYPTED:
            closed = self._close()
            return [*closed, *self._open({"type": "redacted_thinking", "data": seal.data})]
        signature = carrier.carried(seal, Origin.ANTHROPIC)
        told = self._open({"type": "thinking", "thinking": "", "signature": ""})
        return [*told, self._delta({"type": "signature_delta", "signature": signature})]

    def _open(self, block: dict[str, Any]) -> list[dict[str, Any]]:
        if self._is_open:
            return []
        self._is_open = True
        self._count += 1
        return [{"type": "content_block_start", "index": self._count - 1, "content_block": block}]

    def _close(self) -> list[dict[str, Any]]:
        if not self._is_open:
            return []
        self._is_open = False
        return [{"type": "content_block_stop", "index": self._count - 1}]

    def _delta(self, delta: dict[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": self._count - 1, "delta": delta}

    def _json(self, text: str) -> dict[str, Any]:
        return self._delta({"type": "input_json_delta", "partial_json": text})

    def _finish(self, ending: Ending, usage: Usage | None) -> list[dict[str, Any]]:
        stop = ending.stop
        if stop is Stop.END and self._calls:
            # Some vendors say of a call what they say of a text.
            stop = Stop.TOOL_CALLS
        elif stop is Stop.TOOL_CALLS and not self._calls:
            # A client would wait for a call that is not there.
            stop = Stop.END
        delta: dict[str, Any] = {
            "stop_reason": _STOPS[stop],
            "stop_sequence": ending.sequence or None if stop is Stop.STOP_SEQUENCE else None,
        }
        if stop is Stop.REFUSAL:
            delta["stop_details"] = {
                "type": "refusal",
                "category": ending.category if ending.category in _CATEGORIES else None,
                "explanation": ending.explanation or None,
            }
        told = {"type": "message_delta", "delta": delta, "usage": _usage(usage or NOTHING)}
        return [told, {"type": "message_stop"}]


def _object(arguments: str, call: ToolCall) -> str:
    """Whole arguments as the model wrote them, or wrapped where they are no object."""
    value = call_input.input_of(arguments, takes_text=call.takes_text)
    if not value:
        return "{}"
    if call.takes_text or value.keys() == {call_input.WRAPPER}:
        return documents.written(value).decode()
    return arguments


def _usage(usage: Usage) -> dict[str, Any]:
    """Anthropic's classes share no token either; its total of written ones is their sum."""
    short, hour = usage[Unit.CACHE_WRITE_5M], usage[Unit.CACHE_WRITE_1H]
    told: dict[str, Any] = {
        "input_tokens": usage[Unit.INPUT],
        "cache_creation_input_tokens": short + hour,
        "cache_read_input_tokens": usage[Unit.CACHE_READ],
        "cache_creation": {
            "ephemeral_5m_input_tokens": short,
            "ephemeral_1h_input_tokens": hour,
        },
        "output_tokens": usage.total_output_tokens,
    }
    if usage.reasoning_tokens:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return told
