"""An answer of the one form, written for Google's clients: whole, and as it streams.

Promises: a call is told in one part; each signature stands in a part behind what it signs, in
base64, from where the reader of the next request takes it back; the last chunk says why the answer
ended and what it used.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tollgate_dialects.common import documents
from tollgate_dialects.conversation.answer import (
    Answer,
    AnswerPart,
    Delta,
    Ending,
    Event,
    Finished,
    PartEnded,
    PartStarted,
    Sealed,
    Stop,
)
from tollgate_dialects.conversation.machine import events_of
from tollgate_dialects.conversation.parts import Opaque, Text, Thinking, ToolCall
from tollgate_dialects.conversation.translation import Context, EventWriter
from tollgate_dialects.gemini import signatures
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import NOTHING, Usage

_REASONS: Final[Mapping[Stop, str]] = {
    Stop.END: "STOP",
    Stop.TOOL_CALLS: "STOP",
    Stop.STOP_SEQUENCE: "STOP",
    Stop.PAUSE: "MAX_TOKENS",
    Stop.LENGTH: "MAX_TOKENS",
    Stop.CONTEXT_FULL: "MAX_TOKENS",
    Stop.REFUSAL: "SAFETY",
}
# Where what is no JSON object stands inside of one: a free text, and whatever else.
_FREE_TEXT: Final = "input"
_WRAPPER: Final = "arguments"


def write(answer: Answer, usage: Usage, context: Context) -> dict[str, Any]:
    """A whole answer."""
    told = _Told(context)
    pieces = [part for event in events_of(answer) for part in told.parts(event)]
    parts = [_whole(group) for group in _grouped(pieces)]
    return {
        "candidates": [{"content": {"parts": parts, "role": "model"}, **_end(answer.ending)}],
        "usageMetadata": usage_report(usage),
        **_head(context),
    }


def _grouped(pieces: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Texts of one kind are one part, with the signature that follows them."""
    group: list[dict[str, Any]] = []
    for piece in pieces:
        last = group[-1] if group else piece
        is_text = "text" in piece and "text" in last and "thoughtSignature" not in last
        if group and not (is_text and piece.get("thought") == last.get("thought")):
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


def _whole(group: Sequence[dict[str, Any]]) -> dict[str, Any]:
    last = group[-1]
    if len(group) == 1:
        return last
    return {**last, "text": "".join(piece["text"] for piece in group)}


def usage_report(usage: Usage) -> dict[str, Any]:
    """A usage as Google reports it: thoughts beside the candidates, counts of zero left out."""
    prompt, output = usage.total_input_tokens, usage.total_output_tokens
    thoughts = min(usage.reasoning_tokens, output)
    counts = {
        "candidatesTokenCount": output - thoughts,
        "thoughtsTokenCount": thoughts,
        "cachedContentTokenCount": usage[Unit.CACHE_READ],
    }
    return {
        "promptTokenCount": prompt,
        **{name: tokens for name, tokens in counts.items() if tokens},
        "totalTokenCount": prompt + output,
    }


def _head(context: Context) -> dict[str, Any]:
    return {"modelVersion": context.request.model, "responseId": context.trace}


def _end(ending: Ending) -> dict[str, Any]:
    end: dict[str, Any] = {"finishReason": _REASONS[ending.stop], "index": 0}
    if ending.stop is Stop.REFUSAL and ending.explanation:
        end["finishMessage"] = ending.explanation
    return end


class _Told:
    """Which part is being told."""

    def __init__(self, context: Context) -> None:
        self._trace = context.trace
        self._part: AnswerPart = Text("")
        # Of a call: its arguments so far, and the block that its maker wants back.
        self._arguments: list[str] = []
        self._seal: Opaque | None = None
        self._calls = 0

    def parts(self, event: Event) -> list[dict[str, Any]]:
        """The parts that an event adds."""
        if isinstance(event, PartStarted):
            return self._begin(event.part)
        if isinstance(self._part, ToolCall):
            return self._call(self._part, event)
        if isinstance(event, Delta):
            return self._more(event.text)
        return [self._signed(event.opaque)] if isinstance(event, Sealed) else []

    def _begin(self, part: AnswerPart) -> list[dict[str, Any]]:
        self._part = part
        if not isinstance(part, ToolCall):
            return self._more(part.text)
        self._arguments, self._seal = [part.arguments], part.opaque
        return []

    def _call(self, call: ToolCall, event: Event) -> list[dict[str, Any]]:
        """A call is told when it is whole."""
        match event:
            case Delta(text):
                self._arguments.append(text)
            case Sealed(opaque):
                self._seal = opaque
            case PartEnded():
                return [self._called(call)]
        return []

    def _more(self, text: str) -> list[dict[str, Any]]:
        if not text:
            return []
        is_thought = isinstance(self._part, Thinking)
        return [{"text": text, "thought": True} if is_thought else {"text": text}]

    def _signed(self, opaque: Opaque) -> dict[str, Any]:
        signature = signatures.written(opaque)
        if opaque.item_id == signatures.OF_TEXT:
            return {"text": "", "thoughtSignature": signature}
        return {"text": "", "thought": True, "thoughtSignature": signature}

    def _called(self, call: ToolCall) -> dict[str, Any]:
        arguments = _object("".join(self._arguments), call)
        call_id = call.call_id or f"call_{self._trace[:8]}_{self._calls}"
        self._calls += 1
        function = {"id": call_id, "name": call.name, "args": arguments}
        # A newer model of Google's that goes on with the conversation wants to be told whose it is.
        signature = signatures.written(self._seal) if self._seal else signatures.FOREIGN_CALL
        return {"functionCall": function, "thoughtSignature": signature}


def _object(arguments: str, call: ToolCall) -> dict[str, Any]:
    if call.takes_text:
        return {_FREE_TEXT: arguments}
    if not arguments.strip():
        return {}
    try:
        value = documents.read(arguments)
    except ValueError:
        return {_WRAPPER: arguments}
    return value if isinstance(value, dict) else {_WRAPPER: arguments}


class ChunkWriter(EventWriter):
    """Writes one stream of chunks."""

    def __init__(self, context: Context) -> None:
        self._head = _head(context)
        self._told = _Told(context)

    def write(self, event: Event, usage: Usage | None) -> bytes:
        """The chunks of one event."""
        if isinstance(event, Finished):
            content = {"parts": [{"text": ""}], "role": "model"}
            candidate = {"content": content, **_end(event.ending)}
            report = {"usageMetadata": usage_report(usage or NOTHING)}
            return _frame({"candidates": [candidate], **report, **self._head})
        return b"".join(self._chunk(part) for part in self._told.parts(event))

    def _chunk(self, part: dict[str, Any]) -> bytes:
        content = {"parts": [part], "role": "model"}
        return _frame({"candidates": [{"content": content, "index": 0}], **self._head})


def _frame(document: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % documents.written(document)
