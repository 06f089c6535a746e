"""The ledger's rules: what a reserve, a settle and a time-out do to the sums of window.py.

Promises: each step either refuses and changes nothing, or cannot fail any more. All accounts
of a reserve or none. A repeat of a step gives the same answer, but what has ended opens nothing
again. A reservation whose end is not known stays counted. The true cost is never refused.
Never does: I/O, clocks, randomness. A store brings the rows in, and writes the changed ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, NewType

from tollgate_budget.ledger.month import Month
from tollgate_budget.ledger.window import AccountId, NanoUsd, Window, WindowKey

TransferId = NewType("TransferId", str)


class State(IntEnum):
    """Where a transfer stands; the numbers are those of the proto's TransferState."""

    PENDING = 1
    POSTED = 2
    VOIDED = 3
    QUARANTINED = 4


class DenialReason(IntEnum):
    """Why money was refused; the numbers are those of the proto's DenialReason."""

    BUDGET_EXHAUSTED = 1
    ACCOUNT_FROZEN = 3
    ACCOUNT_UNKNOWN = 4
    BUDGET_HELD = 5
    RESERVATION_ENDED = 6


class Settlement(IntEnum):
    """What a settle came to; the numbers are those of the proto's SettlementState."""

    POSTED = 1
    RELEASED = 2
    CONFLICT = 3
    POSTED_LATE = 4
    NOT_FOUND = 5
    QUARANTINED = 6


class Resolution(IntEnum):
    """What resolving a quarantined transfer came to."""

    RESOLVED = 1
    CONFLICT = 2
    NOT_FOUND = 3
    NOT_QUARANTINED = 4
    ABOVE_RESERVE = 5


class Terms(NamedTuple):
    """What an amount was worked out from: the token binds them, and router checks them."""

    input_tokens: int = 0
    max_output_tokens: int = 0
    price_version: int = 0


NO_TERMS = Terms()


@dataclass(slots=True)
class Transfer:
    """One reservation and its end. Everything before `state` is written once."""

    id: TransferId
    tenant_id: str
    trace_id: str
    model: str
    account_ids: tuple[AccountId, ...]
    month: Month
    reserved: int
    create_ms: int
    expire_ms: int
    state: State = State.PENDING
    posted: int = 0
    late: bool = False  # it was quarantined at some time
    end_ms: int = 0  # when it was posted or voided; 0 until then
    terms: Terms = NO_TERMS

    @property
    def overrun(self) -> int:
        return max(0, self.posted - self.reserved)


class Reserve(NamedTuple):
    """Count the worst case of a call against every account, or against none."""

    id: TransferId
    account_ids: tuple[AccountId, ...]
    amount: NanoUsd
    timeout_ms: int
    tenant_id: str
    trace_id: str
    model: str
    terms: Terms = NO_TERMS


class Settle(NamedTuple):
    """Post the true cost of a reservation; 0 releases it. An empty trace id matches any.

    With `quarantine` the cost is not known, and what was reserved stays counted.
    """

    id: TransferId
    amount: NanoUsd
    trace_id: str = ""
    quarantine: bool = False


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Mark a reservation that timed out. It stays counted."""

    id: TransferId


@dataclass(frozen=True, slots=True)
class Resolve:
    """End a quarantined reservation at its true cost, by an operator.

    More than was reserved may take the account above its limit, and freeze it: only if it is said
    that this is meant.
    """

    id: TransferId
    amount: NanoUsd
    above_reserve: bool = False


class Reserved(NamedTuple):
    transfer: Transfer
    left: int  # on the tightest account, after this reservation
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing was written: a later try with the same id is decided anew."""

    reason: DenialReason
    subject: AccountId
    left: int
    held: int = 0  # by calls in flight, on that account


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The id is known with other content in this field; nothing was changed."""

    field: str


@dataclass(frozen=True, slots=True)
class Settled:
    state: Settlement
    overrun: int = 0
    # Whose reservation this very step ended; empty for a repeat, or when nothing ended.
    ended_for: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Quarantined:
    changed: bool


@dataclass(frozen=True, slots=True)
class Resolved:
    result: Resolution
    transfer: Transfer | None = None


Step = Reserve | Settle | Quarantine | Resolve
StepOutcome = Reserved | Denied | Mismatch | Settled | Quarantined | Resolved


@dataclass(slots=True)
class Book:
    """The rows that one batch of steps works on, and which of them it changed."""

    windows: dict[WindowKey, Window]
    transfers: dict[TransferId, Transfer]
    changed_windows: dict[WindowKey, Window] = field(default_factory=dict)
    new_transfers: dict[TransferId, Transfer] = field(default_factory=dict)
    changed_transfers: dict[TransferId, Transfer] = field(default_factory=dict)

    def apply(self, steps: Sequence[Step], *, month: Month, now_ms: int) -> list[StepOutcome]:
        """Carry the steps out one after the other, in the order of their arrival."""
        return [self._apply(step, month=month, now_ms=now_ms) for step in steps]

    def _apply(self, step: Step, *, month: Month, now_ms: int) -> StepOutcome:
        if type(step) is Reserve:
            return self.reserve(step, month=month, now_ms=now_ms)
        if type(step) is Settle:
            return self.settle(step, now_ms=now_ms)
        if type(step) is Quarantine:
            return self.quarantine(step, now_ms=now_ms)
        assert type(step) is Resolve
        return self.resolve(step, now_ms=now_ms)

    def reserve(self, step: Reserve, *, month: Month, now_ms: int) -> Reserved | Denied | Mismatch:
        """Move the amount to pending on every account, or refuse."""
        known = self.transfers.get(step.id)
        if known is not None:
            return self._replay(step, known)
        windows = []
        for account_id in step.account_ids:
            window = self.windows.get((account_id, month))
            if window is None:
                return Denied(DenialReason.ACCOUNT_UNKNOWN, account_id, 0)
            windows.append(window)
        for window in windows:
            if window.frozen:
                return Denied(DenialReason.ACCOUNT_FROZEN, window.account_id, 0)
        tightest = min(windows, key=_left)
        if step.amount > tightest.left:
            return _refused(windows, step.amount)
        left = tightest.left

        # After this point the reservation must succeed.
        for window in windows:
            window.pending += step.amount
            self._changed(window)
        transfer = Transfer(
            step.id,
            step.tenant_id,
            step.trace_id,
            step.model,
            step.account_ids,
            month,
            step.amount,
            now_ms,
            now_ms + step.timeout_ms,
            terms=step.terms,
        )
        self.transfers[step.id] = self.new_transfers[step.id] = transfer
        return Reserved(transfer, left - step.amount)

    def _replay(self, step: Reserve, known: Transfer) -> Reserved | Denied | Mismatch:
        for name, sent, stored in (
            ("account_ids", step.account_ids, known.account_ids),
            ("amount_nano_usd", step.amount, known.reserved),
            ("tenant_id", step.tenant_id, known.tenant_id),
            ("model", step.model, known.model),
            ("trace_id", step.trace_id, known.trace_id),
            ("timeout", step.timeout_ms, known.expire_ms - known.create_ms),
            ("max_output_tokens", step.terms, known.terms),
        ):
            if sent != stored:
                return Mismatch(name)
        if known.state is not State.PENDING:
            return Denied(DenialReason.RESERVATION_ENDED, known.account_ids[0], 0)
        left = min(self.windows[account_id, known.month].left for account_id in known.account_ids)
        return Reserved(known, left, replayed=True)

    def settle(self, step: Settle, *, now_ms: int) -> Settled:
        """Post the truth, whatever it is; or say again what it was."""
        transfer = self.transfers.get(step.id)
        if transfer is None:
            return Settled(Settlement.NOT_FOUND)
        if step.trace_id and step.trace_id != transfer.trace_id:
            return Settled(Settlement.CONFLICT)
        if step.quarantine:
            return self._quarantine(transfer)
        ended_for = ""
        if transfer.state in (State.POSTED, State.VOIDED):
            if step.amount != transfer.posted:
                return Settled(Settlement.CONFLICT)
        else:
            # After this point the settlement must succeed.
            self._end(transfer, step.amount, now_ms)
            ended_for = transfer.tenant_id
        if step.amount == 0:
            return Settled(Settlement.RELEASED, ended_for=ended_for)
        state = Settlement.POSTED_LATE if transfer.late else Settlement.POSTED
        return Settled(state, transfer.overrun, ended_for)

    def _quarantine(self, transfer: Transfer) -> Settled:
        """Keep a reservation counted whose end is not known; the sums that limits see stay."""
        if transfer.state in (State.POSTED, State.VOIDED):
            return Settled(Settlement.CONFLICT)
        if transfer.state is State.PENDING:
            # After this point the quarantine must succeed.
            transfer.state = State.QUARANTINED
            transfer.late = True
            self._transfer_changed(transfer)
            for account_id in transfer.account_ids:
                window = self.windows[account_id, transfer.month]
                window.quarantined += transfer.reserved
                self._changed(window)
        return Settled(Settlement.QUARANTINED)

    def quarantine(self, step: Quarantine, *, now_ms: int) -> Quarantined:
        """Quarantine a pending transfer whose time is over."""
        transfer = self.transfers.get(step.id)
        if transfer is None or transfer.state is not State.PENDING:
            return Quarantined(changed=False)
        if now_ms < transfer.expire_ms:
            return Quarantined(changed=False)
        self._quarantine(transfer)
        return Quarantined(changed=True)

    def resolve(self, step: Resolve, *, now_ms: int) -> Resolved:
        """As settle, but for what timed out only."""
        transfer = self.transfers.get(step.id)
        if transfer is None:
            return Resolved(Resolution.NOT_FOUND)
        if not transfer.late:
            return Resolved(Resolution.NOT_QUARANTINED)
        if transfer.state is not State.QUARANTINED:
            if step.amount != transfer.posted:
                return Resolved(Resolution.CONFLICT)
            return Resolved(Resolution.RESOLVED, transfer)
        if step.amount > transfer.reserved and not step.above_reserve:
            return Resolved(Resolution.ABOVE_RESERVE, transfer)
        # After this point the resolution must succeed.
        self._end(transfer, step.amount, now_ms)
        return Resolved(Resolution.RESOLVED, transfer)

    def _end(self, transfer: Transfer, amount: int, now_ms: int) -> None:
        """Move what was reserved out of pending and the true amount into posted."""
        quarantined = transfer.reserved if transfer.state is State.QUARANTINED else 0
        transfer.state = State.POSTED if amount > 0 else State.VOIDED
        transfer.posted = amount
        transfer.end_ms = now_ms
        self._transfer_changed(transfer)
        for account_id in transfer.account_ids:
            window = self.windows[account_id, transfer.month]
            window.end(reserved=transfer.reserved, quarantined=quarantined, posted=amount)
            self._changed(window)

    def _changed(self, window: Window) -> None:
        self.changed_windows[window.account_id, window.month] = window

    def _transfer_changed(self, transfer: Transfer) -> None:
        if transfer.id not in self.new_transfers:
            self.changed_transfers[transfer.id] = transfer

    def check(self) -> None:
        """Assert the invariant on every row this batch changed, before it is written."""
        for window in self.changed_windows.values():
            window.check()


def _left(window: Window) -> int:
    return window.left


def _refused(windows: Sequence[Window], amount: int) -> Denied:
    """The account that is spent, if one is; else the one whose calls in flight hold too much."""
    spent = min(windows, key=lambda window: window.left + window.held)
    if amount > spent.left + spent.held:
        return Denied(DenialReason.BUDGET_EXHAUSTED, spent.account_id, spent.left, spent.held)
    held = min(windows, key=_left)
    return Denied(DenialReason.BUDGET_HELD, held.account_id, held.left, held.held)
