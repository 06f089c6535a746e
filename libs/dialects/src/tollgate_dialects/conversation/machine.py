"""The legal order of a stream's events, and the answer that they add up to.

Owns the rule: one start, one part at a time, deltas only where they belong, one finish. Promises
that what leaves `check` in order is a legal stream, and that `answer` of it is what the same answer
would have been in one piece.
"""

import dataclasses

from tollgate_dialects.conversation.answer import (
    Answer,
    AnswerPart,
    Cited,
    Delta,
    Event,
    Finished,
    PartEnded,
    PartStarted,
    Sealed,
    Started,
)
from tollgate_dialects.conversation.parts import Citation, Text, ToolCall


class IllegalEventError(Exception):
    """An upstream's stream cannot be told in order."""


class Machine:
    """Follows one stream."""

    def __init__(self) -> None:
        self._started: Started | None = None
        self._open: AnswerPart | None = None
        self._texts: list[str] = []
        self._sealed: Sealed | None = None
        self._citations: list[Citation] = []
        self._parts: list[AnswerPart] = []
        self._finished: Finished | None = None

    @property
    def finished(self) -> bool:
        """True when nothing may follow."""
        return self._finished is not None

    def check(self, event: Event) -> None:
        """Take one event. Raises IllegalEventError."""
        if self._finished is not None or (self._started is None) is not isinstance(event, Started):
            raise IllegalEventError
        match event:
            case Started():
                self._started = event
            case PartStarted(part):
                self._expect(is_open=False)
                self._open = part
                self._texts, self._citations, self._sealed = [], [], None
            case Delta(text):
                self._expect(is_open=True)
                self._texts.append(text)
            case Sealed():
                self._expect(is_open=True)
                if self._sealed is not None or isinstance(self._open, Text):
                    raise IllegalEventError
                self._sealed = event
            case Cited(citation):
                if not isinstance(self._open, Text):
                    raise IllegalEventError
                self._citations.append(citation)
            case PartEnded():
                self._parts.append(self._closed())
                self._open = None
            case Finished():
                self._expect(is_open=False)
                self._finished = event

    def answer(self) -> Answer:
        """The whole answer. Raises IllegalEventError before the finish."""
        if self._started is None or self._finished is None:
            raise IllegalEventError
        return Answer(
            tuple(self._parts),
            self._finished.ending,
            self._started.answer_id,
            self._started.model,
        )

    def _expect(self, *, is_open: bool) -> None:
        if (self._open is not None) is not is_open:
            raise IllegalEventError

    def _closed(self) -> AnswerPart:
        part = self._open
        if part is None:
            raise IllegalEventError
        text = "".join(self._texts)
        if isinstance(part, Text):
            whole = (*part.citations, *self._citations)
            return dataclasses.replace(part, text=part.text + text, citations=whole)
        opaque = self._sealed.opaque if self._sealed else part.opaque
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
