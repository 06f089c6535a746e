"""Rate limits: never more than the burst and the rate allow, and the wait they state is exact."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from tollgate_budget.rates import gcra
from tollgate_budget.rates.gcra import Rate
from tollgate_budget.rates.store import RateCall
from tollgate_budget.rates.store_memory import MemoryRates

SHAPES = st.tuples(st.integers(1, 50), st.integers(1, 1000), st.integers(1, 120_000))
CALLS = st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(0, 20)), max_size=60)


def cost_of(shape, cost):
    burst, count, period_ms = shape
    return Rate("b", burst, count, period_ms).cost(cost)


@given(SHAPES, CALLS)
def test_no_window_allows_more_than_burst_and_rate(shape, calls):
    """For every pair of instants: allowed <= burst + rate x time, to the microsecond."""
    _, count, period_ms = shape
    now, tat, allowed = 10**15, None, []
    for pause, units in calls:
        now += pause
        cost = cost_of(shape, units)
        if gcra.wait(tat, now, cost) <= 0:
            tat = gcra.spent(tat, now, cost)
            allowed.append((now, units))
    for first in range(len(allowed)):
        total = 0
        for at, units in allowed[first:]:
            total += units
            elapsed_us = at - allowed[first][0] + 1  # the burst's own rounding
            assert total * period_ms * 1000 <= shape[0] * period_ms * 1000 + count * elapsed_us


@given(SHAPES, CALLS, st.integers(1, 20))
def test_the_stated_wait_is_exact(shape, calls, units):
    """One microsecond earlier it is still refused; at that instant it fits."""
    now, tat = 10**15, None
    for pause, spent in calls:
        now += pause
        if gcra.wait(tat, now, cost_of(shape, spent)) <= 0:
            tat = gcra.spent(tat, now, cost_of(shape, spent))
    cost = cost_of(shape, units)
    refused = gcra.refusal([tat], [cost], now)
    if refused is not None and refused.wait_us is not None:
        assert gcra.wait(tat, now + refused.wait_us, cost) <= 0
        assert gcra.wait(tat, now + refused.wait_us - 1, cost) > 0
        assert 0 <= refused.remaining < units


@given(SHAPES, CALLS, st.integers(0, 20), st.integers(0, 1_000_000))
def test_a_refund_restores(shape, calls, units, later):
    """Spent and given back: nothing that follows can tell."""
    now, tat = 10**15, None
    for pause, spent in calls:
        now += pause
        if gcra.wait(tat, now, cost_of(shape, spent)) <= 0:
            tat = gcra.spent(tat, now, cost_of(shape, spent))
    cost = cost_of(shape, units)
    if gcra.wait(tat, now, cost) <= 0:
        back = gcra.refunded(gcra.spent(tat, now, cost), now, cost)
        window = cost.rate.window_us
        assert gcra.level(tat, now + later, window) == gcra.level(back, now + later, window)


def test_larger_than_the_burst_never_fits():
    """Waiting does not help, so no wait is stated."""
    refused = gcra.refusal([None], [Rate("b", 10, 60, 60_000).cost(11)], 10**15)
    assert (refused.wait_us, refused.remaining) == (None, 10)


def test_a_clock_that_was_ahead_does_not_lock_out():
    """A tat from the future counts as one full burst at most."""
    cost = Rate("b", 10, 60, 60_000).cost(1)
    hours = 10**15 + 3600 * 10**6
    assert 1_000_000 == gcra.wait(hours, 10**15, cost)


def test_all_dimensions_or_none_and_the_strictest_is_named():
    """A call that one bucket refuses takes nothing from the others."""
    now = [10**15]
    rates = MemoryRates(lambda: now[0])
    wide = Rate("wide", 100, 100, 60_000).cost(1)
    tight = Rate("tight", 1, 1, 60_000).cost(1)
    slow = Rate("slow", 1, 1, 3_600_000).cost(1)
    call = RateCall("t", (wide, tight, slow))
    first, second = (a.limited for a in asyncio.run(rates.spend([call, call])))
    assert (None, "slow", 3_600_000_000) == (first, second.bucket, second.wait_us)
    wides = asyncio.run(rates.spend([RateCall("t", (wide,))] * 100))
    assert 99 == [a.limited for a in wides].count(None)


@given(SHAPES, CALLS, st.integers(1, 20))
def test_what_is_said_to_be_left_is_exact(shape, calls, units):
    """So much may be spent at once and not one unit more; the whole burst at the time that is told
    and not a microsecond earlier. A refused call changes nothing and is told the same.
    """
    now = [10**15]
    rates = MemoryRates(lambda: now[0])
    for pause, spent in calls:
        now[0] += pause
        asyncio.run(rates.spend([RateCall("t", (cost_of(shape, spent),))]))
    cost = cost_of(shape, units)
    (answer,) = asyncio.run(rates.spend([RateCall("t", (cost,))]))
    (ahead_us,) = answer.ahead_us
    left, tat = cost.rate.remaining(ahead_us), now[0] + ahead_us
    assert 0 <= left <= cost.rate.burst
    if answer.limited is not None:
        assert left == answer.limited.remaining < units
    assert gcra.wait(tat, now[0], cost_of(shape, left)) <= 0
    assert gcra.wait(tat, now[0], cost_of(shape, left + 1)) > 0
    assert gcra.wait(tat, tat, cost_of(shape, cost.rate.burst)) <= 0
    assert not ahead_us or gcra.wait(tat, tat - 1, cost_of(shape, cost.rate.burst)) > 0
