"""How an answer that begins well goes on, by the model's name.

Owns the names of well-formed misbehaviour: pauses, cuts, and usage that is not true. A number at
the end of the name sets milliseconds or words.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Final

from tollgate_cli.demo_provider.speech.conversation import (
    DEFAULT_WORDS,
    Answer,
    Counts,
    End,
    Kind,
    Piece,
    Question,
    joined,
    words,
)

_ABSURD: Final = 10**12
_ARGUMENTS: Final = '{"city":"Paris"}'


@dataclass(frozen=True)
class Script:
    """How one answer goes on; by default honestly and at once."""

    delay_ms: int = 0
    gap_ms: int = 0
    words: int = DEFAULT_WORDS
    # Words of thinking before the answer.
    thinks: int = 0
    # Whether the answer is a call of the first function that the question has.
    calls: bool = False
    refuses: bool = False
    # Whether the output limit is kept.
    obeys: bool = True
    endless: bool = False
    # After this many words comes `then`: "hang", "reset", "error" or "done".
    stop_after: int | None = None
    then: str = ""
    # "true", "none", "zero", "negative" or "huge".
    report: str = "true"
    caches: bool = False
    usage_on_last: bool = False
    gzip: bool = False
    broken_json: bool = False

    def pieces(self, question: Question) -> Iterator[Piece]:
        """Yield the pieces of the answer to a question; an endless script never stops."""
        count = None if self.endless else self.words
        thoughts = islice(words(Kind.THINKING), self.thinks)
        if self.calls and question.function:
            said: Iterator[Piece] = iter((Piece(Kind.CALL, _ARGUMENTS),))
        else:
            said = islice(words(Kind.REFUSAL if self.refuses else Kind.TEXT), count)
        return islice(chain(thoughts, said), question.max_tokens if self.obeys else None)

    def answer(self, question: Question, said: Sequence[Piece]) -> Answer:
        """The answer whose pieces these are."""
        return Answer(
            joined(said), self.end(question, len(said)), self.reported(question, len(said))
        )

    def end(self, question: Question, count: int) -> End:
        """Why an answer of so many pieces is over."""
        if question.max_tokens is not None and count >= question.max_tokens:
            return End.LENGTH
        if self.calls and question.function:
            return End.CALL
        return End.REFUSAL if self.refuses else End.STOP

    def counts(self, question: Question, count: int) -> Counts:
        """Return the token counts to bill for this many pieces."""
        whole = question.input_tokens
        read, write = (whole // 2, whole // 4) if self.caches else (0, 0)
        return Counts(
            input_tokens=whole - read - write,
            output_tokens=count * question.choices,
            cache_read_tokens=read,
            cache_write_tokens=write,
            thinking_tokens=min(count, self.thinks) * question.choices,
        )

    def reported(self, question: Question, count: int) -> Counts | None:
        """What is said to be billed."""
        counts = self.counts(question, count)
        match self.report:
            case "none":
                return None
            case "zero":
                return Counts(0, 0)
            case "negative":
                return replace(counts, input_tokens=-7, output_tokens=-11)
            case "huge":
                return replace(counts, output_tokens=_ABSURD)
        return counts


_SCRIPTS: Final[Mapping[str, Callable[[int | None], Script]]] = {
    "demo-slow": lambda number: Script(delay_ms=number or 1_000),
    "demo-drip": lambda number: Script(gap_ms=number or 100),
    "demo-long": lambda number: Script(words=number or 1_000),
    "demo-thinking": lambda number: Script(thinks=number or 5),
    "demo-tool": lambda _: Script(calls=True),
    "demo-refusal": lambda _: Script(refuses=True),
    "demo-hang-mid": lambda number: Script(stop_after=number or 5, then="hang"),
    "demo-reset-mid": lambda number: Script(stop_after=number or 5, then="reset"),
    "demo-error-mid": lambda number: Script(stop_after=number or 5, then="error"),
    "demo-early-done": lambda number: Script(stop_after=number or 3, then="done"),
    "demo-endless": lambda number: Script(endless=True, obeys=False, gap_ms=number or 1),
    "demo-no-usage": lambda _: Script(report="none"),
    "demo-zero-usage": lambda _: Script(report="zero"),
    "demo-wrong-usage-negative": lambda _: Script(report="negative"),
    "demo-wrong-usage-huge": lambda _: Script(report="huge"),
    "demo-usage-last": lambda _: Script(usage_on_last=True),
    "demo-cache": lambda _: Script(caches=True),
    "demo-gzip": lambda _: Script(gzip=True),
    "demo-bad-json": lambda _: Script(broken_json=True),
}


def numbered(model: str) -> tuple[str, int | None]:
    """A name and the number at its end."""
    name, _, suffix = model.rpartition("-")
    return (name, int(suffix)) if name and suffix.isdecimal() else (model, None)


def of(model: str) -> Script:
    """The model's script; an unknown name behaves."""
    name, number = (model, None) if model in _SCRIPTS else numbered(model)
    write = _SCRIPTS.get(name)
    return write(number) if write else Script()
