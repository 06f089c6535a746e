"""A message's stream: named events, usage that is told in parts, and `message_stop`."""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.answer import reported, words
from tollgate_dialects.answer.answer_usage import AnswerMeter
from tollgate_dialects.answer.rules import FOREIGN, StreamReader
from tollgate_dialects.answer.schema import kept
from tollgate_dialects.anthropic import schema, usage
from tollgate_dialects.common import sse

END: Final = sse.StreamEnd(
    frame=b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    marker=b"message_stop",
    is_last=lambda event: event.name == b"message_stop",
    is_document=True,
)
WORDS: Final = words.Counter("text|partial_json|thinking|data|input")


class EventReader(StreamReader):
    """The usage that was told so far."""

    def __init__(self, *, choices: int, strip_usage: bool) -> None:
        del choices, strip_usage  # there is one, and its usage stands among what a client needs
        self._merged: dict[str, Any] = {}
        self._has_final_output = False

    def read(self, meter: AnswerMeter, event: sse.Event, document: dict[str, Any]) -> Any:
        """What passes of an event, by its own type."""
        name = event.name.decode("latin-1")
        if "type" not in document and name in schema.EVENTS:
            document = {"type": name, **document}
        kind = document.get("type")
        if not isinstance(kind, str):
            return FOREIGN
        if kind not in schema.EVENTS:
            return None
        WORDS.count(meter, event.data, document)
        report = usage.found_in(document)
        if kind == "message_start":
            self._merge(meter, report, final=False)
        elif report is not None or kind == "message_delta":
            self._merge(meter, report, final=True)
        if kind == "message_delta" and _stop_reason(document):
            meter.is_final = True
        elif kind == "message_stop":
            self.has_ended = True
        return kept(document, schema.EVENTS[kind], meter.secrets)

    def _merge(self, meter: AnswerMeter, report: object, *, final: bool) -> None:
        if not isinstance(report, dict):
            return
        # A second message_start does not take back the output that a delta has reported.
        if self._has_final_output and not final:
            report = {name: value for name, value in report.items() if name != "output_tokens"}
        self._has_final_output |= final and report.get("output_tokens") is not None
        usage.merge(self._merged, report)
        found = reported.usage_of(self._merged, usage.read)
        meter.report(found, has_output=self._has_final_output)


def name_of(document: Mapping[str, Any]) -> bytes:
    """The name under which an event is sent: its type."""
    kind: str = document["type"]
    return kind.encode()


def _stop_reason(document: Mapping[str, Any]) -> object:
    delta = document.get("delta")
    return delta.get("stop_reason") if isinstance(delta, dict) else None
