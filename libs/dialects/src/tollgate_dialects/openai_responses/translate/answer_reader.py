"""A response in the one form, whole or event by event.

Items are told one after another: of one that comes while another is not whole, the events wait.
Promises that what servers leave out of a stream and say at an item's end, or only with the last
event, is said as well, and nothing twice.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
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
from tollgate_dialects.conversation.backlog import Backlog
from tollgate_dialects.conversation.machine import events_of
from tollgate_dialects.conversation.parts import Text, ToolCall
from tollgate_dialects.conversation.translation import EventReader
from tollgate_dialects.openai_responses.translate import said
from tollgate_dialects.openai_responses.translate.item_reader import ItemReader

_LAST: Final = frozenset(("response.completed", "response.incomplete", "response.done"))
_FAILED: Final = frozenset(("error", "response.failed"))
_ITEM_EVENTS: Final = frozenset(("output_item.added", "output_item.done"))
# The item that is told of where none was begun: some servers send nothing but the pieces.
_IMPLIED: Final = {
    "output_text": "message",
    "refusal": "message",
    "reasoning_summary_text": "reasoning",
    "reasoning_text": "reasoning",
}
# Far more than any answer has: what comes late is known by their names.
_ITEMS_MAX: Final = 10_000


def read(document: Mapping[str, Any]) -> Answer:
    """A whole answer. Raises ValueError."""
    parts = _parts_in(document)
    return Answer(
        tuple(parts),
        _ending(document, set(map(_kind_of, parts))),
        shapes.text(document, "id"),
        shapes.text(document, "model"),
    )


def _parts_in(document: Mapping[str, Any]) -> list[AnswerPart]:
    return [part for item in shapes.items(document, "output") for part in said.parts_of(item)]


def _kind_of(part: AnswerPart) -> Stop:
    """The end that a part makes of an answer which says that it is whole."""
    if isinstance(part, ToolCall):
        return Stop.TOOL_CALLS
    return Stop.REFUSAL if isinstance(part, Text) and part.is_refusal else Stop.END


def _ending(document: Mapping[str, Any], kinds: AbstractSet[Stop]) -> Ending:
    reason = shapes.text(shapes.item(document, "incomplete_details"), "reason")
    if reason == "content_filter":
        return Ending(Stop.REFUSAL)
    if reason or document.get("status") == "incomplete":
        return Ending(Stop.LENGTH)
    return Ending(next((k for k in (Stop.TOOL_CALLS, Stop.REFUSAL) if k in kinds), Stop.END))


class ResponseReader(EventReader):
    """Reads one stream."""

    def __init__(self) -> None:
        self._has_begun = False
        # In the order in which they began; the first is told, the others wait.
        self._items: deque[ItemReader] = deque()
        # Those, by output_index and by name: servers leave out the one or the other.
        self._by_key: dict[int | str, ItemReader] = {}
        # The keys of those that were told, for what comes late.
        self._gone: set[int | str] = set()
        self._begun = 0
        # What was told: kinds of items, and ids of calls.
        self._kinds: set[str] = set()
        self._called: set[str] = set()
        self._ends: set[Stop] = set()
        self._backlog = Backlog()

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
        return [*events, *self._told()]

    def _take_of_item(self, kind: str, document: Mapping[str, Any]) -> None:
        item = shapes.item(document, "item") if kind in _ITEM_EVENTS else {}
        index = document.get("output_index")
        keys: list[int | str] = [index] if type(index) is int else []
        if name := shapes.text(item, "id") or shapes.text(document, "item_id"):
            keys.append(name)
        if item:
            is_whole = kind == "output_item.done"
            reader = self._of_item(keys, said.kind_of(item), is_whole=is_whole)
            if reader is not None:
                reader.take_item(item, is_whole=is_whole)
        elif (reader := self._of_piece(keys, kind.partition(".")[0])) is not None:
            delta = document.get("delta")
            text = delta if isinstance(delta, str) else ""
            self._backlog.take(text, parts=len(self._items) - 1)
            reader.take(kind, document)

    def _of_item(
        self, keys: Sequence[int | str], kind: str, *, is_whole: bool
    ) -> ItemReader | None:
        """Who reads an item that begins or ends; None: it was told already."""
        reader = self._known(keys)
        if reader is None and not keys and is_whole:
            reader = self._last(kind)
        if not is_whole and reader is not None and reader.is_whole:
            # Some give all items one place.
            reader = None
        if reader is None and not (is_whole and self._gone.intersection(keys)):
            reader = self._begin(ItemReader(), keys)
        return reader

    def _of_piece(self, keys: Sequence[int | str], kind: str) -> ItemReader | None:
        """Who reads a piece of an item; None: there is no such item."""
        implied = _IMPLIED.get(kind, "")
        reader = self._known(keys) or self._last(implied)
        if reader is None and implied and not self._gone.intersection(keys):
            reader = self._begin(ItemReader(implied), keys)
        return reader

    def _known(self, keys: Sequence[int | str]) -> ItemReader | None:
        return next((self._by_key[key] for key in keys if key in self._by_key), None)

    def _last(self, kind: str) -> ItemReader | None:
        """The last item, if more of its kind may be said."""
        last = self._items[-1] if self._items else None
        return last if last is not None and last.kind == kind and not last.is_whole else None

    def _begin(self, reader: ItemReader, keys: Sequence[int | str]) -> ItemReader:
        self._begun += 1
        if self._begun > _ITEMS_MAX:
            raise shapes.ShapeError("output", "of fewer items")
        if not keys and self._items:
            # Nothing can be told of the one before it any more.
            self._items[-1].cut()
        self._backlog.take("", parts=len(self._items))
        reader.keys = tuple(keys)
        self._items.append(reader)
        self._by_key.update(dict.fromkeys(keys, reader))
        return reader

    def _told(self) -> list[Event]:
        """All that can be said of the items, in their order."""
        events: list[Event] = []
        while self._items:
            reader = self._items[0]
            events += reader.told()
            if not reader.is_whole:
                break
            self._forget()
        self._note(events)
        return events

    def _forget(self) -> None:
        reader = self._items.popleft()
        self._kinds.add(reader.kind)
        self._gone.update(reader.keys)
        for key in reader.keys:
            if self._by_key.get(key) is reader:
                del self._by_key[key]

    def _note(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, PartStarted):
                self._ends.add(_kind_of(event.part))
            if isinstance(event, PartStarted) and isinstance(event.part, ToolCall):
                if not event.part.name:
                    # No client could answer a call of no tool.
                    raise shapes.ShapeError("name", "a name")
                self._called.add(event.part.call_id)

    def _finish(self, response: Mapping[str, Any]) -> list[Event]:
        events: list[Event] = []
        output = shapes.items(response, "output")
        by_name = {shapes.text(item, "id"): item for item in output}
        while self._items:
            reader = self._items[0]
            for key in reader.keys:
                if isinstance(key, str) and key in by_name:
                    reader.end_as(by_name[key])
                elif isinstance(key, int) and 0 <= key < len(output):
                    reader.end_as(output[key])
            events += reader.end()
            self._forget()
        self._note(events)
        unsaid = Answer(tuple(self._unsaid(output)), Ending(Stop.END))
        events += events_of(unsaid)[1:-1]
        self._note(events)
        return [*events, Finished(_ending(response, self._ends))]

    def _unsaid(self, output: list[dict[str, Any]]) -> Iterator[AnswerPart]:
        """What some servers tell with the last event alone.

        A call is told apart by its id; of words and thoughts there were none yet.
        """
        for item in output:
            if said.kind_of(item) in self._kinds:
                calls = (part for part in said.parts_of(item) if isinstance(part, ToolCall))
                yield from (call for call in calls if call.call_id not in self._called)
            else:
                yield from said.parts_of(item)
