"""Converse's answers, whole and as they stream, read into the one form.

Promises: parts in the order in which they came, one at a time. Blocks of tools that run at the
vendor are no part of the conversation and pass unseen; so does whatever is not known. A block of
text or thinking begins with its first piece, for only calls are announced.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from tollgate_dialects.common import documents, shapes, sse
from tollgate_dialects.conversation import call_input
from tollgate_dialects.conversation.answer import (
    Answer,
    AnswerPart,
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
from tollgate_dialects.conversation.backlog import Backlog
from tollgate_dialects.conversation.machine import Machine
from tollgate_dialects.conversation.parts import (
    Citation,
    Opaque,
    Origin,
    Seal,
    Text,
    Thinking,
    ToolCall,
)
from tollgate_dialects.conversation.translation import EventReader

_Object: TypeAlias = Mapping[str, Any]

_STOPS: Final[Mapping[str, Stop]] = {
    "end_turn": Stop.END,
    "tool_use": Stop.TOOL_CALLS,
    "max_tokens": Stop.LENGTH,
    "stop_sequence": Stop.STOP_SEQUENCE,
    "guardrail_intervened": Stop.REFUSAL,
    "content_filtered": Stop.REFUSAL,
    "malformed_model_output": Stop.END,
    "malformed_tool_use": Stop.END,
    "model_context_window_exceeded": Stop.CONTEXT_FULL,
}
_HOSTED: Final = "server_tool_use"
# Why an answer ended that does not say so.
_UNSAID: Final = "unsaid"


def read(document: _Object) -> Answer:
    """A whole answer. Raises ValueError, KeyError or TypeError."""
    reader, machine = ConverseReader(), Machine()
    events = reader.told({"messageStart": {}})
    for at, block in enumerate(document["output"]["message"]["content"]):
        for told in _as_pieces(block):
            name, said = next(iter(told.items()))
            events += reader.told({name: {**said, "contentBlockIndex": at}})
        events += reader.told({"contentBlockStop": {"contentBlockIndex": at}})
    events += reader.told({"messageStop": {"stopReason": document.get("stopReason") or _UNSAID}})
    for event in [*events, *reader.told({"metadata": {}})]:
        machine.check(event)
    return machine.answer()


def _as_pieces(block: _Object) -> list[dict[str, Any]]:
    """A whole block as the events of a stream that say the same."""
    if call := shapes.item(block, "toolUse"):
        start = {"toolUse": {name: call[name] for name in call if name != "input"}}
        arguments = call_input.arguments_of(call.get("input"))
        delta = {"toolUse": {"input": arguments}}
        return [{"contentBlockStart": {"start": start}}, {"contentBlockDelta": {"delta": delta}}]
    if thought := shapes.item(block, "reasoningContent"):
        deltas: list[dict[str, Any]] = [
            {"reasoningContent": {**thought, **shapes.item(thought, "reasoningText")}}
        ]
    elif cited := shapes.item(block, "citationsContent"):
        deltas = [{"text": piece.get("text")} for piece in shapes.items(cited, "content")]
        deltas += [{"citation": one} for one in shapes.items(cited, "citations")]
    else:
        deltas = [{"text": block.get("text")}]
    return [{"contentBlockDelta": {"delta": delta}} for delta in deltas]


class ConverseReader(EventReader):
    """Reads one stream."""

    def __init__(self) -> None:
        self._has_started = False
        self._has_finished = False
        self._stop: Stop | None = None
        self._has_called = False
        self._has_metadata = False
        # The block that is being told.
        self._index: int | None = None
        self._is_whole = False
        self._is_hosted = False
        # What it is; told once there is something in it.
        self._part: AnswerPart | None = None
        self._is_told = False
        self._has_text = False
        # The pieces of its seal.
        self._seal = Seal.SIGNATURE
        self._sealed: list[str] = []
        self._backlog = Backlog()
        self._waiting: list[Event] = []

    def read(self, event: sse.Event) -> list[Event]:
        """What one event says."""
        return self.told(documents.read(event.data))

    def told(self, document: _Object) -> list[Event]:
        """What a document says: one member, the event's name."""
        if self._has_finished:
            return []
        if not self._has_started:
            self._has_started = True
            self._waiting.append(Started())
        ((name, said),) = document.items()
        match name:
            case "contentBlockStart":
                self._start(_index(said), shapes.item(said, "start"))
            case "contentBlockDelta":
                self._add(_index(said), shapes.item(said, "delta"))
            case "contentBlockStop":
                self._stop_block(_index(said))
            case "messageStop":
                self._close()
                if reason := shapes.text(said, "stopReason"):
                    usual = Stop.TOOL_CALLS if self._has_called else Stop.END
                    self._stop = _STOPS.get(reason, usual)
            case "metadata":
                self._has_metadata = True
        if self._stop is not None and self._has_metadata:
            self._close()
            self._has_finished = True
            self._waiting.append(Finished(Ending(self._stop)))
        events, self._waiting = self._waiting, []
        return events

    def _start(self, index: int, start: _Object) -> None:
        self._begin_block(index)
        call = shapes.item(start, "toolUse")
        if "toolResult" in start or shapes.text(call, "type") == _HOSTED:
            self._is_hosted = True
        elif call:
            call_id, name = shapes.text(call, "toolUseId"), shapes.text(call, "name")
            if not (call_id and name):
                # No client could answer it.
                raise shapes.ShapeError("toolUse", "a call with a name")
            self._part = ToolCall(call_id, name, "")
            self._has_called = True
            self._begin()

    def _add(self, index: int, delta: _Object) -> None:
        if citation := shapes.item(delta, "citation"):
            # It may stand in a block of its own, behind the text that it is of.
            if isinstance(self._part, Text) and self._is_told:
                self._waiting.append(Cited(_citation(citation)))
            return
        if index != self._index or self._is_whole:
            self._begin_block(index)
        if self._is_hosted:
            return
        if call := shapes.item(delta, "toolUse"):
            if not isinstance(self._part, ToolCall):
                raise ValueError(index)
            self._say(shapes.text(call, "input"))
        elif thought := shapes.item(delta, "reasoningContent"):
            self._speak(Thinking(""), shapes.text(thought, "text"))
            self._keep(Seal.SIGNATURE, shapes.text(thought, "signature"))
            self._keep(Seal.ENCRYPTED, shapes.text(thought, "redactedContent"))
        elif text := shapes.text(delta, "text"):
            self._speak(Text(""), text)

    def _stop_block(self, index: int) -> None:
        """What is not a text is whole now; a text may yet be cited."""
        if index != self._index:
            return
        self._is_whole = True
        if not isinstance(self._part, Text):
            self._close()

    def _begin_block(self, index: int) -> None:
        self._close()
        self._index, self._is_whole, self._is_hosted = index, False, False

    def _begin(self) -> None:
        if not self._is_told and self._part is not None:
            self._is_told = True
            self._waiting.append(PartStarted(self._part))

    def _speak(self, kind: Text | Thinking, text: str) -> None:
        if type(self._part) is not type(kind):
            self._close()
            self._part = kind
        self._say(text)

    def _say(self, text: str) -> None:
        if text:
            self._has_text = True
            self._begin()
            self._waiting.append(Delta(text))

    def _keep(self, seal: Seal, piece: str) -> None:
        if piece and seal is not self._seal:
            self._seal, self._sealed = seal, []
        self._backlog.take(piece, parts=1)
        if piece:
            self._sealed.append(piece)

    def _close(self) -> None:
        if isinstance(self._part, ToolCall) and not self._has_text:
            self._say("{}")
        opaque = _opaque(self._seal, self._sealed)
        if opaque is not None:
            self._begin()
            self._waiting.append(Sealed(opaque))
        if self._is_told:
            self._waiting.append(PartEnded())
        self._part, self._is_told, self._has_text, self._sealed = None, False, False, []
        self._backlog.take("", parts=0)


def _opaque(seal: Seal, pieces: list[str]) -> Opaque | None:
    """The block of a thinking, which Claude alone seals. None: there is none, or another's."""
    if not pieces:
        return None
    if seal is Seal.SIGNATURE:
        return Opaque(Origin.ANTHROPIC, seal, "".join(pieces))
    try:
        # Bytes to Bedrock, and to Anthropic the text that they are.
        data = b"".join(base64.b64decode(piece, validate=True) for piece in pieces).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return Opaque(Origin.ANTHROPIC, seal, data)


def _citation(citation: _Object) -> Citation:
    source = shapes.items(citation, "sourceContent")
    web = shapes.item(shapes.item(citation, "location"), "web")
    return Citation(
        url=shapes.text(web, "url") or shapes.text(citation, "source"),
        title=shapes.text(citation, "title"),
        quote="".join(shapes.text(piece, "text") for piece in source),
    )


def _index(said: _Object) -> int:
    index = said["contentBlockIndex"]
    if type(index) is not int:
        raise TypeError
    return index
