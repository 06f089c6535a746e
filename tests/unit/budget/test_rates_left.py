"""What the answer to Reserve says of the rates."""

from tollgate.budget.v1 import budget_pb2
from tollgate_budget import wire
from tollgate_budget.rates import gcra
from tollgate_budget.rates.gcra import Rate


def left(remaining, full_after_ms):
    return budget_pb2.RateLeft(remaining=remaining, full_after_ms=full_after_ms)


def test_what_calls_take_is_rounded_up_and_costs_no_unit():
    """Of 7 a minute 6 are left after the first, 5 after the second; all are back in time."""
    seven = Rate("rpm", 7, 7, 60_000).cost(1)
    now = tat = 10**15
    for spent in range(1, 8):
        tat = gcra.spent(tat, now, seven)
        ahead_us = min(tat - now, seven.rate.window_us)
        (told,) = wire.rates_left([seven], [ahead_us])
        assert 7 - spent == told.remaining
        assert told.full_after_ms * 1000 >= ahead_us > (told.full_after_ms - 1) * 1000


def test_an_idle_rate_has_its_burst_left():
    """Each in its place, without a name."""
    costs = [Rate("rpm", 3, 7, 60_000).cost(1), Rate("tpm", 10**6, 10**6, 60_000).cost(900)]
    told = wire.rates_left(costs, [0, costs[1].take_us])
    assert [left(3, 0), left(999_116, 54)] == told
    assert [] == wire.rates_left([], [])
