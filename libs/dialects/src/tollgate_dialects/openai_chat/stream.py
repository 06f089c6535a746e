"""A chat's stream: chunks of any number of choices, the usage behind them, and `[DONE]`."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from tollgate_dialects.answer import reported, words
from tollgate_dialects.answer.answer_usage import AnswerMeter
from tollgate_dialects.answer.rules import FOREIGN, StreamReader
from tollgate_dialects.answer.schema import Kind, kept
from tollgate_dialects.common import sse
from tollgate_dialects.openai_chat import schema, usage
from tollgate_dialects.pricing.usage import NOTHING
from tollgate_dialects.request.variants import Variant

WORDS: Final = words.Counter(schema.WORDS)
# More than any request may ask for.
_MAX_CHOICES = 1_000
_TIER: Final = Variant.PRIORITY.member

END: Final = sse.StreamEnd(
    frame=b"data: [DONE]\n\n",
    marker=b"[DONE]",
    is_last=lambda event: event.data.strip() == b"[DONE]",
    is_document=False,
)


class ChunkReader(StreamReader):
    """Which choices have ended, and what was reported."""

    # What a chunk calls itself, and what of it passes.
    kind: ClassVar[str] = "chat.completion.chunk"
    listed: ClassVar[Mapping[str, Kind]] = schema.ANSWER

    def __init__(self, *, choices: int, strip_usage: bool) -> None:
        self._strip_usage = strip_usage
        self._tier: object = None
        # By index whether a choice has ended; None: it was asked for and has not begun.
        self._choices: dict[int, bool | None] = dict.fromkeys(range(choices))

    def goes_on(self, choices: Iterable[int]) -> bool:
        begins = False
        for index in choices:
            if self._choices.get(index) is None:
                self._choices[index] = False
                begins = True
        return begins

    def serves(self, tier: object) -> None:
        self._tier = tier or self._tier

    def read(self, meter: AnswerMeter, event: sse.Event, document: dict[str, Any]) -> Any:
        # The tier is told in each chunk, or in those before the report.
        self.serves(document.get(_TIER))
        report = usage.found_in({_TIER: self._tier, **document} if self._tier else document)
        is_chunk = report is not None or document.get("object") == self.kind
        if is_chunk and document.get("choices") is None:
            document = {**document, "choices": []}
        if not schema.is_chunk(document):
            return FOREIGN
        # What a vendor's own check tells beside them (`moderation`) is none of the model's words.
        WORDS.count(meter, event.data, document["choices"])
        for choice in document["choices"]:
            # Some write an empty reason on every chunk: only a word ends a choice.
            index, ends = _index_of(choice), bool(choice.get("finish_reason"))
            self._choices[index] = ends or bool(self._choices.get(index))
        if len(self._choices) > _MAX_CHOICES:
            meter.fail()
        if report is not None and not document["choices"]:
            # The report behind all choices: who gives fewer than were asked for gives no more.
            self._choices = {i: ended for i, ended in self._choices.items() if ended is not None}
        meter.is_final = bool(self._choices) and all(self._choices.values())
        if report is not None:
            found = reported.usage_of(report, usage.read)
            # Counts that have begun do not fall to zero: some write zeros where they mean nothing.
            if (found and found.counts) != NOTHING.counts or (
                meter.reported or NOTHING
            ).counts == NOTHING.counts:
                meter.report(found)
            if self._strip_usage and not document["choices"]:
                return None
        return kept(document, self.listed)


def choices_of(document: Mapping[str, Any]) -> Iterable[int]:
    """The indices of the choices that a chunk belongs to."""
    return map(_index_of, document.get("choices") or ())


def _index_of(choice: Mapping[str, Any]) -> int:
    index = choice.get("index")
    return index if type(index) is int else 0
