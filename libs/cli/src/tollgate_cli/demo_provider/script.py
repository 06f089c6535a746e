"""How an answer that begins well goes on, by the model's name.

Owns the names of well-formed misbehaviour: pauses, cuts, and usage that is not true. A number at
the end of the name sets milliseconds or words.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tollgate_cli.demo_provider import speech

_ABSURD: Final = 10**12


@dataclass(frozen=True)
class Script:
    """How one answer goes on; by default honestly and at once."""

    delay_ms: int = 0
    gap_ms: int = 0
    words: int = speech.DEFAULT_WORDS
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

    def counts(self, question: speech.Question, output_tokens: int) -> speech.Counts:
        """What is billed."""
        whole = question.input_tokens
        read, write = (whole // 2, whole // 4) if self.caches else (0, 0)
        return speech.Counts(
            input_tokens=whole - read - write,
            output_tokens=output_tokens,
            cache_read_tokens=read,
            cache_write_tokens=write,
        )

    def reported(self, question: speech.Question, output_tokens: int) -> dict[str, Any] | None:
        """What is said to be billed."""
        counts = self.counts(question, output_tokens)
        match self.report:
            case "none":
                return None
            case "zero":
                counts = speech.Counts(0, 0)
            case "negative":
                counts = replace(counts, input_tokens=-7, output_tokens=-11)
            case "huge":
                counts = replace(counts, output_tokens=_ABSURD)
        return speech.usage(counts, question.protocol)


_SCRIPTS: Final[Mapping[str, Callable[[int | None], Script]]] = {
    "demo-slow": lambda number: Script(delay_ms=number or 1_000),
    "demo-drip": lambda number: Script(gap_ms=number or 100),
    "demo-long": lambda number: Script(words=number or 1_000),
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
