"""The seam between the ledger's rules and where its rows live. One contract suite, two stores.

Promises: apply() is atomic and durable when it returns; what it raises says what is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tollgate_budget.ledger.ledger import (
    Mismatch,
    Resolve,
    Resolved,
    State,
    Step,
    StepOutcome,
    Transfer,
    TransferId,
)
from tollgate_budget.ledger.month import Month
from tollgate_budget.ledger.window import AccountId, NanoUsd, Window


class StoreUnavailable(Exception):  # noqa: N818 - a state of the world, not a bug
    """The store gave no answer, and nothing was changed."""


class OutcomeUnknown(Exception):  # noqa: N818 - a state of the world, not a bug
    """A commit was sent and its fate could not be read back: repeat with the same ids."""


class WriteRefused(Exception):  # noqa: N818 - what the database said
    """A constraint of the store refused a batch: a bug of this program, or a damaged row."""


@dataclass(frozen=True, slots=True)
class SetLimit:
    """Open an account or change its monthly limit; the current month follows at once."""

    account_id: AccountId
    limit: NanoUsd
    # An account that is open keeps its limit.
    open_only: bool = False


@dataclass(frozen=True, slots=True)
class AdminRequest:
    """An operator's change under an id of its own. The same id with other content is refused."""

    request_id: str
    change: SetLimit | Resolve

    @property
    def content(self) -> str:
        """What a repeat under the same id must be equal to."""
        if isinstance(self.change, SetLimit):
            verb = "open" if self.change.open_only else "set_limit"
            return f"{verb} {self.change.account_id} {self.change.limit}"
        return f"resolve {self.change.id} {self.change.amount}"


class LedgerStore(Protocol):
    """Where the ledger's rows live. It decides nothing: the rules are in ledger.py."""

    async def apply(self, steps: Sequence[Step], *, now_ms: int) -> list[StepOutcome]:
        """Carry steps out in order, all in one transaction; an outcome for each.

        Raises StoreUnavailable, OutcomeUnknown or WriteRefused, for all of them.
        """
        ...

    async def administer(
        self, request: AdminRequest, *, now_ms: int
    ) -> Window | Resolved | Mismatch:
        """Carry out an operator's change once; a repeat gets the first answer."""
        ...

    async def overdue(self, *, now_ms: int, limit: int) -> list[TransferId]:
        """Pending transfers whose time is over, the oldest first."""
        ...

    async def accounts(
        self, account_ids: Sequence[AccountId], month: Month
    ) -> dict[AccountId, Window]:
        """The sums of those accounts that were ever opened."""
        ...

    async def transfers(
        self,
        account_id: AccountId,
        *,
        state: State | None,
        before: TransferId | None,
        limit: int,
    ) -> list[Transfer]:
        """The transfers of an account, newest id first."""
        ...

    async def violations(self) -> int:
        """How many account months contradict the invariant or their own transfers. Always 0."""
        ...
