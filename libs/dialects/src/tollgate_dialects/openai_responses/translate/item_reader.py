"""One item of a response's stream, from its beginning to its end, as events of the one form."""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common import shapes
from tollgate_dialects.conversation.answer import (
    Answer,
    AnswerPart,
    Cited,
    Delta,
    Ending,
    Event,
    PartEnded,
    PartStarted,
    Sealed,
    Stop,
)
from tollgate_dialects.conversation.machine import events_of
from tollgate_dialects.conversation.parts import Text, Thinking, ToolCall
from tollgate_dialects.openai_responses.translate import citations, said

_SUMMARY: Final = "reasoning_summary_text"
_CALLS: Final = ("function_call_arguments", "custom_tool_call_input")


class ItemReader:
    """Takes the events of one item."""

    def __init__(self, kind: str = "") -> None:
        """`kind`: of an item whose beginning is not told."""
        self.kind = kind
        # By what the events of the stream name it.
        self.keys: tuple[int | str, ...] = ()
        self._phase = ""
        self._events: list[Event] = []
        self._open: AnswerPart | None = None
        # Of the part that has begun: whether it said anything, where, and its notes so far.
        self._has_said = False
        self._place: object = None
        self._notes = 0
        # How many parts have begun.
        self._begun = 0
        # What kind of thinking is told: summaries, or the thinking itself; never both.
        self._source = ""
        self.is_whole = False

    def told(self) -> list[Event]:
        """What was said since the last time."""
        events, self._events = self._events, []
        return events

    def cut(self) -> None:
        """End an item whose own end did not come."""
        self._close()
        self.is_whole = True

    def end(self) -> list[Event]:
        """What is left of the item."""
        self.cut()
        return self.told()

    def end_as(self, item: Mapping[str, Any]) -> None:
        """The item in the stream's last event, where its own end did not come."""
        if said.kind_of(item) == self.kind:
            self.take_item(item, is_whole=True)

    def take_item(self, item: Mapping[str, Any], *, is_whole: bool) -> None:
        """The item as it begins or ends. Raises ShapeError."""
        if self.is_whole:
            return
        if not self.kind:
            self.kind = said.kind_of(item)
            self._phase = shapes.text(item, "phase")
        if is_whole:
            self._complete(item)
            self.is_whole = True
        elif self.kind in ("function_call", "custom_tool_call") and not self._begun:
            call = said.call_of(item)
            # Without a name there is no call yet: then its end tells all of it.
            if call.name:
                self._begin(ToolCall(call.call_id, call.name, "", call.namespace, call.takes_text))

    def take(self, kind: str, document: Mapping[str, Any]) -> None:
        """An event between the item's beginning and its end. Raises ShapeError."""
        if self.is_whole:
            return
        name, _, what = kind.rpartition(".")
        match self.kind:
            case "message":
                self._take_text(kind, document)
            case "reasoning" if name in (_SUMMARY, "reasoning_text"):
                self._think(name, what, document)
            case "function_call" | "custom_tool_call" if name in _CALLS and self._open:
                member = "arguments" if self.kind == "function_call" else "input"
                self._go_on(document, what, member)

    def _take_text(self, kind: str, document: Mapping[str, Any]) -> None:
        place = document.get("content_index")
        match kind:
            case "content_part.added":
                part = shapes.item(document, "part")
                self._begin_text(place, is_refusal=part.get("type") == "refusal")
            case "output_text.delta" | "refusal.delta" | "output_text.done" | "refusal.done":
                is_refusal = kind.startswith("refusal")
                if self._open is None or self._place != place:
                    self._begin_text(place, is_refusal=is_refusal)
                self._go_on(document, kind.rpartition(".")[2], "refusal" if is_refusal else "text")
            case "output_text.annotation.added" if self._place == place and self._open:
                self._note(shapes.item(document, "annotation"))

    def _go_on(self, document: Mapping[str, Any], what: str, member: str) -> None:
        """A piece; or all of it, where it was not told in pieces."""
        if what == "delta":
            self._say(shapes.text(document, "delta"))
        elif what == "done" and not self._has_said:
            self._say(shapes.text(document, member))

    def _begin_text(self, place: object, *, is_refusal: bool) -> None:
        if self._open is not None and self._place == place:
            return
        self._begin(Text("", is_refusal=is_refusal, phase=self._phase))
        self._place = place

    def _note(self, note: Mapping[str, Any]) -> None:
        self._notes += 1
        citation = citations.read(note)
        if citation is not None:
            self._events.append(Cited(citation))

    def _think(self, name: str, what: str, document: Mapping[str, Any]) -> None:
        place = document.get("summary_index" if name == _SUMMARY else "content_index")
        if self._source not in ("", name):
            return
        text = shapes.text(document, "delta" if what == "delta" else "text")
        is_new = place != self._place
        if not text or (what != "delta" and not is_new):
            return
        self._source = name
        if self._open is None:
            self._begin(Thinking(""))
        elif is_new and name == _SUMMARY:
            self._say(said.BETWEEN)
        self._place = place
        self._say(text)

    def _begin(self, part: AnswerPart) -> None:
        self._close()
        self._open = part
        self._begun += 1
        self._has_said, self._notes = False, 0
        self._events.append(PartStarted(part))

    def _say(self, text: str) -> None:
        if text:
            self._has_said = True
            self._events.append(Delta(text))

    def _close(self) -> None:
        if self._open is not None:
            self._open = None
            self._events.append(PartEnded())

    def _complete(self, item: Mapping[str, Any]) -> None:
        """The end of the item: says what was not said in pieces."""
        parts = said.parts_of(item)
        last = parts[self._begun - 1] if 0 < self._begun <= len(parts) else None
        if self._open is not None and last is not None:
            if not self._has_said:
                self._say(last.arguments if isinstance(last, ToolCall) else last.text)
            if isinstance(last, Thinking) and last.opaque:
                self._events.append(Sealed(last.opaque))
            elif isinstance(last, Text) and isinstance(self._open, Text) and not self._notes:
                self._events += [Cited(citation) for citation in last.citations]
        self._close()
        unsaid = Answer(tuple(parts[self._begun :]), Ending(Stop.END))
        self._events += events_of(unsaid)[1:-1]
