"""The one list of units, and what follows from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate.router.v1 import router_pb2
from tollgate_dialects.pricing.price import PRICE_FIELDS, Price
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import NOTHING, USAGE_FIELDS, Usage
from tollgate_dialects.request.variants import Variant

COUNTS = st.lists(st.integers(0, 10**12), min_size=len(Unit), max_size=len(Unit)).map(tuple)


def fields_of(message: type) -> set[str]:
    return {field.name for field in message.DESCRIPTOR.fields}


def test_the_wire_has_a_field_for_each_unit_and_no_other():
    """A unit that a message cannot carry would be lost between services, and its money with it."""
    assert fields_of(router_pb2.Usage) == set(USAGE_FIELDS)
    assert fields_of(router_pb2.Price) == set(PRICE_FIELDS)
    assert [unit.position for unit in Unit] == list(range(len(Unit)))


@given(COUNTS, st.integers(0, 10**9), st.integers(0, 10**7))
def test_a_usage_by_name_is_the_same_usage(counts, reasoning, factor_ppm):
    """Messages and entries have every count under its own unit's name."""
    usage = Usage(counts, reasoning, factor_ppm)
    others = {"reasoning_tokens": reasoning, "factor_ppm": factor_ppm}
    assert usage == Usage.of(**usage.fields())
    assert {unit.count_field: usage[unit] for unit in Unit} | others == usage.fields()
    assert usage.total_input_tokens == sum(usage[unit] for unit in Unit if unit.is_read)


@given(COUNTS, st.sampled_from(Unit), st.integers(0, 10**12))
def test_one_count_is_set_and_no_other(counts, unit, count):
    """Completing a report touches the unit that is meant."""
    before = Usage(counts, 5, 7, (("speed", "fast"),))
    usage = before.with_count(unit, count)
    assert {**before.fields(), unit.count_field: count} == usage.fields()
    assert before.served == usage.served


@given(COUNTS, st.none() | COUNTS, st.integers(0, 10**6))
def test_a_price_by_name_is_the_same_price(rates, long_rates, factor):
    """What the table and messages say is the price that was set, each tier in its own fields."""
    fields = dict(zip((unit.price_field for unit in Unit), rates, strict=True))
    if long_rates:
        long = {
            u.price_field: r for u, r in zip(Unit, long_rates, strict=True) if not u.is_optional
        }
        fields |= {f"long_{name}": rate for name, rate in long.items()}
    fields |= {variant.factor_field: factor for variant in Variant}
    price = Price.of(
        model="m", version=1, source="seed", max_input_tokens=1, max_output_tokens=1,
        long_context_tokens=9 if long_rates else 0, **fields,
    )  # fmt: skip
    assert price == Price.of(**price.fields())
    assert fields.items() <= price.fields().items()
    assert rates == tuple(price.fields()[unit.price_field] for unit in Unit)


@pytest.mark.parametrize("odd", [{"inputs_tokens": 1}, {"input_pico_usd": 1}])
def test_a_count_under_no_units_name_is_an_error(odd):
    """A misspelt unit is a bug, and never a call that costs nothing."""
    with pytest.raises(TypeError):
        Usage.of(**odd)


def test_a_price_needs_a_rate_for_each_unit():
    """No unit falls back to another's price, or to none; but what is billed by call is optional."""
    whole = {unit.price_field: 1 for unit in Unit if not unit.is_optional}
    limits = {"max_input_tokens": 1, "max_output_tokens": 1}
    for name in whole:
        rest = {other: rate for other, rate in whole.items() if other != name}
        with pytest.raises(TypeError):
            Price.of(model="m", version=1, source="seed", **limits, **rest)
    price = Price.of(model="m", version=1, source="seed", **limits, **whole)
    assert [unit for unit in Unit if price.has(unit)] == [u for u in Unit if not u.is_optional]
    assert (0,) * len(Unit) == NOTHING.counts


def test_a_call_costs_the_same_however_long_the_context_is():
    """A search has one price: the long-context tier is one of tokens."""
    tokens = {unit.price_field: 1 for unit in Unit if not unit.is_optional}
    long = {f"long_{name}": 2 for name in tokens}
    price = Price.of(
        model="m", version=1, source="seed", max_input_tokens=1, max_output_tokens=1,
        long_context_tokens=9, web_search_pico_usd=7, **tokens, **long,
    )  # fmt: skip
    place = Unit.WEB_SEARCH.position
    assert price.rates[place] == price.long_rates[place] == 7
    assert price.has(Unit.WEB_SEARCH)
