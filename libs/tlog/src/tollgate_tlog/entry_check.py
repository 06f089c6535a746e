"""Checks what the entries say: producers without gaps, calls admitted before they are finished.

Promises: each entry is read once, strictly; memory grows with open calls, not with the log.
Never looks at tiles or signatures.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from tollgate_tlog.findings import Report

_NAMES = {"kind", "payload", "producer", "sequence", "subject", "tenant", "trace_id"}


class EntryError(ValueError):
    """An entry that is not one canonical JSON object of the known shape."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """An open call, as CALL_ADMITTED said it."""

    index: int
    account_ids: tuple[str, ...]
    time_unix_ms: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What one call was charged, as CALL_FINISHED said it."""

    index: int
    reservation_id: str
    cost_nano_usd: int
    account_ids: tuple[str, ...]


@dataclass(slots=True)
class EntryCheck:
    """Checks producers' sequences and calls; is fed every entry, in the order of the log."""

    report: Report
    charged: Callable[[Charge], None]
    resolved: Callable[[str, int], None]
    _sequences: dict[str, int] = field(default_factory=dict)
    _open_producers: set[str] = field(default_factory=set)
    _open_calls: dict[tuple[str, str, str], Admitted] = field(default_factory=dict)
    _calls: int = 0

    def see(self, index: int, leaf: bytes) -> None:
        try:
            entry = read_entry(leaf)
            self._check_sequence(index, entry)
            self._check_call(index, entry)
        except EntryError as error:
            self.report.faults.add("entry", f"entry {index}", str(error))

    def finish(self, now_unix_ms: int) -> None:
        """Name the calls that never ended: how long ago each was admitted."""
        for (_, trace_id, reservation_id), call in self._open_calls.items():
            age = max(0, now_unix_ms - call.time_unix_ms) // 1000
            self.report.observations.add(
                "admitted_without_finished",
                f"entry {call.index}",
                f"trace {trace_id}, reservation {reservation_id}: admitted {age} s ago, no end",
            )
        self.report.facts["producers"] = len(self._sequences)
        self.report.facts["producers_open"] = len(self._open_producers)
        self.report.facts["calls_finished"] = self._calls
        self.report.facts["calls_open"] = len(self._open_calls)

    def _check_sequence(self, index: int, entry: dict[str, Any]) -> None:
        producer, sequence = _text(entry, "producer"), _integer(entry, "sequence")
        expected = self._sequences.get(producer, 0) + 1
        if sequence != expected:
            what = "repeats or goes back" if sequence < expected else "leaves a gap"
            self.report.faults.add(
                "sequence",
                f"entry {index}",
                f"producer {producer} {what}: sequence {sequence} where {expected} is due",
            )
        self._sequences[producer] = max(sequence, expected - 1)
        if entry["kind"] == "PRODUCER_STOPPED":
            self._open_producers.discard(producer)
        else:
            self._open_producers.add(producer)

    def _check_call(self, index: int, entry: dict[str, Any]) -> None:
        kind, payload = entry["kind"], entry["payload"]
        if kind == "CALL_ADMITTED":
            self._admit(index, entry, payload)
        elif kind == "CALL_FINISHED":
            self._finish_call(index, entry, payload)
        elif kind == "BUDGET_CHANGED" and "reservation_id" in payload:
            self.resolved(_text(payload, "reservation_id"), _integer(payload, "amount_nano_usd"))

    def _admit(self, index: int, entry: dict[str, Any], payload: dict[str, Any]) -> None:
        key = _call_key(entry, payload)
        if key in self._open_calls:
            self.report.faults.add(
                "call", f"entry {index}", f"reservation {key[2]} is admitted a second time"
            )
        accounts = payload.get("account_ids")
        if not isinstance(accounts, list) or not all(isinstance(a, str) for a in accounts):
            raise EntryError("account_ids is not a list of strings")
        self._open_calls[key] = Admitted(index, tuple(accounts), _integer(payload, "time_unix_ms"))

    def _finish_call(self, index: int, entry: dict[str, Any], payload: dict[str, Any]) -> None:
        key = _call_key(entry, payload)
        call = self._open_calls.pop(key, None)
        self._calls += 1
        if call is None:
            self.report.faults.add(
                "call",
                f"entry {index}",
                f"reservation {key[2]} is finished but not open: never admitted, or ended before",
            )
        cost = _integer(payload, "cost_nano_usd")
        if not isinstance(payload.get("charged"), bool) or cost < 0:
            raise EntryError("charged is not a boolean, or the cost is negative")
        if not payload["charged"]:
            return
        accounts = call.account_ids if call else ()
        for account in accounts:
            total = self.report.charged_nano_usd.get(account, 0)
            self.report.charged_nano_usd[account] = total + cost
        self.charged(Charge(index, key[2], cost, accounts))


def read_entry(leaf: bytes) -> dict[str, Any]:
    """The entry in a leaf; EntryError unless it is canonical and has exactly the known names."""
    try:
        text = leaf.decode("utf-8", errors="strict")
        entry = json.loads(text, parse_float=_refuse, parse_constant=_refuse)
        canonical = json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        raise EntryError("it is not JSON of the permitted kind") from None
    if canonical != text:
        raise EntryError("it is not canonical JSON")
    if not isinstance(entry, dict) or entry.keys() != _NAMES:
        raise EntryError("it has not the names of an entry")
    if not isinstance(entry["payload"], dict):
        raise EntryError("its payload is not an object")
    for name in ("kind", "subject", "tenant", "trace_id"):
        _text(entry, name)
    return entry


def _call_key(entry: dict[str, Any], payload: dict[str, Any]) -> tuple[str, str, str]:
    return entry["tenant"], entry["trace_id"], _text(payload, "reservation_id")


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise EntryError(f"{name} is not a string")
    return value


def _integer(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise EntryError(f"{name} is not an integer")
    return value


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)
