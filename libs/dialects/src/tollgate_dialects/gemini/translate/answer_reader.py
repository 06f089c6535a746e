"""An answer in the one form, whole or chunk by chunk. The first candidate is the answer.

Promises: parts in the order in which they came, texts of one kind put together, a call whole even
where its arguments came piece by piece. What runs at Google is no part of the conversation and
passes unseen.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common import documents, shapes, sse
from tollgate_dialects.conversation.answer import (
    Answer,
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
from tollgate_dialects.conversation.machine import IllegalEventError, Machine
from tollgate_dialects.conversation.parts import Opaque, Text, Thinking, ToolCall
from tollgate_dialects.conversation.translation import EventReader
from tollgate_dialects.gemini import signatures, stream
from tollgate_dialects.gemini.translate.arguments import PartialArguments

_STOPS: Final[Mapping[str, Stop]] = {
    "MAX_TOKENS": Stop.LENGTH,
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
         "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR", "JAILBREAK"),
        Stop.REFUSAL,
    ),
}  # fmt: skip
# What the model made is no answer: an end like any other would be the end of a client's work.
_FAILURES: Final = frozenset(
    ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS",
     "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE")
)  # fmt: skip


def read(document: Mapping[str, Any]) -> Answer:
    """A whole answer. Raises ShapeError, IllegalEventError."""
    machine = Machine()
    reader = ChunkReader()
    for event in [*reader.take(document), *reader.finish()]:
        machine.check(event)
    return machine.answer()


class ChunkReader(EventReader):
    """Reads one stream of chunks: behind the one that says why it ended there may be more."""

    def __init__(self) -> None:
        self._has_begun = False
        self._has_ended = False
        self._seed = ""
        self._open: Text | Thinking | None = None
        # The call whose arguments come piece by piece.
        self._call: ToolCall | None = None
        self._seal: Opaque | None = None
        self._pieces = PartialArguments()
        # They are told when they are whole.
        self._backlog = Backlog()
        self._calls = 0
        self._ending = Ending(Stop.END)

    def read(self, event: sse.Event) -> list[Event]:
        """What one chunk says. Raises ValueError, IllegalEventError."""
        document = documents.read(event.data)
        if not isinstance(document, dict):
            raise shapes.ShapeError("chunk", "an object")
        self._has_ended = self._has_ended or stream.ends(document)
        return self.take(document)

    def close(self) -> list[Event]:
        """The end, once, when a chunk has said why."""
        if not self._has_ended:
            return []
        self._has_ended = False
        return self.finish()

    def take(self, document: Mapping[str, Any]) -> list[Event]:
        """What a chunk, or a whole answer, says. Raises ShapeError, IllegalEventError."""
        events: list[Event] = []
        if not self._has_begun:
            self._has_begun = True
            self._seed = shapes.text(document, "responseId")
            events.append(Started(self._seed, shapes.text(document, "modelVersion")))
        for candidate in shapes.items(document, "candidates"):
            if candidate.get("index") in (None, 0):
                for part in shapes.items(shapes.item(candidate, "content"), "parts"):
                    events += self._part(part)
                self._note_end(candidate)
        feedback = shapes.item(document, "promptFeedback")
        if reason := shapes.text(feedback, "blockReason"):
            why = shapes.text(feedback, "blockReasonMessage")
            self._ending = Ending(Stop.REFUSAL, category=reason.lower(), explanation=why)
        return events

    def finish(self) -> list[Event]:
        """What follows the last chunk."""
        events: list[Event] = [] if self._has_begun else [Started()]
        events += self._end_call() + self._close()
        ending = self._ending
        if ending.stop is Stop.END and self._calls:
            # Google says of a call what it says of a text.
            ending = Ending(Stop.TOOL_CALLS)
        return [*events, Finished(ending)]

    def _note_end(self, candidate: Mapping[str, Any]) -> None:
        reason = shapes.text(candidate, "finishReason")
        if not reason:
            return
        if reason in _FAILURES:
            raise IllegalEventError
        stop = _STOPS.get(reason, Stop.END)
        if stop is Stop.REFUSAL:
            why = shapes.text(candidate, "finishMessage")
            self._ending = Ending(stop, category=reason.lower(), explanation=why)
        else:
            self._ending = Ending(stop)

    def _part(self, part: Mapping[str, Any]) -> list[Event]:
        signature = shapes.text(part, "thoughtSignature")
        if part.get("functionCall") is not None:
            return self._call_piece(shapes.item(part, "functionCall"), signatures.read(signature))
        if not (signature or isinstance(part.get("text"), str)):
            return []
        if shapes.flag(part, "thought"):
            return self._thought(shapes.text(part, "text"), signatures.read(signature))
        events = self._say(Text(""), shapes.text(part, "text"))
        opaque = signatures.read(signature, item_id=signatures.OF_TEXT)
        if opaque is not None:
            events += [*self._close(), PartStarted(Thinking("")), Sealed(opaque), PartEnded()]
        return events

    def _thought(self, text: str, opaque: Opaque | None) -> list[Event]:
        events = self._say(Thinking(""), text)
        if opaque is None:
            return events
        if not isinstance(self._open, Thinking):
            events += self._begin(Thinking(""))
        return [*events, Sealed(opaque), *self._close()]

    def _say(self, kind: Text | Thinking, text: str) -> list[Event]:
        if not text:
            return []
        events = [] if type(self._open) is type(kind) else self._begin(kind)
        return [*events, Delta(text)]

    def _begin(self, kind: Text | Thinking) -> list[Event]:
        events = self._end_call() + self._close()
        self._open = kind
        return [*events, PartStarted(kind)]

    def _close(self) -> list[Event]:
        if self._open is None:
            return []
        self._open = None
        return [PartEnded()]

    def _call_piece(self, call: Mapping[str, Any], opaque: Opaque | None) -> list[Event]:
        """A call; or a piece of one: only the first has a name, and the last ends it."""
        events: list[Event] = []
        if name := shapes.text(call, "name"):
            events += self._end_call() + self._close()
            call_id = shapes.text(call, "id") or self._made_id()
            self._calls += 1
            self._call, self._seal = ToolCall(call_id, name, ""), opaque
            self._pieces, self._backlog = PartialArguments(), Backlog()
            self._pieces.value.update(shapes.item(call, "args"))
        if self._call is None:
            return events
        self._seal = self._seal or opaque
        for piece in shapes.items(call, "partialArgs"):
            self._backlog.take(
                shapes.text(piece, "jsonPath") + shapes.text(piece, "stringValue"), parts=1
            )
            self._pieces.take(piece)
        if not shapes.flag(call, "willContinue"):
            events += self._end_call()
        return events

    def _end_call(self) -> list[Event]:
        call, self._call = self._call, None
        if call is None:
            return []
        sealed = [Sealed(self._seal)] if self._seal is not None else []
        arguments = documents.written(self._pieces.whole()).decode()
        return [PartStarted(call), *sealed, Delta(arguments), PartEnded()]

    def _made_id(self) -> str:
        """For a call that came without one: other answers of a conversation have others."""
        answer = hashlib.sha256(self._seed.encode("utf-8", "surrogatepass")).hexdigest()
        return f"call_{answer[:8]}_{self._calls}"
