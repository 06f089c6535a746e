"""Rate limits by the generic cell rate algorithm: spend, refund, the strictest of many. Pure.

A bucket allows `burst` units at once and `count` units per period after that. Its whole state
is one instant, the theoretical arrival time (tat): when the bucket will be empty again.
Promises: in any window of time t no more than burst + count x t / period is allowed, but for
the rounding of one microsecond; the wait it states is exact. Never does: I/O, clocks.
rate_spend.lua says the same in Redis; the contract suite holds the two against each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, NewType

Micros = NewType("Micros", int)

# tat and its sums stay exactly representable in the doubles of Lua: 2**53 us is the year 2255.
WINDOW_US_MAX = 2**51


# Not frozen: there are three to a call, and freezing doubles what one costs.
@dataclass(slots=True)
class Cost:
    """What a call takes from one bucket."""

    bucket: str
    cost: int
    burst: int
    count: int
    period_ms: int

    @property
    def take_us(self) -> Micros:
        """How far the call moves the bucket's tat; rounded up."""
        return Micros(-(-self.cost * self.period_ms * 1000 // self.count))

    @property
    def window_us(self) -> Micros:
        """How far the tat may lie ahead of now."""
        return Micros(-(-self.burst * self.period_ms * 1000 // self.count))

    def remaining(self, ahead_us: int) -> int:
        """Units that may still be spent at once while the tat lies so far ahead of now."""
        left_us = self.window_us - ahead_us
        return min(self.burst, left_us * self.count // (self.period_ms * 1000))


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
    window_us = cost.window_us
    return level(tat_us, now_us, window_us) + cost.take_us - now_us - window_us


def spent(tat_us: int | None, now_us: int, cost: Cost) -> int:
    """The tat after a spend that fits."""
    return level(tat_us, now_us, cost.window_us) + cost.take_us


def refunded(tat_us: int | None, now_us: int, cost: Cost) -> int:
    """The tat after a spend was taken back."""
    return max(now_us, level(tat_us, now_us, cost.window_us) - cost.take_us)


def refusal(levels: Sequence[int | None], costs: Sequence[Cost], now_us: int) -> Limited | None:
    """The strictest refusal among all dimensions of a call, None if it fits in all of them."""
    worst: Cost | None = None
    worst_wait = 0
    ahead_us = 0
    for tat_us, cost in zip(levels, costs, strict=True):
        if (waits := wait(tat_us, now_us, cost)) > worst_wait:
            worst, worst_wait = cost, waits
            ahead_us = level(tat_us, now_us, cost.window_us) - now_us
    if worst is None:
        return None
    return limited(worst, wait_us=worst_wait, ahead_us=ahead_us)


def limited(cost: Cost, *, wait_us: int, ahead_us: int) -> Limited:
    """A refusal by this bucket."""
    hopeless = cost.take_us > cost.window_us
    return Limited(cost.bucket, cost.remaining(ahead_us), None if hopeless else Micros(wait_us))
