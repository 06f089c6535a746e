"""What a call used, in units that share no token.

Owns the one usage type that client, ledger and evidence are shown. Promises that a token is counted
in exactly one unit; `reasoning_tokens` only observes a part of the output.
"""

import enum
from dataclasses import dataclass
from typing import Final, Self

from tollgate_dialects.pricing.units import NONE, Amounts, Unit, in_order, picker
from tollgate_dialects.request.variants import Served

_COUNTS: Final = tuple(unit.count_field for unit in Unit)
# The fields of `tollgate.router.v1.Usage`.
USAGE_FIELDS: Final = (*_COUNTS, "reasoning_tokens", "factor_ppm")
_read = picker(unit for unit in Unit if unit.is_read)
_OUTPUT: Final = Unit.OUTPUT.position
_AUDIO_OUTPUT: Final = Unit.AUDIO_OUTPUT.position


class UsageSource(enum.Enum):
    """Where a charged usage comes from."""

    UPSTREAM = "upstream"
    # The upstream reported a part; the rest is counted from what it produced.
    PARTIAL = "partial"
    # Counted from what was sent and produced.
    ESTIMATED = "estimated"
    # Nothing was produced; nothing is charged.
    NONE = "none"

    # Members are singletons: their identity is a hash, and Enum's own runs in Python.
    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class Usage:
    """A count for each unit; zero where nothing was reported."""

    counts: Amounts = NONE
    reasoning_tokens: int = 0
    # What the rates of tokens are multiplied by, in millionths; 0: they are the model's own.
    factor_ppm: int = 0
    # How the upstream says that it served the call; what that costs, the price knows.
    served: Served = ()

    @classmethod
    def of(
        cls, *, reasoning_tokens: int = 0, factor_ppm: int = 0, served: Served = (), **counts: int
    ) -> Self:
        """By the units' names: `Usage.of(input_tokens=7, output_tokens=4)`."""
        return cls(in_order(counts, _COUNTS, missing=0), reasoning_tokens, factor_ppm, served)

    def __getitem__(self, unit: Unit) -> int:
        return self.counts[unit.position]

    def with_count(self, unit: Unit, count: int) -> "Usage":
        """The same but for one unit."""
        at = unit.position
        counts = (*self.counts[:at], count, *self.counts[at + 1 :])
        return Usage(counts, self.reasoning_tokens, self.factor_ppm, self.served)

    def fields(self) -> dict[str, int]:
        """By name, as messages and entries have it."""
        stated = (*self.counts, self.reasoning_tokens, self.factor_ppm)
        return dict(zip(USAGE_FIELDS, stated, strict=True))

    @property
    def total_output_tokens(self) -> int:
        """Everything that was answered, in words and in sound."""
        return self.counts[_OUTPUT] + self.counts[_AUDIO_OUTPUT]

    def with_audio(self, *, heard: int, spoken: int) -> "Usage":
        """With so many of its tokens as sound: of what was read first what no cache had."""
        counts = list(self.counts)
        for units, sound, left in (
            ((Unit.INPUT, Unit.CACHE_READ, Unit.CACHE_WRITE_5M), Unit.AUDIO_INPUT, heard),
            ((Unit.OUTPUT,), Unit.AUDIO_OUTPUT, spoken),
        ):
            for unit in units:
                moved = min(left, counts[unit.position])
                counts[unit.position] -= moved
                counts[sound.position] += moved
                left -= moved  # noqa: PLW2901 - what is still to be moved
        return Usage(tuple(counts), self.reasoning_tokens, self.factor_ppm, self.served)

    @property
    def total_input_tokens(self) -> int:
        """Everything that was read, however it is priced: what a long-context tier looks at."""
        total: int = sum(_read(self.counts))
        return total


NOTHING: Final = Usage()
