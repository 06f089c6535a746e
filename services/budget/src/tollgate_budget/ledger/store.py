"""The seam between the ledger's rules and where its rows live. One contract suite, two stores.

Promises: apply() is atomic and durable when it returns; what it raises says what is known.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tollgate_budget.ledger.ledger import (
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

# Records the evidence of a change; whatever it raises, the change is not made.
Record = Callable[[], Awaitable[object]]


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
        self, request: AdminRequest, record: Record, *, now_ms: int
    ) -> Window | Resolved:
        """Carry out an operator's change once, after its evidence; a repeat gets the first answer.

        Raises StoreUnavailable, OutcomeUnknown, and the kit's Failure: IDEMPOTENCY_MISMATCH for
        other content, and what `record` raises.
        """
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
