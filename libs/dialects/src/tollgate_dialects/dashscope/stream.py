"""A generation's stream: each frame an answer so far or a piece of one, with the usage so far.

There is no last event: the answer has ended where every choice has a reason for it.
"""

import itertools
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tollgate_dialects.answer import reported
from tollgate_dialects.answer.answer_usage import AnswerMeter
from tollgate_dialects.answer.rules import FOREIGN, StreamReader, words_of
from tollgate_dialects.answer.schema import kept
from tollgate_dialects.common import sse
from tollgate_dialects.dashscope import schema, usage
from tollgate_dialects.pricing.usage import NOTHING

NAME: Final = b"result"
WORDS: Final = words_of("content|reasoning_content|text|arguments")
# More than any request may ask for.
_MAX_CHOICES = 1_000

_REASON = re.compile(rb'"finish_reason"\s*+:\s*+"(?!null"|")')
_OWN = re.compile(rb"(?:id:\d{1,9}\n)?event:result\n:HTTP_STATUS/\d{3}\ndata:[^\r\n]*+\n\n")
_ID = re.compile(rb"id:[ ]?(\d{1,9})[\r\n]")


def _is_last(event: sse.Event) -> bool:
    """Whether a choice has ended. Most frames are not read: they have no reason anywhere."""
    if _REASON.search(event.data) is None:
        return False
    try:
        # Reads halves of surrogate pairs, as meters do.
        document = json.loads(event.data)
    except (ValueError, RecursionError):
        return False
    output = schema.output_of(document) if isinstance(document, dict) else None
    return output is not None and any(schema.reason_of(ended) for _, ended in _choices_in(output))


END: Final = sse.StreamEnd(
    frame=b"",
    marker=b"finish_reason",
    is_last=_is_last,
    is_document=True,
    waits=True,
)


def frame(number: int | None, data: bytes) -> bytes:
    """A frame as DashScope writes it: without blanks, which its SDK does not expect."""
    head = b"" if number is None else b"id:%d\n" % number
    return b"%bevent:result\n:HTTP_STATUS/200\ndata:%b\n\n" % (head, data)


def _written(read: bytes, _name: bytes, data: bytes) -> bytes:
    number = _ID.match(read)
    return frame(int(number[1]) if number else None, data)


FORM: Final = sse.FrameForm(
    is_own=lambda read, _event, _name: _OWN.fullmatch(read) is not None,
    written=_written,
)


class FrameReader(StreamReader):
    """Which choices have ended, and what was reported."""

    def __init__(self, *, choices: int, strip_usage: bool) -> None:
        del choices, strip_usage  # who gives fewer than were asked for gives no more
        self._ended: dict[int, bool] = {}
        # The texts of the last frame, of which the next may have more.
        self._texts: list[bytes] = []

    def read(self, meter: AnswerMeter, event: sse.Event, document: dict[str, Any]) -> Any:
        """What passes of a frame."""
        if event.name not in (b"", NAME):
            return None
        output = schema.output_of(document)
        if output is None:
            return FOREIGN
        self._count(meter, event.data)
        for index, ended in _choices_in(output):
            self._ended[index] = bool(schema.reason_of(ended)) or self._ended.get(index, False)
        if len(self._ended) > _MAX_CHOICES:
            meter.fail()
        meter.is_final = bool(self._ended) and all(self._ended.values())
        # From here on all frames wait, so that none overtakes another.
        self.has_ended |= meter.is_final
        if (report := reported.found_in(document)) is not None:
            found = reported.usage_of(report, usage.read)
            # Counts that have begun do not fall to zero: some write zeros where they mean nothing.
            if found != NOTHING or meter.reported in (None, NOTHING):
                meter.report(found)
        return kept(document, schema.ANSWER)

    def _count(self, meter: AnswerMeter, data: bytes) -> None:
        """Count what is new: a frame may repeat all that was said before."""
        texts = WORDS.findall(data)
        for now, before in itertools.zip_longest(texts, self._texts, fillvalue=b""):
            meter.grow(len(now) - len(before) if now.startswith(before) else len(now))
        self._texts = texts


def _choices_in(output: Mapping[str, Any]) -> Iterable[tuple[int, Mapping[str, Any]]]:
    """The choices by their index; what is given in one text is one."""
    choices = output.get("choices")
    if choices is None:
        return ((0, output),)
    return ((_index_of(choice), choice) for choice in choices)


def _index_of(choice: Mapping[str, Any]) -> int:
    index = choice.get("index")
    return index if type(index) is int else 0
