"""Anthropic's answers, whole and as they stream, read into the one form.

Promises: parts in the order in which Anthropic began them, one at a time, whatever order their
pieces come in. Blocks of tools that run at the vendor are no part of the conversation and pass
unseen; so do pings and whatever is not known.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from tollgate_dialects.anthropic.translate import citations
from tollgate_dialects.common import documents, sse
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
from tollgate_dialects.conversation.parts import Opaque, Origin, Seal, Text, Thinking, ToolCall
from tollgate_dialects.conversation.translation import EventReader
from tollgate_dialects.request.content import object_in

_Object: TypeAlias = Mapping[str, Any]

# Members of a delta whose text is told piece by piece.
_PIECES: Final = ("text", "partial_json", "thinking")
_STOPS: Final[Mapping[str, Stop]] = {
    "end_turn": Stop.END,
    "max_tokens": Stop.LENGTH,
    "stop_sequence": Stop.STOP_SEQUENCE,
    "tool_use": Stop.TOOL_CALLS,
    "pause_turn": Stop.PAUSE,
    "compaction": Stop.PAUSE,
    "refusal": Stop.REFUSAL,
    "model_context_window_exceeded": Stop.CONTEXT_FULL,
}


def read(document: _Object) -> Answer:
    """A whole answer. Raises ValueError, KeyError or TypeError."""
    reader = MessageReader()
    machine = Machine()
    events = reader.told({"type": "message_start", "message": {**document, "content": []}})
    for at, block in enumerate(document["content"]):
        events += reader.told({"type": "content_block_start", "index": at, "content_block": block})
        events += reader.told({"type": "content_block_stop", "index": at})
    events += reader.told({"type": "message_delta", "delta": document})
    for event in [*events, *reader.told({"type": "message_stop"})]:
        machine.check(event)
    return machine.answer()


class MessageReader(EventReader):
    """Reads one stream: the blocks in it wait for those that began before them."""

    def __init__(self) -> None:
        self._has_started = False
        self._has_finished = False
        self._stop: _Object = {}
        self._has_called = False
        # By index, in the order in which they began; the first one is being told.
        self._blocks: dict[int, _Block] = {}
        self._ended: set[int] = set()
        self._backlog = Backlog()

    def read(self, event: sse.Event) -> list[Event]:
        """What one event says."""
        document = documents.read(event.data)
        if "type" not in document:
            document = {"type": event.name.decode("latin-1"), **document}
        return self.told(document)

    def told(self, document: _Object) -> list[Event]:
        """What the document of one event says."""
        kind = document["type"]
        if self._has_finished or kind == "ping":
            return []
        if kind == "error":
            raise ValueError(kind)
        events = [] if self._has_started else self._begin(document)
        match kind:
            case "content_block_delta":
                self._add(_index(document), object_in(document, "delta"))
            case "content_block_start":
                index = _index(document)
                events += self._settle()
                if index in self._blocks:
                    # Begun twice: what the first one has is whole.
                    events += self._end_all()
                self._backlog.take("", parts=len(self._blocks))
                self._blocks[index] = _Block(was_begun=True)
                self._blocks[index].start(object_in(document, "content_block"))
            case "content_block_stop":
                block = self._blocks.get(_index(document))
                if block is not None:
                    block.is_whole = True
            case "message_delta":
                delta = object_in(document, "delta")
                self._stop = {**self._stop, **{k: v for k, v in delta.items() if v is not None}}
            case "message_stop":
                events += self._end_all()
                self._has_finished = True
                return [*events, Finished(_ending(self._stop, has_called=self._has_called))]
        return events + self._tell()

    def _begin(self, document: _Object) -> list[Event]:
        """The start, once: some upstreams send it again, or splice another answer's in."""
        self._has_started = True
        message = object_in(document, "message")
        return [Started(_word(message, "id"), _word(message, "model"))]

    def _add(self, index: int, delta: _Object) -> None:
        block = self._blocks.get(index)
        if block is None:
            if index in self._ended and delta.get("type") == "signature_delta":
                # Other blocks stand between it and what it signs.
                return
            block = self._blocks[index] = _Block(was_begun=False)
        if len(self._blocks) > 1:
            for text in _PIECES:
                self._backlog.take(_word(delta, text), parts=len(self._blocks) - 1)
        block.add(delta)

    def _settle(self) -> list[Event]:
        """Ends what is whole: something new begins, so no late signature belongs to it."""
        for block in self._blocks.values():
            block.is_whole |= not block.was_begun
            block.is_settled |= block.is_whole
        return self._tell()

    def _end_all(self) -> list[Event]:
        for block in self._blocks.values():
            block.is_whole = block.is_settled = True
        return self._tell()

    def _tell(self) -> list[Event]:
        """Return the events so far of the first block, and of later ones once it has ended."""
        events: list[Event] = []
        while self._blocks:
            index, block = next(iter(self._blocks.items()))
            events += block.taken()
            if not block.has_ended:
                break
            self._has_called |= block.has_called
            self._ended.add(index)
            del self._blocks[index]
            if len(self._blocks) == 1:
                # What waited is told next.
                self._backlog = Backlog()
        return events


class _Block:
    """One block on its way: what it has said and was not told yet."""

    def __init__(self, *, was_begun: bool) -> None:
        """`was_begun`: its start was told; other blocks end when the next one starts."""
        self.was_begun = was_begun
        # Its last piece has come.
        self.is_whole = False
        # Nothing can come late any more.
        self.is_settled = False
        self.has_ended = False
        self.has_called = False
        self._waiting: list[Event] = []
        # What it is; told once there is something in it.
        self._part: AnswerPart | None = None
        self._is_told = False
        self._has_text = False
        # Arguments that stand in the block's start, for upstreams that send no pieces of them.
        self._input: object = None
        # The last one counts: it comes after all that it signs.
        self._seal: Opaque | None = None
        self._is_hosted = False

    def start(self, block: _Object) -> None:
        match block["type"]:
            case "text":
                self._become(Text(""))
                self._say(_word(block, "text"))
                for citation in citations.read_all(block):
                    self._tell(Cited(citation))
            case "thinking":
                self._become(Thinking(""))
                self._say(_word(block, "thinking"))
                self._sign(_word(block, "signature"))
            case "redacted_thinking":
                self._become(Thinking(""))
                self._seal = Opaque(Origin.ANTHROPIC, Seal.ENCRYPTED, _word(block, "data"))
            case "tool_use":
                if not _word(block, "name"):
                    # No client could answer a call of no tool.
                    raise ValueError("tool_use")
                self._become(ToolCall(_word(block, "id"), _word(block, "name"), ""))
                self._input = block.get("input")
                self.has_called = True
                self._begin()
            case _:
                self._is_hosted = True

    def add(self, delta: _Object) -> None:
        if self._is_hosted:
            return
        match delta.get("type"):
            case "text_delta":
                self._speak(Text, _word(delta, "text"))
            case "thinking_delta":
                self._speak(Thinking, _word(delta, "thinking"))
            case "signature_delta":
                self._sign(_word(delta, "signature"))
            case "input_json_delta":
                if not isinstance(self._part, ToolCall):
                    raise ValueError(delta["type"])
                self._say(_word(delta, "partial_json"))
            case "citations_delta":
                if not isinstance(self._part, Text):
                    self._become(Text(""))
                self._tell(Cited(citations.read(object_in(delta, "citation"))))

    def taken(self) -> list[Event]:
        """Return the events not told yet, with the end of the part once that is known."""
        if self.is_whole and (self.is_settled or not self._may_be_signed()):
            self._close()
            self.has_ended = True
        events, self._waiting = self._waiting, []
        return events

    def _may_be_signed(self) -> bool:
        return isinstance(self._part, Thinking) and self._seal is None

    def _become(self, part: AnswerPart) -> None:
        self._close()
        self._part, self._is_told, self._has_text, self._seal = part, False, False, None

    def _begin(self) -> None:
        if not self._is_told and self._part is not None:
            self._is_told = True
            self._waiting.append(PartStarted(self._part))

    def _tell(self, event: Event) -> None:
        self._begin()
        self._waiting.append(event)

    def _say(self, text: str) -> None:
        if text:
            self._has_text = True
            self._begin()
            self._waiting.append(Delta(text))

    def _speak(self, kind: type[Text] | type[Thinking], text: str) -> None:
        """Some upstreams put thinking into a block that was begun as text."""
        if type(self._part) is not kind:
            self._become(kind(""))
        self._say(text)

    def _sign(self, signature: str) -> None:
        """One that belongs to what was told already comes too late."""
        if self._part is None:
            self._become(Thinking(""))
        if signature and isinstance(self._part, Thinking):
            self._seal = Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, signature)

    def _close(self) -> None:
        if isinstance(self._part, ToolCall) and not self._has_text:
            self._say(call_input.arguments_of(self._input or {}))
        if self._seal is not None:
            self._tell(Sealed(self._seal))
        if self._is_told:
            self._waiting.append(PartEnded())
        self._part, self._is_told, self._seal = None, False, None


def _ending(stop: _Object, *, has_called: bool) -> Ending:
    reason = _STOPS.get(_word(stop, "stop_reason"))
    if reason is None:
        reason = Stop.TOOL_CALLS if has_called else Stop.END
    details = object_in(stop, "stop_details")
    is_refusal = reason is Stop.REFUSAL
    return Ending(
        reason,
        _word(stop, "stop_sequence") if reason is Stop.STOP_SEQUENCE else "",
        _word(details, "category") if is_refusal else "",
        _word(details, "explanation") if is_refusal else "",
    )


def _index(document: _Object) -> int:
    index = document["index"]
    if not isinstance(index, int):
        raise TypeError
    return index


def _word(thing: _Object, name: str) -> str:
    """A member that is a text; empty for null and nothing."""
    value = thing.get(name)
    if value is not None and not isinstance(value, str):
        raise TypeError(name)
    return value or ""
