"""One immutable version of a model's price, in whole pico-USD for one of each unit.

Owns the shape and its sanity. Promises that a Price can be bounded: every amount is zero or more,
both token limits are positive, and a long-context tier is either whole or absent.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Self

from tollgate_dialects.pricing.units import NONE, Amounts, Unit, in_order, picker
from tollgate_dialects.request.variants import Served, Variant, is_known, named

_RATES: Final = tuple(unit.price_field for unit in Unit)
_TIERED: Final = tuple(unit for unit in Unit if not unit.is_optional)
_LONG_RATES: Final = tuple(f"long_{unit.price_field}" for unit in _TIERED)
_UNPRICED: Final = {unit.price_field: 0 for unit in Unit if unit.is_optional}
_LIMITS: Final = ("max_input_tokens", "max_output_tokens", "long_context_tokens")
_FACTORS: Final = tuple(variant.factor_field for variant in Variant)
# A factor of 1, in thousandths, and in the millionths of several multiplied; more than any asks.
ORDINARY_PERMILLE: Final = 1_000
ORDINARY_PPM: Final = 1_000_000
MAX_PERMILLE: Final = 1_000_000
# The fields of `tollgate.router.v1.Price`, and the columns of the table.
PRICE_FIELDS: Final = ("model", "version", "source", *_LIMITS, *_RATES, *_LONG_RATES, *_FACTORS)
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
    # What each variant multiplies the rates of tokens by, in thousandths; 0: it has no price.
    factors: tuple[int, ...] = (0,) * len(Variant)

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
        **amounts: int,
    ) -> Self:
        """By the fields' names: `Price.of(input_pico_usd=…, flex_permille=…, …)`.

        Raises TypeError for a unit without a rate, unless it is optional; ValueError for a price
        that cannot be bounded.
        """
        factors = in_order(
            {name: amounts.pop(name) for name in _FACTORS if name in amounts}, _FACTORS, missing=0
        )
        long = {name: value for name, value in amounts.items() if name in _LONG_RATES}
        short = {name: value for name, value in amounts.items() if name not in _LONG_RATES}
        rates = in_order(_UNPRICED | short, _RATES)
        tiered = in_order(long, _LONG_RATES, missing=0)
        if any(tiered) and not long_context_tokens:
            raise ValueError("long_* prices need long_context_tokens")
        left = iter(tiered)
        long_rates = tuple(
            next(left) if not unit.is_optional else rates[unit.position] for unit in Unit
        )
        return cls(
            model=model,
            version=version,
            source=source,
            max_input_tokens=max_input_tokens,
            max_output_tokens=max_output_tokens,
            rates=rates,
            long_context_tokens=long_context_tokens,
            long_rates=long_rates if long_context_tokens else NONE,
            factors=factors,
        )

    def __post_init__(self) -> None:
        for name, value in self.fields().items():
            if isinstance(value, int) and value < 0:
                raise ValueError(f"{name} must not be negative")
        if not self.max_input_tokens or not self.max_output_tokens:
            raise ValueError("max_input_tokens and max_output_tokens must be positive")
        if max(self.factors) > MAX_PERMILLE:
            raise ValueError(f"a factor must be at most {MAX_PERMILLE} thousandths")

    def fields(self) -> dict[str, Any]:
        """By name, as messages, the table and entries have it."""
        stated = (
            self.model, self.version, self.source, self.max_input_tokens, self.max_output_tokens,
            self.long_context_tokens, *self.rates, *_tiered(self.long_rates), *self.factors,
        )  # fmt: skip
        return dict(zip(PRICE_FIELDS, stated, strict=True))

    def has(self, unit: Unit) -> bool:
        """Whether a unit has a price: what is not optional has, if it is free."""
        return not unit.is_optional or self.rates[unit.position] > 0

    def factor(self, variant: Variant | None) -> int:
        """In thousandths; 0 for a variant without a price, 1,000 for the ordinary way."""
        return ORDINARY_PERMILLE if variant is None else self.factors[variant.position]

    def dearest(self, variants: Iterable[Variant]) -> int:
        """What the rates may be multiplied by, in millionths: none has to be served as asked."""
        factor_ppm = ORDINARY_PPM
        for variant in variants:
            factor_ppm = _times(factor_ppm, max(self.factor(variant), ORDINARY_PERMILLE))
        return factor_ppm

    def served(self, told: Served, asked: Iterable[Variant]) -> int:
        """What the rates are multiplied by, in millionths; 0: by nothing.

        As the vendor tells it; where it tells nothing, or a word that nobody knows, the dearest of
        what was asked for. No tier costs more than that: it is what was reserved. One
        that has no price was not asked for: its tokens cost the ordinary.
        """
        if not told and not asked:
            return 0
        most = {each.member: max(self.factor(each), ORDINARY_PERMILLE) for each in asked}
        factors = dict(most)
        for member, name in told:
            if is_known(member, name):
                variant = named(member, name)
                factor = self.factor(variant) or ORDINARY_PERMILLE
                # Where it runs, an account's own setting may decide: that is billed as well.
                if variant is None or not variant.is_binding:
                    factor = min(factor, most.get(member, ORDINARY_PERMILLE))
                factors[member] = factor
        factor_ppm = ORDINARY_PPM
        for factor in factors.values():
            factor_ppm = _times(factor_ppm, factor)
        return 0 if factor_ppm == ORDINARY_PPM else factor_ppm

    def times(self, factor_ppm: int) -> "Price":
        """With the rates of tokens multiplied, each rounded up to a whole pico-USD. 0: the same."""
        return self if factor_ppm in (0, ORDINARY_PPM) else _multiplied(self, factor_ppm)

    def has_long_tier_at(self, input_tokens: int) -> bool:
        """Whether a call that reads this much is priced by the long-context tier."""
        return 0 < self.long_context_tokens < input_tokens


def _times(factor_ppm: int, permille: int) -> int:
    return -(-factor_ppm * permille // ORDINARY_PERMILLE)


@lru_cache(maxsize=1_024)
def _multiplied(price: Price, factor_ppm: int) -> Price:
    def of(rates: Amounts) -> Amounts:
        return tuple(
            -(-rates[unit.position] * factor_ppm // ORDINARY_PPM)
            if unit.is_token
            else rates[unit.position]
            for unit in Unit
        )

    return replace(price, rates=of(price.rates), long_rates=of(price.long_rates))
