"""The prices that a new installation starts with.

Owns the table beside it, which `tools/trim_prices.py` writes. Promises nothing about today's
prices: an operator's own price of a model always wins, and every charge names the version it used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import orjson

from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.request.variants import Variant

SOURCE: Final = "seed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedModel:
    """A price and who publishes the model."""

    price: Price
    owned_by: str


def models() -> tuple[SeedModel, ...]:
    """Real models, in the table's order."""
    table = _table()
    return _section(table, "models")


def demo_models() -> tuple[SeedModel, ...]:
    """What the demo provider serves."""
    return _section(_table(), "demo")


def _table() -> Mapping[str, Any]:
    table = orjson.loads(resources.files(__package__).joinpath("seed_prices.json").read_bytes())
    assert isinstance(table, dict)
    return table


def _section(table: Mapping[str, Any], name: str) -> tuple[SeedModel, ...]:
    return tuple(
        SeedModel(price=_price(model, table["version"], entry), owned_by=entry["owned_by"])
        for model, entry in table[name].items()
    )


def _price(model: str, version: int, entry: Mapping[str, Any]) -> Price:
    long = entry.get("long", {})
    words = {unit.word: unit.price_field for unit in Unit}
    words |= {variant.factor_field: variant.factor_field for variant in Variant}
    return Price.of(
        model=model,
        version=version,
        source=SOURCE,
        max_input_tokens=entry["max_input_tokens"],
        max_output_tokens=entry["max_output_tokens"],
        long_context_tokens=entry["long_context_tokens"] if long else 0,
        **{words[word]: rate for word, rate in entry.items() if word in words},
        **{f"long_{words[word]}": rate for word, rate in long.items()},
    )
