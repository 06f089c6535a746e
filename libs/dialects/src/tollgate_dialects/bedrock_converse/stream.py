"""Converse's stream: `messageStop` ends the text, `metadata` with the usage comes behind it."""

from typing import Any, Final

from tollgate_dialects.answer import reported, words
from tollgate_dialects.answer.answer_usage import AnswerMeter
from tollgate_dialects.answer.rules import FOREIGN, StreamReader
from tollgate_dialects.answer.schema import kept
from tollgate_dialects.bedrock_converse import schema, usage
from tollgate_dialects.common import sse

END: Final = sse.StreamEnd(
    frame=b'data: {"metadata":{}}\n\n',
    marker=b'"metadata"',
    is_last=lambda event: event.data.startswith(b'{"metadata":'),
    is_document=True,
)


class EventReader(StreamReader):
    """Ends with the second of the two last events: some fakes of AWS send them the other way."""

    def __init__(self, *, choices: int, strip_usage: bool) -> None:
        del choices, strip_usage  # there is one answer, and no client sees its frames
        self._has_metadata = False

    def read(self, meter: AnswerMeter, event: sse.Event, document: dict[str, Any]) -> Any:
        """What passes of an event: a document with one member, which is its name."""
        del event
        name = next(iter(document), "")
        said = document.get(name)
        if len(document) != 1 or name not in schema.EVENTS or not isinstance(said, dict):
            return FOREIGN
        meter.grow(words.size(document, schema.WORDS))
        if name == "metadata":
            self._has_metadata = True
            report = said.get("usage")
            if isinstance(report, dict) and report:
                meter.report(reported.usage_of(report, usage.read))
        elif name == "messageStop":
            # All but a word may not pass, and whoever reads what passed would find no end.
            reason = said.get("stopReason")
            meter.is_final |= isinstance(reason, str) and reason != ""
        self.has_ended = meter.is_final and self._has_metadata
        return kept(document, schema.EVENTS)
