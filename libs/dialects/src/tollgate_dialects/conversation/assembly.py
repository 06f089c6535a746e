"""Fragments of one answer put together into parts, one after another.

Some protocols' streams may tell of several calls at once, and go back to one that they had left.
Promises that the events given back are in the legal order whatever the fragments are; that a
fragment is passed on at once unless another part has to be whole before; and that no more waits
than that.
"""

import re
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from tollgate_dialects.common import shapes
from tollgate_dialects.conversation.answer import (
    AnswerPart,
    Cited,
    Delta,
    Event,
    PartEnded,
    PartStarted,
    Sealed,
)
from tollgate_dialects.conversation.backlog import Backlog
from tollgate_dialects.conversation.parts import (
    Citation,
    Opaque,
    Origin,
    Seal,
    Text,
    Thinking,
    ToolCall,
)


class Thought(NamedTuple):
    """Thinking, or a block of it. `block`: fragments of one block have the same; None: any."""

    text: str
    opaque: Opaque | None = None
    block: int | None = None


class Words(NamedTuple):
    """Text, and where it comes from."""

    text: str
    is_refusal: bool = False
    citations: tuple[Citation, ...] = ()


class Call(NamedTuple):
    """A tool call, or a fragment of one. `place`: fragments of one call have the same."""

    place: int | None
    call_id: str
    name: str
    arguments: str
    takes_text: bool = False
    opaque: Opaque | None = None


Piece: TypeAlias = Thought | Words | Call


# Arguments of a call that has none.
_EMPTY = "{}"
_MARKS = re.compile(r'\\.?|["{}\[\]]', re.DOTALL)


class _JsonEnd:
    """Whether the fragments of a JSON text have come to the end of their object."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escapes = False
        self.is_whole = False

    def feed(self, fragment: str) -> None:
        start = 1 if self._escapes and fragment else 0
        self._escapes = self._escapes and not fragment
        for found in _MARKS.finditer(fragment, start):
            mark = found.group()
            if mark[0] == "\\":
                self._escapes = len(mark) == 1
            elif mark == '"':
                self._in_string = not self._in_string
            elif not self._in_string:
                self._depth += 1 if mark in "{[" else -1
                self.is_whole = self._depth <= 0


class _Arguments:
    """What is new in the fragments of a call's arguments: some servers repeat what they said.

    All of it so far in each fragment, the whole once more at the end, or an empty object first.
    """

    def __init__(self) -> None:
        self._json = _JsonEnd()
        # The first fragment, or all that was said where fragments repeat it.
        self._said = ""
        self._repeats: bool | None = None

    @property
    def is_whole(self) -> bool:
        return self._json.is_whole

    @property
    def is_empty(self) -> bool:
        """Nothing was given back, but for an object without members, which may be no more."""
        return self._repeats is None and self._said.strip() in ("", _EMPTY)

    def text(self, fragment: str) -> str:
        """What a fragment of free text adds: all of it."""
        self._repeats = False
        self._json.feed(fragment)
        return fragment

    def new(self, fragment: str) -> str:
        """What a fragment adds."""
        if self.is_empty and self._said:
            # It stood for arguments that were to come.
            if not fragment.lstrip().startswith("{"):
                return ""
            self._json, self._said = _JsonEnd(), ""
        if self.is_whole:
            return ""
        if not self._said and self._repeats is None:
            self._said, added = fragment, fragment
        else:
            added = self._after(fragment)
        self._json.feed(added)
        return "" if self.is_empty else added

    def _after(self, fragment: str) -> str:
        if self._repeats is None:
            # Where a value is to follow, an object may begin like the one that it is in.
            begun = self._said.rstrip()
            may_repeat = begun.startswith("{") and begun[-1] not in ":[,"
            self._repeats = may_repeat and fragment.startswith(self._said)
        if not self._repeats or not fragment.startswith(self._said):
            return fragment
        added = fragment[len(self._said) :]
        self._said = fragment
        return added


class _Slot:
    """A part that is told, or waits for its turn."""

    def __init__(self, part: AnswerPart, block: int | None = None) -> None:
        self.part = part
        self.block = block
        self.waiting: list[Event] = []
        self.is_sealed = False
        self.arguments = _Arguments()

    @property
    def may_begin(self) -> bool:
        return not isinstance(self.part, ToolCall) or bool(self.part.name)

    @property
    def may_end(self) -> bool:
        """Text and thinking end when something else begins; arguments when they are whole."""
        return self.may_begin and (not isinstance(self.part, ToolCall) or self.arguments.is_whole)


class Assembly:
    """Takes the pieces of one answer in the order in which they come."""

    def __init__(self, made_id: Callable[[int], str]) -> None:
        """`made_id`: the id of a call that came without one, by its number."""
        self._made_id = made_id
        # The first is told, the others wait.
        self._slots: deque[_Slot] = deque()
        self._is_told = False
        self._by_place: dict[int, _Slot] = {}
        self._by_id: dict[str, _Slot] = {}
        self._last_call: _Slot | None = None
        self._calls = 0
        self._events: list[Event] = []
        self._backlog = Backlog()

    @property
    def calls(self) -> int:
        """How many calls there are so far."""
        return self._calls

    def take(self, piece: Piece) -> None:
        """Put a piece where it belongs."""
        match piece:
            case Words():
                self._take_words(piece)
            case Thought():
                self._take_thought(piece)
            case Call():
                self._take_call(piece)

    def told(self) -> list[Event]:
        """What can be said since the last time."""
        events, self._events = self._events, []
        return events

    def finish(self) -> list[Event]:
        """What was not said yet, to the end of the last part. Raises ShapeError."""
        while self._slots:
            self._begin()
            self._end()
        return self.told()

    def _take_words(self, words: Words) -> None:
        slot = self._slots[-1] if self._slots else None
        if (
            slot is None
            or not isinstance(slot.part, Text)
            or slot.part.is_refusal is not words.is_refusal
        ):
            slot = self._append(_Slot(Text("", is_refusal=words.is_refusal)))
        self._backlog.take(words.text, parts=len(self._slots) - 1)
        if words.text:
            self._say(slot, Delta(words.text))
        for citation in words.citations:
            self._say(slot, Cited(citation))

    def _take_thought(self, thought: Thought) -> None:
        opaque = thought.opaque
        if opaque and not thought.text and (call := self._by_id.get(opaque.item_id)):
            # A call's signature under the call's id.
            seal = Seal.SIGNATURE if opaque.origin is Origin.GOOGLE else opaque.seal
            if not call.is_sealed and call in self._slots:
                self._seal(call, Opaque(opaque.origin, seal, opaque.data))
            return
        slot = self._slots[-1] if self._slots else None
        if slot is None or not _goes_on(slot, thought):
            slot = self._append(_Slot(Thinking(""), thought.block))
        if slot.block is None:
            slot.block = thought.block
        self._backlog.take(thought.text, parts=len(self._slots) - 1)
        if thought.text:
            self._say(slot, Delta(thought.text))
        if opaque:
            self._seal(slot, opaque)

    def _take_call(self, call: Call) -> None:
        slot = self._slot_of(call)
        if slot is None:
            call_id = call.call_id or self._made_id(self._calls)
            part = ToolCall(call_id, call.name, "", takes_text=call.takes_text)
            slot = _Slot(part)
            self._calls += 1
            self._by_id[call_id] = self._last_call = slot
            if call.place is not None:
                self._by_place[call.place] = slot
            self._append(slot)
        elif isinstance(slot.part, ToolCall) and not slot.part.name and call.name:
            slot.part = ToolCall(slot.part.call_id, call.name, "", takes_text=call.takes_text)
            self._advance()
        if slot not in self._slots:
            # More of a call that had come to its end: there is nowhere to say it.
            return
        takes_text = isinstance(slot.part, ToolCall) and slot.part.takes_text
        new = slot.arguments.text if takes_text else slot.arguments.new
        self._backlog.take(call.arguments, parts=len(self._slots) - 1)
        if call.arguments and (said := new(call.arguments)):
            self._say(slot, Delta(said))
        if call.opaque and not slot.is_sealed:
            self._seal(slot, call.opaque)
        self._advance()

    def _slot_of(self, call: Call) -> _Slot | None:
        """The call that a fragment belongs to; None: a new one."""
        if call.place is not None:
            slot = self._by_place.get(call.place)
            if slot and call.call_id and self._by_id.get(call.call_id) is not slot:
                # Some give all calls the same place: then the id tells them apart.
                return self._by_id.get(call.call_id)
            return slot
        if call.call_id:
            return self._by_id.get(call.call_id)
        return None if call.name else self._last_call

    def _append(self, slot: _Slot) -> _Slot:
        self._slots.append(slot)
        self._advance()
        return slot

    def _advance(self) -> None:
        """End the first part and begin the next, where that is possible."""
        if not self._slots:
            return
        while len(self._slots) > 1 and self._slots[0].may_end:
            self._begin()
            self._end()
        if self._slots[0].may_begin:
            self._begin()

    def _begin(self) -> None:
        if self._is_told:
            return
        slot = self._slots[0]
        if not slot.may_begin:
            raise shapes.ShapeError("name", "a name")
        self._is_told = True
        self._events.append(PartStarted(slot.part))
        self._events += slot.waiting
        slot.waiting.clear()

    def _end(self) -> None:
        slot = self._slots.popleft()
        if slot.arguments.is_empty and slot.arguments.is_whole:
            self._events.append(Delta(_EMPTY))
        self._is_told = False
        self._events.append(PartEnded())

    def _say(self, slot: _Slot, event: Event) -> None:
        is_first = self._is_told and slot is self._slots[0]
        (self._events if is_first else slot.waiting).append(event)

    def _seal(self, slot: _Slot, opaque: Opaque) -> None:
        slot.is_sealed = True
        self._say(slot, Sealed(opaque))


def _goes_on(slot: _Slot, thought: Thought) -> bool:
    """Whether a thought is more of the part before it."""
    if not isinstance(slot.part, Thinking) or slot.is_sealed:
        return False
    opaque = thought.opaque
    if opaque and opaque.seal is Seal.ENCRYPTED and opaque.origin is not Origin.OPENAI:
        # Is thinking of its own, and no proof of what was said before.
        return False
    return None in (slot.block, thought.block) or slot.block == thought.block
