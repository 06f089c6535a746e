"""A generation in the one form, whole or frame by frame. The first choice is the answer."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from tollgate_dialects.common import documents, shapes, sse
from tollgate_dialects.conversation.answer import Answer, Ending, Event, Finished, Started, Stop
from tollgate_dialects.conversation.assembly import Assembly, Call, Thought, Words
from tollgate_dialects.conversation.machine import Machine
from tollgate_dialects.conversation.translation import EventReader
from tollgate_dialects.dashscope import schema
from tollgate_dialects.dashscope.translate.growth import Growth, Mode

_STOPS: Final[Mapping[str, Stop]] = {
    "length": Stop.LENGTH,
    "tool_calls": Stop.TOOL_CALLS,
    "content_filter": Stop.REFUSAL,
}


def read(document: Mapping[str, Any]) -> Answer:
    """A whole answer. Raises ValueError."""
    machine = Machine()
    reader = FrameReader(is_stream=False)
    for event in [*reader.take(document), *reader.finish()]:
        machine.check(event)
    return machine.answer()


class FrameReader(EventReader):
    """Reads one stream of frames."""

    def __init__(self, *, is_stream: bool = True) -> None:
        """`is_stream`: False for an answer in one document."""
        mode = Mode()
        if not is_stream:
            mode.is_whole = False
        self._assembly = Assembly(self._made_id)
        self._answer_id = ""
        self._has_begun = self._has_finished = False
        self._reason = ""
        self._thought, self._said = Growth(mode), Growth(mode)
        self._arguments: defaultdict[int, Growth] = defaultdict(partial(Growth, mode))

    def read(self, event: sse.Event) -> list[Event]:
        """One frame. Raises ValueError."""
        document = documents.read(event.data)
        if not isinstance(document, dict):
            raise shapes.ShapeError("frame", "an object")
        if self._has_finished:
            return []
        events = self.take(document)
        return [*events, *self.finish()] if self._reason else events

    def take(self, document: Mapping[str, Any]) -> list[Event]:
        """What a frame, or a whole answer, says. Raises ShapeError."""
        events: list[Event] = []
        if not self._has_begun:
            self._has_begun = True
            self._answer_id = shapes.text(document, "request_id")
            events.append(Started(self._answer_id))
        output = shapes.item(document, "output")
        if output.get("choices") is None and output.get("text") is not None:
            self._tell("", self._said.take(shapes.text(output, "text")))
            self._reason = schema.reason_of(output)
        for choice in shapes.items(output, "choices"):
            if choice.get("index") in (None, 0):
                self._choose(choice)
        return events + self._assembly.told()

    def finish(self) -> list[Event]:
        """What follows the last frame. Raises ShapeError."""
        self._has_finished = True
        events: list[Event] = [] if self._has_begun else [Started()]
        self._tell(self._thought.finish(), self._said.finish())
        for place, arguments in self._arguments.items():
            self._assembly.take(Call(place, "", "", arguments.finish()))
        return [*events, *self._assembly.finish(), Finished(Ending(self._stop()))]

    def _choose(self, choice: Mapping[str, Any]) -> None:
        message = shapes.item(choice, "message")
        calls = shapes.items(message, "tool_calls")
        thought, said = shapes.text(message, "reasoning_content"), _content_of(message)
        self._tell(
            self._thought.take(thought, is_beside=bool(said or calls)),
            self._said.take(said, is_beside=bool(thought or calls)),
        )
        for number, call in enumerate(calls):
            function = shapes.item(call, "function")
            index = call.get("index")
            place = index if type(index) is int else number
            new = self._arguments[place].take(shapes.text(function, "arguments"))
            name, call_id = shapes.text(function, "name"), shapes.text(call, "id")
            self._assembly.take(Call(place, call_id, name, new))
        self._reason = schema.reason_of(choice) or self._reason

    def _tell(self, thought: str, said: str) -> None:
        if thought:
            self._assembly.take(Thought(thought))
        if said:
            self._assembly.take(Words(said))

    def _stop(self) -> Stop:
        stop = _STOPS.get(self._reason, Stop.END)
        return Stop.TOOL_CALLS if stop is Stop.END and self._assembly.calls else stop

    def _made_id(self, number: int) -> str:
        """For a call that came without one: other answers of a conversation have others."""
        answer = hashlib.sha256(self._answer_id.encode("utf-8", "surrogatepass")).hexdigest()
        return f"call_{answer[:8]}_{number}"


def _content_of(message: Mapping[str, Any]) -> str:
    """One text, or the texts of a list of parts."""
    if isinstance(message.get("content"), list):
        return "".join(shapes.text(part, "text") for part in shapes.items(message, "content"))
    return shapes.text(message, "content")
