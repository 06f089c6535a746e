"""The sums of one account in one calendar month, and the cap that they stay under.

Owns the invariant: posted + pending <= limit. An account whose bill came out above its reservation,
or whose limit was lowered below what is in use, is frozen for as long as that is so, and no longer:
its ceiling then keeps the sum that stood, and nothing may be added. Pure.
"""

from dataclasses import dataclass
from typing import Final, NewType

from tollgate_budget.ledger.month import Month

AccountId = NewType("AccountId", str)
NanoUsd = NewType("NanoUsd", int)

WindowKey = tuple[AccountId, Month]

# The limit of an account without one: more than all reservations of a month can come to, so that
# no rule of the ledger and no constraint of SQL has to tell such an account from another.
NO_LIMIT: Final = NanoUsd(2**63 - 1)


@dataclass(slots=True)
class Window:
    """An account in one calendar month; amounts are nano-USD, its limit may be NO_LIMIT."""

    account_id: AccountId
    month: Month
    limit: int
    # The limit, unless the account is frozen.
    ceiling: int
    posted: int = 0
    # Quarantined included.
    pending: int = 0
    quarantined: int = 0
    overrun: int = 0
    frozen: bool = False

    @property
    def used(self) -> int:
        return self.posted + self.pending

    @property
    def left(self) -> int:
        """What may still be reserved; never negative."""
        return 0 if self.frozen else self.limit - self.used

    @property
    def held(self) -> int:
        """What calls in flight hold; they give back what they do not use."""
        return self.pending - self.quarantined

    def end(self, *, reserved: int, quarantined: int, posted: int) -> None:
        """Move a reservation out of pending and its true cost into posted, whatever it is."""
        self.pending -= reserved
        self.quarantined -= quarantined
        self.posted += posted
        self.overrun += max(0, posted - reserved)
        # Only a bill above its reservation can get here: the truth is never refused.
        self.ceiling = max(self.ceiling, self.used)
        self._freeze_if_above()

    def set_limit(self, limit: NanoUsd) -> None:
        """Put a limit in force."""
        self.limit = limit
        self.ceiling = max(limit, self.used)
        self._freeze_if_above()

    def _freeze_if_above(self) -> None:
        self.frozen = self.used > self.limit
        if not self.frozen:
            self.ceiling = self.limit

    def check(self) -> None:
        """Assert the invariant: the SQL constraints say the same again."""
        assert self.posted >= 0
        assert 0 <= self.quarantined <= self.pending
        assert 0 <= self.overrun <= self.posted
        assert self.used <= self.ceiling, "the cap was exceeded"
        assert self.ceiling == self.limit or (self.frozen and self.ceiling > self.limit)


def open_window(account_id: AccountId, month: Month, limit: int) -> Window:
    """An account at the start of a month: nothing spent, not frozen."""
    return Window(account_id, month, limit, limit)
