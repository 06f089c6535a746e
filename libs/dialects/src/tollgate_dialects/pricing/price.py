"""One immutable version of a model's price, in whole pico-USD for one of each unit.

Owns the shape and its sanity. Promises that a Price can be bounded: every amount is zero or more,
both token limits are positive, and a long-context tier is either whole or absent.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

from tollgate_dialects.pricing.units import NONE, Amounts, Unit, in_order, picker

_RATES: Final = tuple(unit.price_field for unit in Unit)
_TIERED: Final = tuple(unit for unit in Unit if unit.is_token)
_LONG_RATES: Final = tuple(f"long_{unit.price_field}" for unit in _TIERED)
_UNPRICED: Final = {unit.price_field: 0 for unit in Unit if not unit.is_token}
_LIMITS: Final = ("max_input_tokens", "max_output_tokens", "long_context_tokens")
# The fields of `tollgate.router.v1.Price`, and the columns of the table.
PRICE_FIELDS: Final = ("model", "version", "source", *_LIMITS, *_RATES, *_LONG_RATES)
_tiered = picker(_TIERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A rate for each unit; none falls back to another's. Of an optional unit 0 is no price."""

    model: str
    version: int
    source: str
    max_input_tokens: int
    max_output_tokens: int
    rates: Amounts
    # Above this many input tokens the long rates apply to the whole call; 0: no such tier.
    long_context_tokens: int = 0
    long_rates: Amounts = NONE

    @classmethod
    def of(
        cls,
        *,
        model: str,
        version: int,
        source: str,
        max_input_tokens: int,
        max_output_tokens: int,
        long_context_tokens: int = 0,
        **pico_usd: int,
    ) -> Self:
        """By the units' names: `Price.of(input_pico_usd=…, long_input_pico_usd=…, …)`.

        Raises TypeError for a unit without a rate, unless it is optional; ValueError for a price
        that cannot be bounded.
        """
        long = {name: value for name, value in pico_usd.items() if name in _LONG_RATES}
        short = {name: value for name, value in pico_usd.items() if name not in _LONG_RATES}
        rates = in_order(_UNPRICED | short, _RATES)
        tiered = in_order(long, _LONG_RATES, missing=0)
        if any(tiered) and not long_context_tokens:
            raise ValueError("long_* prices need long_context_tokens")
        left = iter(tiered)
        long_rates = tuple(next(left) if unit.is_token else rates[unit.position] for unit in Unit)
        return cls(
            model=model,
            version=version,
            source=source,
            max_input_tokens=max_input_tokens,
            max_output_tokens=max_output_tokens,
            rates=rates,
            long_context_tokens=long_context_tokens,
            long_rates=long_rates if long_context_tokens else NONE,
        )

    def __post_init__(self) -> None:
        for name, value in self.fields().items():
            if isinstance(value, int) and value < 0:
                raise ValueError(f"{name} must not be negative")
        if not self.max_input_tokens or not self.max_output_tokens:
            raise ValueError("max_input_tokens and max_output_tokens must be positive")

    def fields(self) -> dict[str, Any]:
        """By name, as messages, the table and entries have it."""
        stated = (
            self.model, self.version, self.source, self.max_input_tokens, self.max_output_tokens,
            self.long_context_tokens, *self.rates, *_tiered(self.long_rates),
        )  # fmt: skip
        return dict(zip(PRICE_FIELDS, stated, strict=True))

    def has(self, unit: Unit) -> bool:
        """Whether a unit has a price: every token has, if it is free."""
        return unit.is_token or self.rates[unit.position] > 0

    def has_long_tier_at(self, input_tokens: int) -> bool:
        """Whether a call that reads this much is priced by the long-context tier."""
        return 0 < self.long_context_tokens < input_tokens
