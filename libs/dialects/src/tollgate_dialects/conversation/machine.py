"""The legal order of a stream's events, and the answer that they add up to.

Owns the rule: one start, one part at a time, deltas only where they belong, one finish. Promises
that what leaves `check` in order is a legal stream, and that `answer` of it is what the same answer
would have been in one piece.
"""

import dataclasses
from typing import Final

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
)
from tollgate_dialects.conversation.parts import Citation, Opaque, Text, ToolCall


class IllegalEventError(Exception):
    """An upstream's stream cannot be told in order."""


# Far more than any answer has.
_PARTS_MAX: Final = 10_000


class Order:
    """Holds one stream to the legal order, and its parts to a number; keeps none of its text."""

    def __init__(self) -> None:
        self._parts = 0
        self.finished = False
        self._has_started = False
        self._open: AnswerPart | None = None
        self._is_sealed = False

    def check(self, event: Event) -> None:
        """Take one event. Raises IllegalEventError."""
        if isinstance(event, Delta):
            # Nearly all are. No part is open before the start or behind the finish.
            self._expect(is_open=True)
        elif self.finished or self._has_started is isinstance(event, Started):
            raise IllegalEventError
        else:
            self._move(event)

    def _move(self, event: Event) -> None:
        match event:
            case Started():
                self._has_started = True
            case PartStarted(part):
                self._expect(is_open=False)
                self._open, self._is_sealed = part, False
                self._parts += 1
                if self._parts > _PARTS_MAX:
                    raise IllegalEventError
            case Sealed():
                self._expect(is_open=True)
                if self._is_sealed or isinstance(self._open, Text):
                    raise IllegalEventError
                self._is_sealed = True
            case Cited():
                if not isinstance(self._open, Text):
                    raise IllegalEventError
            case PartEnded():
                self._expect(is_open=True)
                self._open = None
            case Finished():
                self._expect(is_open=False)
                self.finished = True

    def _expect(self, *, is_open: bool) -> None:
        if (self._open is not None) is not is_open:
            raise IllegalEventError


class Machine:
    """Adds one stream up to its answer."""

    def __init__(self) -> None:
        self._order = Order()
        self._started = Started()
        self._ending: Ending | None = None
        self._part: AnswerPart = Text("")
        self._texts: list[str] = []
        self._opaque: Opaque | None = None
        self._citations: list[Citation] = []
        self._parts: list[AnswerPart] = []

    @property
    def finished(self) -> bool:
        """True when nothing may follow."""
        return self._order.finished

    def check(self, event: Event) -> None:
        """Take one event. Raises IllegalEventError."""
        self._order.check(event)
        match event:
            case Started():
                self._started = event
            case PartStarted(part):
                self._part = part
                self._texts, self._citations, self._opaque = [], [], None
            case Delta(text):
                self._texts.append(text)
            case Sealed(opaque):
                self._opaque = opaque
            case Cited(citation):
                self._citations.append(citation)
            case PartEnded():
                self._parts.append(self._closed())
            case Finished(ending):
                self._ending = ending

    def answer(self) -> Answer:
        """The whole answer. Raises IllegalEventError before the finish."""
        if self._ending is None:
            raise IllegalEventError
        started = self._started
        return Answer(tuple(self._parts), self._ending, started.answer_id, started.model)

    def _closed(self) -> AnswerPart:
        part, text = self._part, "".join(self._texts)
        if isinstance(part, Text):
            whole = (*part.citations, *self._citations)
            return dataclasses.replace(part, text=part.text + text, citations=whole)
        opaque = self._opaque or part.opaque
        if isinstance(part, ToolCall):
            return dataclasses.replace(part, arguments=part.arguments + text, opaque=opaque)
        return dataclasses.replace(part, text=part.text + text, opaque=opaque)


def events_of(answer: Answer) -> list[Event]:
    """A whole answer as the shortest stream that says the same."""
    events: list[Event] = [Started(answer.answer_id, answer.model)]
    for part in answer.parts:
        events += _events_of_part(part)
    return [*events, Finished(answer.ending)]


def _events_of_part(part: AnswerPart) -> list[Event]:
    if isinstance(part, Text):
        empty: AnswerPart = dataclasses.replace(part, text="", citations=())
        inside: list[Event] = [Delta(part.text)] if part.text else []
        inside += [Cited(citation) for citation in part.citations]
        return [PartStarted(empty), *inside, PartEnded()]
    if isinstance(part, ToolCall):
        empty = dataclasses.replace(part, arguments="", opaque=None)
        inside = [Delta(part.arguments)] if part.arguments else []
    else:
        empty = dataclasses.replace(part, text="", opaque=None)
        inside = [Delta(part.text)] if part.text else []
    if part.opaque is not None:
        inside.append(Sealed(part.opaque))
    return [PartStarted(empty), *inside, PartEnded()]
