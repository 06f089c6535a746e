"""The one list of units, and what follows from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate.router.v1 import router_pb2
from tollgate_dialects.pricing.price import PRICE_FIELDS, Price
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import NOTHING, USAGE_FIELDS, Usage

COUNTS = st.lists(st.integers(0, 10**12), min_size=len(Unit), max_size=len(Unit)).map(tuple)


def fields_of(message: type) -> set[str]:
    return {field.name for field in message.DESCRIPTOR.fields}


def test_the_wire_has_a_field_for_each_unit_and_no_other():
    """A unit that a message cannot carry would be lost between services, and its money with it."""
    assert fields_of(router_pb2.Usage) == set(USAGE_FIELDS)
    assert fields_of(router_pb2.Price) == set(PRICE_FIELDS)
    assert [unit.position for unit in Unit] == list(range(len(Unit)))


@given(COUNTS, st.integers(0, 10**9))
def test_a_usage_by_name_is_the_same_usage(counts, reasoning):
    """Messages and entries have every count under its own unit's name."""
    usage = Usage(counts, reasoning)
    assert usage == Usage.of(**usage.fields())
    assert {unit.count_field: usage[unit] for unit in Unit} | {"reasoning_tokens": reasoning} == (
        usage.fields()
    )
    assert sum(counts) - usage[Unit.OUTPUT] == usage.total_input_tokens


@given(COUNTS, st.sampled_from(Unit), st.integers(0, 10**12))
def test_one_count_is_set_and_no_other(counts, unit, count):
    """Completing a report touches the unit that is meant."""
    usage = Usage(counts, 5).with_count(unit, count)
    wanted = {**Usage(counts, 5).fields(), unit.count_field: count}
    assert wanted == usage.fields()


@given(COUNTS, st.none() | COUNTS)
def test_a_price_by_name_is_the_same_price(rates, long_rates):
    """What the table and messages say is the price that was set, each tier in its own fields."""
    long = {"long_context_tokens": 9, "long_rates": long_rates} if long_rates else {}
    price = Price(
        model="m", version=1, source="seed", max_input_tokens=1, max_output_tokens=1,
        rates=rates, **long,
    )  # fmt: skip
    assert price == Price.of(**price.fields())
    assert rates == tuple(price.fields()[unit.price_field] for unit in Unit)


@pytest.mark.parametrize("odd", [{"inputs_tokens": 1}, {"input_pico_usd": 1}])
def test_a_count_under_no_units_name_is_an_error(odd):
    """A misspelt unit is a bug, and never a call that costs nothing."""
    with pytest.raises(TypeError):
        Usage.of(**odd)


def test_a_price_needs_a_rate_for_each_unit():
    """No unit falls back to another's price, or to none."""
    whole = {unit.price_field: 1 for unit in Unit}
    limits = {"max_input_tokens": 1, "max_output_tokens": 1}
    for name in whole:
        rest = {other: rate for other, rate in whole.items() if other != name}
        with pytest.raises(TypeError):
            Price.of(model="m", version=1, source="seed", **limits, **rest)
    assert (0,) * len(Unit) == NOTHING.counts
