"""Compares the ledger's posted transfers with the log's charges, in both directions.

Promises: every posted transfer has its CALL_FINISHED (or an operator's resolution, which is an
entry too) with the same amount, and every charged call its transfer. Never guesses: an amount or
an account that differs is a fault.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tollgate_tlog.entry_check import Charge
from tollgate_tlog.findings import Report

_STATES = frozenset(("PENDING", "POSTED", "VOIDED", "QUARANTINED"))


class LedgerError(ValueError):
    """The ledger file cannot be read: nothing was compared."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One posted transfer of the ledger."""

    reservation_id: str
    posted_nano_usd: int
    account_ids: tuple[str, ...] | None


def read(path: Path) -> list[Transfer]:
    """A JSON list of transfers, or an object that has one as ``transfers``, as the CLI prints it.

    Those whose ``state`` is given and not POSTED are left out. Raises LedgerError for what cannot
    be read, a state that is not known included: it would make evidence look broken that is not.
    """
    try:
        rows = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise LedgerError(f"cannot read the ledger file: {type(error).__name__}") from None
    if isinstance(rows, dict):
        rows = rows.get("transfers")
    if not isinstance(rows, list):
        raise LedgerError("the ledger file has no JSON list of transfers")
    return [_transfer(row) for row in rows if _is_posted(row)]


@dataclass(slots=True)
class LedgerCheck:
    """Fed every charge of the log, then compared with the ledger once."""

    _charges: dict[str, Charge] = field(default_factory=dict)
    _resolutions: dict[str, set[int]] = field(default_factory=dict)

    def charged(self, charge: Charge) -> None:
        if charge.cost_nano_usd:  # a call that cost nothing is released, not posted
            self._charges[charge.reservation_id] = charge

    def resolved(self, reservation_id: str, amount_nano_usd: int) -> None:
        self._resolutions.setdefault(reservation_id, set()).add(amount_nano_usd)

    def compare(self, transfers: list[Transfer], report: Report) -> None:
        left = dict(self._charges)
        seen: set[str] = set()
        for transfer in transfers:
            if transfer.reservation_id in seen:
                report.faults.add("ledger", transfer.reservation_id, "posted twice in the ledger")
                continue
            seen.add(transfer.reservation_id)
            fault = self._fault(transfer, left.pop(transfer.reservation_id, None))
            if fault:
                report.faults.add("ledger", transfer.reservation_id, fault)
        for charge in left.values():
            report.faults.add(
                "ledger",
                charge.reservation_id,
                f"entry {charge.index} charges {charge.cost_nano_usd} nano-USD, "
                "the ledger has no posted transfer",
            )
        report.facts["ledger_transfers"] = len(transfers)

    def _fault(self, transfer: Transfer, charge: Charge | None) -> str:
        amount = transfer.posted_nano_usd
        if charge is None:
            if amount == 0 or amount in self._resolutions.get(transfer.reservation_id, ()):
                return ""
            return f"the ledger posted {amount} nano-USD, no CALL_FINISHED says so"
        if amount != charge.cost_nano_usd:
            return f"the ledger posted {amount} nano-USD, the log says {charge.cost_nano_usd}"
        if transfer.account_ids is not None and sorted(transfer.account_ids) != sorted(
            charge.account_ids
        ):
            return "the ledger posted to other accounts than CALL_ADMITTED names"
        return ""


def _is_posted(row: Any) -> bool:
    if not isinstance(row, dict):
        raise LedgerError("a transfer in the ledger file is not an object")
    state = str(row.get("state", "POSTED")).upper().removeprefix("TRANSFER_STATE_")
    if state not in _STATES:
        raise LedgerError("a transfer in the ledger file has a state that is none")
    return state == "POSTED"


def _transfer(row: dict[str, Any]) -> Transfer:
    reservation_id, amount = row.get("reservation_id"), row.get("posted_nano_usd")
    accounts = row.get("account_ids")
    try:
        posted = int(amount) if isinstance(amount, int | str) else None
    except ValueError:
        posted = None
    if not isinstance(reservation_id, str) or posted is None:
        raise LedgerError("a transfer lacks reservation_id or posted_nano_usd")
    if accounts is not None and not isinstance(accounts, list):
        raise LedgerError("a transfer's account_ids is not a list")
    return Transfer(reservation_id, posted, None if accounts is None else tuple(accounts))
