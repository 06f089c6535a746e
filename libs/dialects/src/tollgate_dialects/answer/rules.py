"""What the meters of answers ask of a dialect."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tollgate_dialects.answer import reported
from tollgate_dialects.answer.answer_usage import AnswerMeter
from tollgate_dialects.answer.renaming import Place
from tollgate_dialects.answer.schema import Kind
from tollgate_dialects.answer.template import Vocabulary
from tollgate_dialects.common import sse
from tollgate_dialects.pricing.usage import Usage

# A document without its protocol's shape: the meter finds out whether it is harmless.
FOREIGN: Final = object()

_STRING = rb'"\s*+:\s*+"((?>(?:[^"\\]++|\\.)*))"'


def words_of(names: str) -> re.Pattern[bytes]:
    """What finds the texts of an answer's members with these names, joined by `|`."""
    return re.compile(b'"(?:%b)' % names.encode() + _STRING)


class StreamReader(ABC):
    """Reads the events of one stream, in their order, and tells its meter what they say."""

    # The last event was read.
    has_ended = False

    @abstractmethod
    def __init__(self, *, choices: int, strip_usage: bool) -> None:
        """`choices`: how many were asked for; a report nobody asked for may be left out."""

    @abstractmethod
    def read(self, meter: AnswerMeter, event: sse.Event, document: dict[str, Any]) -> Any:
        """What passes of a document; None: nothing; FOREIGN: it is none of the protocol's."""

    def goes_on(self, _choices: Iterable[int]) -> bool:
        """More text of these choices came. Return True if one of them had not begun."""
        return False

    def serves(self, _tier: object) -> None:  # noqa: B027 - most tell it with their report alone
        """A frame of a known shape says that the call is served so."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnswerRules:
    """A dialect's part in metering an answer."""

    # The words of the model, wherever an answer has them.
    text: re.Pattern[bytes]
    # The members of a document that hold them, if not all of them are texts; then `text` is for
    # what is not read.
    words: frozenset[str] = frozenset()
    # Members of a whole answer; and whether a document is one at all.
    body: Mapping[str, Kind]
    is_body: Callable[[Mapping[str, Any]], bool]
    # A report as usage. Raises ImplausibleError.
    usage: Callable[[Mapping[str, Any]], Usage]
    # The report in a document; None: there is none.
    report: Callable[[Mapping[str, Any]], Mapping[str, Any] | None] = reported.found_in
    stream_reader: type[StreamReader]
    # The names of events that a stream has; none where events have no names.
    events: frozenset[str]
    # The name under which a document passes; empty for none.
    event_name: Callable[[Mapping[str, Any]], bytes]
    # The choices that a document of a stream belongs to.
    choices: Callable[[Mapping[str, Any]], Iterable[int]]
    end: sse.StreamEnd
    form: sse.FrameForm = sse.PLAIN
    # What frames of plain text are made of; None: no frame is nothing but that.
    vocabulary: Vocabulary | None = None
    # Where an error has its code: the first member that is a plain word.
    error_codes: tuple[str, ...]
    # Where its documents name the model: members from the top.
    model_at: Sequence[Place] = (("model",),)
    # The id under which the upstream keeps a whole answer; empty: it keeps none.
    kept_as: Callable[[Mapping[str, Any]], str] = lambda _document: ""
    # Whether its clients read past comments in a stream, as the standard of events says.
    takes_comments: bool = True
    # What makes frames of a stream's bytes, where they are none themselves.
    framing: Callable[[], sse.Framing] = sse.FrameBuffer
