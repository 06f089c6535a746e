"""A stream of chunks, each an answer in small: cumulative usage, and no last event.

The chunk that says why the answer ended ends it; usage may still follow. So what comes from there
on waits until the upstream closes.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.answer import reported, words
from tollgate_dialects.answer.answer_usage import AnswerMeter
from tollgate_dialects.answer.rules import FOREIGN, StreamReader
from tollgate_dialects.answer.schema import kept
from tollgate_dialects.common import sse
from tollgate_dialects.gemini import schema, usage


def ends(document: Mapping[str, Any]) -> bool:
    """Whether a chunk says why the answer, or the prompt's reading, ended."""
    feedback = document.get("promptFeedback")
    if _says(feedback, "blockReason"):
        return True
    candidates = document.get("candidates")
    if not isinstance(candidates, list):
        return False
    return any(_says(one, "finishReason") for one in candidates)


def _says(holder: object, name: str) -> bool:
    """A word: all else may not pass, and whoever reads what passed would find no end."""
    word = holder.get(name) if isinstance(holder, dict) else None
    return isinstance(word, str) and word != ""


def _is_last(event: sse.Event) -> bool:
    try:
        # Reads halves of surrogate pairs, as meters do.
        document = json.loads(event.data)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and ends(document)


END: Final = sse.StreamEnd(
    frame=b"",
    # In finishReason and in blockReason.
    marker=b"Reason",
    is_last=_is_last,
    is_document=True,
    waits=True,
)


class ChunkReader(StreamReader):
    """Chunk by chunk; there is one candidate."""

    def __init__(self, *, choices: int, strip_usage: bool) -> None:
        del choices, strip_usage  # there is one, and every client is told its usage

    def read(self, meter: AnswerMeter, event: sse.Event, document: dict[str, Any]) -> Any:
        """What passes of a chunk."""
        del event
        if not schema.is_answer(document):
            return FOREIGN
        meter.grow(words.size(document, schema.WORDS))
        if (report := usage.found_in(document)) is not None:
            found = reported.usage_of(report, usage.read)
            meter.report(found, has_output=usage.counts_output(report) or not meter.produced)
        if ends(document):
            meter.is_final = self.has_ended = True
        return kept(document, schema.ANSWER, meter.secrets)
