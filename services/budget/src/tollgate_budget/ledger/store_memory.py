"""The ledger in a dict: the twin that the contract suite holds against the real store.

Never used by a running service: it forgets everything when the process ends.
"""

from collections.abc import Sequence
from dataclasses import replace

from tollgate_budget.ledger.ledger import (
    Book,
    Reserve,
    Reserved,
    Resolution,
    Resolved,
    State,
    Step,
    StepOutcome,
    Transfer,
    TransferId,
)
from tollgate_budget.ledger.month import Month, month_of
from tollgate_budget.ledger.store import AdminRequest, Record, SetLimit
from tollgate_budget.ledger.window import AccountId, NanoUsd, Window, WindowKey, open_window
from tollgate_kit.changes.request import ChangeRequest, replay


class MemoryLedger:
    """A LedgerStore without durability."""

    def __init__(self) -> None:
        self._limits: dict[AccountId, int] = {}
        self._windows: dict[WindowKey, Window] = {}
        self._transfers: dict[TransferId, Transfer] = {}
        self._requests: dict[str, tuple[bytes, Window | Resolved]] = {}

    async def apply(self, steps: Sequence[Step], *, now_ms: int) -> list[StepOutcome]:
        month = month_of(now_ms)
        for step in steps:
            if isinstance(step, Reserve):
                for account_id in step.account_ids:
                    self._open(account_id, month)
        book = Book(self._windows, self._transfers)
        outcomes = book.apply(steps, month=month, now_ms=now_ms)
        book.check()
        return [_detached(outcome) for outcome in outcomes]

    async def administer(
        self, request: AdminRequest, record: Record, *, now_ms: int
    ) -> Window | Resolved:
        asked = ChangeRequest.of(request.request_id, request.content.encode())
        if kept := self._requests.get(asked.request_id):
            replay(asked, (kept[0], b""))  # refuses other content
            return kept[1]
        await record()
        change = request.change
        answer: Window | Resolved
        if isinstance(change, SetLimit):
            if not (change.open_only and change.account_id in self._limits):
                self._limits[change.account_id] = change.limit
            month = month_of(now_ms)
            window = self._open(change.account_id, month)
            assert window is not None
            for (account_id, other), later in self._windows.items():
                if account_id == change.account_id and other >= month:
                    later.set_limit(NanoUsd(self._limits[account_id]))
                    later.check()
            answer = replace(window)
        else:
            (outcome,) = await self.apply([change], now_ms=now_ms)
            assert isinstance(outcome, Resolved)
            if outcome.result is not Resolution.RESOLVED:
                return outcome
            answer = outcome
        self._requests[asked.request_id] = (asked.content_sha256, answer)
        return answer

    async def overdue(self, *, now_ms: int, limit: int) -> list[TransferId]:
        late = [
            t
            for t in self._transfers.values()
            if t.state is State.PENDING and t.expire_ms <= now_ms
        ]
        late.sort(key=lambda t: t.expire_ms)
        return [t.id for t in late[:limit]]

    async def accounts(
        self, account_ids: Sequence[AccountId], month: Month
    ) -> dict[AccountId, Window]:
        found = {}
        for account_id in account_ids:
            if account_id in self._limits:
                window = self._windows.get((account_id, month))
                unused = open_window(account_id, month, self._limits[account_id])
                found[account_id] = unused if window is None else replace(window)
        return found

    async def transfers(
        self,
        account_id: AccountId,
        *,
        state: State | None,
        before: TransferId | None,
        limit: int,
    ) -> list[Transfer]:
        found = [
            replace(t)
            for t in self._transfers.values()
            if account_id in t.account_ids
            and (state is None or t.state is state)
            and (before is None or t.id < before)
        ]
        found.sort(key=lambda t: t.id, reverse=True)
        return found[:limit]

    async def violations(self) -> int:
        return sum(not self._agrees(window) for window in self._windows.values())

    def _agrees(self, window: Window) -> bool:
        mine = [
            t
            for t in self._transfers.values()
            if t.month == window.month and window.account_id in t.account_ids
        ]
        open_states = (State.PENDING, State.QUARANTINED)
        return (
            window.used <= window.ceiling
            and (window.frozen or window.ceiling == window.limit)
            and window.posted == sum(t.posted for t in mine)
            and window.pending == sum(t.reserved for t in mine if t.state in open_states)
        )

    def _open(self, account_id: AccountId, month: Month) -> Window | None:
        window = self._windows.get((account_id, month))
        limit = self._limits.get(account_id)
        if window is None and limit is not None:
            window = self._windows[account_id, month] = open_window(account_id, month, limit)
        return window


def _detached(outcome: StepOutcome) -> StepOutcome:
    """The outcome with a copy of the row, so that a caller cannot reach into the ledger."""
    if isinstance(outcome, Reserved):
        return outcome._replace(transfer=replace(outcome.transfer))
    if isinstance(outcome, Resolved) and outcome.transfer is not None:
        return replace(outcome, transfer=replace(outcome.transfer))
    return outcome
