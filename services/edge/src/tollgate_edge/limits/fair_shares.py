"""How much of something bounded each holder may have at once, so that none takes it from the rest.

Owns the counting, nothing else: no clock, no waiting. Promises: the sum is never above the total,
no holder is ever above its share, and who holds nothing takes no memory.
"""

import enum
from collections.abc import Sequence
from types import TracebackType
from typing import Self


class Full(enum.Enum):
    """Why nothing was taken."""

    # The holder has its share: the others are not the reason.
    OWN = enum.auto()
    ALL = enum.auto()


class Shares:
    """A total, and the most that one holder of each level may have of it.

    A holder is named once per level, the narrowest first: its key, then its tenant. Who is named
    on fewer levels is bounded by the total alone on the rest.
    """

    def __init__(self, total: int, *each: int) -> None:
        assert total > 0
        assert all(limit > 0 for limit in each)
        self.total = total
        self.used = 0
        self._each = each
        self._levels: tuple[dict[str, int], ...] = tuple({} for _ in each)

    def __len__(self) -> int:
        """How many holders are remembered, on all levels."""
        return sum(len(level) for level in self._levels)

    def full(self, holders: Sequence[str], amount: int = 1) -> Full | None:
        """Why so much could not be taken now; None: it could."""
        if self.used + amount > self.total:
            return Full.ALL
        for level, limit, holder in zip(self._levels, self._each, holders, strict=False):
            if level.get(holder, 0) + amount > limit:
                return Full.OWN
        return None

    def take(self, holders: Sequence[str], amount: int = 1) -> Full | None:
        """Take it, or nothing of it and say why."""
        assert amount >= 0
        full = self.full(holders, amount)
        if full is None and amount:
            self.used += amount
            for level, holder in zip(self._levels, holders, strict=False):
                level[holder] = level.get(holder, 0) + amount
        return full

    def give(self, holders: Sequence[str], amount: int = 1) -> None:
        """Give back what these holders took."""
        assert amount >= 0
        if not amount:
            return
        self.used -= amount
        for level, holder in zip(self._levels, holders, strict=False):
            left = level[holder] - amount
            assert left >= 0, "given back more than was taken"
            if left:
                level[holder] = left
            else:
                del level[holder]


class Held:
    """What one call has of several shares; leaving the `with` block gives all of it back."""

    __slots__ = ("_taken", "holders")

    def __init__(self, holders: Sequence[str]) -> None:
        self.holders = holders
        self._taken: dict[Shares, int] = {}

    def take(self, shares: Shares, amount: int = 1) -> Full | None:
        """Take more of it, or nothing and say why."""
        full = shares.take(self.holders, amount)
        if full is None:
            self._taken[shares] = self._taken.get(shares, 0) + amount
        return full

    def give(self, shares: Shares) -> None:
        """Give back all that is held of it, if anything is."""
        shares.give(self.holders, self._taken.pop(shares, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for shares, amount in self._taken.items():
            shares.give(self.holders, amount)
        self._taken.clear()
