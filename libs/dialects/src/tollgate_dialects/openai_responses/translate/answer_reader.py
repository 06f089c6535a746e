"""A response in the one form, whole or event by event.

Items are told one after another: of one that comes while another is not whole, the events wait.
Promises that what servers leave out of a stream and say at an item's end, or only with the last
event, is said as well, and nothing twice.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common import documents, shapes, sse
from tollgate_dialects.conversation.answer import (
    Answer,
    AnswerPart,
    Ending,
    Event,
    Finished,
    PartStarted,
    Started,
    Stop,
)
from tollgate_dialects.conversation.machine import events_of
from tollgate_dialects.conversation.parts import ToolCall
from tollgate_dialects.conversation.translation import EventReader
from tollgate_dialects.openai_responses.translate import said
from tollgate_dialects.openai_responses.translate.item_reader import ItemReader

_LAST: Final = frozenset(("response.completed", "response.incomplete", "response.done"))
_FAILED: Final = frozenset(("error", "response.failed"))


def read(document: Mapping[str, Any]) -> Answer:
    """A whole answer. Raises ValueError."""
    parts = _parts_in(document)
    return Answer(
        tuple(parts),
        _ending(document, has_called=any(isinstance(part, ToolCall) for part in parts)),
        shapes.text(document, "id"),
        shapes.text(document, "model"),
    )


def _parts_in(document: Mapping[str, Any]) -> list[AnswerPart]:
    return [part for item in shapes.items(document, "output") for part in said.parts_of(item)]


def _ending(document: Mapping[str, Any], *, has_called: bool) -> Ending:
    reason = shapes.text(shapes.item(document, "incomplete_details"), "reason")
    if reason == "content_filter":
        return Ending(Stop.REFUSAL)
    if reason or document.get("status") == "incomplete":
        return Ending(Stop.LENGTH)
    return Ending(Stop.TOOL_CALLS if has_called else Stop.END)


class ResponseReader(EventReader):
    """Reads one stream."""

    def __init__(self) -> None:
        self._has_begun = False
        # By output_index, in the order in which they began; the first is told, the others wait.
        self._items: dict[object, ItemReader] = {}
        self._has_items = False
        self._has_called = False

    def read(self, event: sse.Event) -> list[Event]:
        """One frame. Raises ValueError."""
        if event.data.strip() == b"[DONE]":
            return []
        document = documents.read(event.data)
        if not isinstance(document, dict):
            raise shapes.ShapeError("event", "an object")
        kind = shapes.text(document, "type") or event.name.decode("latin-1")
        if kind in _FAILED:
            raise shapes.ShapeError("event", "no failure")
        return self.take(kind, document)

    def take(self, kind: str, document: Mapping[str, Any]) -> list[Event]:
        """What an event of a kind says. Raises ShapeError."""
        response = shapes.item(document, "response")
        events: list[Event] = []
        if not self._has_begun:
            self._has_begun = True
            events.append(Started(shapes.text(response, "id"), shapes.text(response, "model")))
        if kind in _LAST:
            return [*events, *self._finish(response)]
        self._take_of_item(kind.removeprefix("response."), document)
        return [*events, *self._waiting()]

    def _take_of_item(self, kind: str, document: Mapping[str, Any]) -> None:
        place = document.get("output_index")
        key = place if type(place) is int else shapes.text(document, "item_id")
        if kind in ("output_item.added", "output_item.done"):
            item = shapes.item(document, "item")
            if not item:
                return
            reader = self._items.get(key)
            if reader is None:
                reader = self._items[key] = ItemReader()
            reader.take_item(item, is_whole=kind == "output_item.done")
        elif (reader := self._items.get(key)) is not None:
            reader.take(kind, document)

    def _waiting(self) -> list[Event]:
        """All that can be said of the items, in their order."""
        events: list[Event] = []
        for reader in self._items.values():
            if reader.was_told:
                continue
            events += reader.told()
            if not reader.is_whole:
                break
            reader.was_told = True
        self._note(events)
        return events

    def _note(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, PartStarted):
                self._has_items = True
                self._has_called |= isinstance(event.part, ToolCall)

    def _finish(self, response: Mapping[str, Any]) -> list[Event]:
        events: list[Event] = []
        output = shapes.items(response, "output")
        for place, reader in self._items.items():
            if not reader.was_told:
                if isinstance(place, int) and 0 <= place < len(output):
                    reader.end_as(output[place])
                events += [*reader.told(), *reader.end()]
        self._note(events)
        if not self._has_items:
            # Some tell of nothing before the end.
            parts = _parts_in(response)
            whole = Answer(tuple(parts), Ending(Stop.END))
            events += events_of(whole)[1:-1]
            self._note(events)
        return [*events, Finished(_ending(response, has_called=self._has_called))]
