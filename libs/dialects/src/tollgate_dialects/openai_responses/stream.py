"""A response's stream: named events, of which the last is the whole answer once more.

Without that last event an answer has no usage and no end: none can be supplied, such a stream has
failed. `response.done`, as some write it, passes under the protocol's own name.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from tollgate_dialects.answer import reported, words
from tollgate_dialects.answer.answer_usage import AnswerMeter
from tollgate_dialects.answer.rules import FOREIGN, StreamReader
from tollgate_dialects.answer.schema import kept
from tollgate_dialects.common import sse
from tollgate_dialects.openai_responses import ids, schema, usage

_LAST: Final = frozenset(("response.completed", "response.incomplete"))
_LAST_NAMES: Final = frozenset(kind.encode() for kind in _LAST)
_ALIASES: Final = {"response.done": "response.completed"}

END: Final = sse.StreamEnd(
    frame=b"",
    # In both names.
    marker=b"complete",
    is_last=lambda event: event.name in _LAST_NAMES,
    is_document=True,
)
WORDS: Final = words.Counter(schema.WORDS)


class EventReader(StreamReader):
    """Counts what is new in each event: most repeat what others have said."""

    def __init__(self, *, choices: int, strip_usage: bool) -> None:
        del choices, strip_usage  # there is one, and its usage stands among what a client needs
        # The item that is being told has been told piece by piece.
        self._in_pieces = False

    def goes_on(self, _choices: Iterable[int]) -> bool:
        """Frames that are known without being read are pieces."""
        self._in_pieces = True
        return False

    def read(self, meter: AnswerMeter, event: sse.Event, document: dict[str, Any]) -> Any:
        """What passes of an event, by its own type."""
        kind = document.get("type", event.name.decode("latin-1") or None)
        if not isinstance(kind, str):
            return FOREIGN
        response = document.get("response")
        response = response if isinstance(response, dict) else {}
        if kind == "response.failed" or response.get("status") == "failed":
            meter.fail(response.get("error"), told=True)
            return None
        kind = _ALIASES.get(kind, kind)
        if kind not in schema.EVENTS:
            return None
        if document.get("type") != kind:
            document = {**document, "type": kind}
        self._count(meter, event, document)
        if (report := usage.found_in(response)) is not None:
            meter.report(reported.usage_of(report, usage.read))
        if kind in _LAST:
            if response.get("error"):
                meter.fail(response["error"], told=True)
                return None
            meter.is_final = self.has_ended = True
            meter.kept_as = ids.kept_as(response)
        return kept(document, schema.EVENTS[kind])

    def _count(self, meter: AnswerMeter, event: sse.Event, document: dict[str, Any]) -> None:
        kind: str = document["type"]
        if kind.endswith(".delta"):
            self._in_pieces = True
            WORDS.count(meter, event.data, document)
        elif kind == "response.output_item.done":
            if not self._in_pieces:
                WORDS.count(meter, event.data, document)
            self._in_pieces = False


def name_of(document: Mapping[str, Any]) -> bytes:
    """The name under which an event is sent: its type."""
    kind: str = document["type"]
    return kind.encode()
