"""Rate limits by the generic cell rate algorithm: spend, refund, the strictest of many. Pure.

A bucket allows `burst` units at once and `count` units per period after that. Its whole state
is one instant, the theoretical arrival time (tat): when the bucket will be empty again.
Promises: in any window of time t no more than burst + count x t / period is allowed, but for
the rounding of one microsecond; the wait it states is exact. Never does: I/O, clocks.
rate_spend.lua says the same in Redis; the contract suite holds the two against each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, NewType

Micros = NewType("Micros", int)

# tat and its sums stay exactly representable in the doubles of Lua: 2**53 us is the year 2255.
WINDOW_US_MAX = 2**51


@dataclass(frozen=True, slots=True)
class Rate:
    """One bucket, and how it fills: `count` units per period, `burst` of them at once."""

    bucket: str
    burst: int
    count: int
    period_ms: int
    # How far the tat may lie ahead of now.
    window_us: Micros = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "window_us", self._us(self.burst))

    def cost(self, units: int) -> "Cost":
        """What a call of so many units takes."""
        return Cost(self, units, self._us(units))

    def remaining(self, ahead_us: int) -> int:
        """Units that may still be spent at once while the tat lies so far ahead of now."""
        left_us = self.window_us - ahead_us
        return min(self.burst, left_us * self.count // (self.period_ms * 1000))

    def _us(self, units: int) -> Micros:
        """How long units take to come back; rounded up."""
        return Micros(-(-units * self.period_ms * 1000 // self.count))


# Not frozen: there are three to a call, and freezing doubles what one costs.
@dataclass(slots=True)
class Cost:
    """What a call takes from one bucket. Made by its rate."""

    rate: Rate
    units: int
    # How far the call moves the bucket's tat.
    take_us: Micros


@dataclass(frozen=True, slots=True)
class Limited:
    """A call that was refused, and changed nothing."""

    bucket: str
    remaining: int
    wait_us: Micros | None  # None: the call is larger than the burst, waiting does not help


class Answer(NamedTuple):
    """What became of a call."""

    # None: it was spent, or given back.
    limited: Limited | None = None
    # How far the tat of each of a spend's buckets lies ahead of now, in the order of its costs:
    # after the spend, or as it was found. So long it takes until the bucket is full again.
    ahead_us: tuple[int, ...] = ()


def level(tat_us: int | None, now_us: int, window_us: int) -> int:
    """Where the bucket stands: never in the past, never further ahead than a full burst.

    The second holds against a server whose clock was ahead, and after a limit was lowered.
    """
    if tat_us is None:
        return now_us
    return min(max(tat_us, now_us), now_us + window_us)


def wait(tat_us: int | None, now_us: int, cost: Cost) -> int:
    """How long until the cost fits, in microseconds; 0 or less: it fits now."""
    window_us = cost.rate.window_us
    return level(tat_us, now_us, window_us) + cost.take_us - now_us - window_us


def spent(tat_us: int | None, now_us: int, cost: Cost) -> int:
    """The tat after a spend that fits."""
    return level(tat_us, now_us, cost.rate.window_us) + cost.take_us


def refunded(tat_us: int | None, now_us: int, cost: Cost) -> int:
    """The tat after a spend was taken back."""
    return max(now_us, level(tat_us, now_us, cost.rate.window_us) - cost.take_us)


def refusal(levels: Sequence[int | None], costs: Sequence[Cost], now_us: int) -> Limited | None:
    """The strictest refusal among all dimensions of a call, None if it fits in all of them."""
    worst: Cost | None = None
    worst_wait = 0
    ahead_us = 0
    for tat_us, cost in zip(levels, costs, strict=True):
        if (waits := wait(tat_us, now_us, cost)) > worst_wait:
            worst, worst_wait = cost, waits
            ahead_us = level(tat_us, now_us, cost.rate.window_us) - now_us
    if worst is None:
        return None
    return limited(worst, wait_us=worst_wait, ahead_us=ahead_us)


def limited(cost: Cost, *, wait_us: int, ahead_us: int) -> Limited:
    """A refusal by this bucket."""
    hopeless = cost.take_us > cost.rate.window_us
    return Limited(
        cost.rate.bucket, cost.rate.remaining(ahead_us), None if hopeless else Micros(wait_us)
    )
