"""The entries that a call leaves in the audit log, and the barrier that waits for them.

Promises: an entry holds ids, numbers and words of ours only; waiting for one never takes it off
the queue. While an entry is overdue no further call is let through to an upstream.
"""

import asyncio
from typing import Any

from tollgate.audit.v1 import audit_pb2
from tollgate_edge.api.call.outcome import Outcome
from tollgate_edge.identity.identity import KeyGrant
from tollgate_edge.limits.fair_shares import Shares
from tollgate_kit.clock import Clock
from tollgate_kit.evidence import EvidenceProducer
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.failure import Failure, audit_not_durable

PendingEntry = asyncio.Future[int]


class CallEvidence:
    """Queues the entries of calls at the kit's producer."""

    def __init__(
        self,
        producer: EvidenceProducer,
        *,
        timeout_s: float,
        lag_max_s: float,
        denials: Shares,
        clock: Clock,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._producer = producer
        self._timeout_s = timeout_s
        self._lag_max_s = lag_max_s
        self._denials = denials
        self._clock = clock
        self._log = log
        self._overdue: PendingEntry | None = None
        self._denials_dropped = metrics.counter(
            "denial_entries_dropped_total", "Denied calls that were not recorded: audit was behind."
        )

    @property
    def takes_calls(self) -> bool:
        """False while audit is behind: refuse a call before its upstream is called."""
        if self._overdue is not None and self._overdue.done():
            self._overdue = None
        lagging = self._producer.lag_s > self._lag_max_s
        return self._overdue is None and not lagging and not self._producer.full

    def admitted(self, grant: KeyGrant, *, trace_id: str, facts: dict[str, Any]) -> PendingEntry:
        """Queue CALL_ADMITTED. Raises Failure AUDIT_NOT_DURABLE when the queue is full."""
        return self._enqueue(audit_pb2.ENTRY_KIND_CALL_ADMITTED, grant, trace_id, facts)

    def finished(
        self,
        grant: KeyGrant,
        outcome: Outcome,
        *,
        trace_id: str,
        reservation_id: str,
        reserved_nano_usd: int,
        http_status: int,
        route: str,
        model: str,
    ) -> PendingEntry:
        """Queue CALL_FINISHED. Raises Failure AUDIT_NOT_DURABLE when the queue is full."""
        facts = {
            "reservation_id": reservation_id,
            "cost_nano_usd": outcome.cost_nano_usd,
            "charged": outcome.charged,
            "charge_reason": outcome.charge_reason,
            "usage_source": outcome.usage_source,
            "usage": outcome.usage.fields(),
            "price_version": outcome.price_version,
            "end_reason": outcome.end_reason,
            "http_status": http_status,
            "route": route,
            "attempts": outcome.attempts,
            "model": model,
        }
        if not outcome.known:
            facts["quarantined_nano_usd"] = reserved_nano_usd
        return self._enqueue(audit_pb2.ENTRY_KIND_CALL_FINISHED, grant, trace_id, facts)

    def denied(
        self, grant: KeyGrant, *, trace_id: str, reason: str, model: str, account_id: str
    ) -> None:
        """Queue CALL_DENIED. Nobody waits for it; of each key a bounded number is on its way.

        `account_id`: which account refused, empty where none did.
        """
        if self._denials.take(grant.holders) is not None:
            self._denials_dropped.inc()
            return
        facts = {"reason": reason, "model": model}
        if account_id:
            facts["account_id"] = account_id
        try:
            entry = self._enqueue(audit_pb2.ENTRY_KIND_CALL_DENIED, grant, trace_id, facts)
        except Failure:
            self._denials.give(grant.holders)
            self._denials_dropped.inc()
            return
        entry.add_done_callback(lambda _: self._denials.give(grant.holders))

    async def durable(self, entry: PendingEntry) -> int:
        """The entry's index in the log. Raises Failure AUDIT_NOT_DURABLE when time is up."""
        # Whoever gives up waiting does not take the entry's future with it.
        if not entry.done():
            await _ended(entry, self._timeout_s)
        if not entry.done():
            self._overdue = entry
            raise audit_not_durable()
        return entry.result()

    def _enqueue(
        self,
        kind: "audit_pb2.EntryKind.ValueType",
        grant: KeyGrant,
        trace_id: str,
        facts: dict[str, Any],
    ) -> PendingEntry:
        facts["time_unix_ms"] = self._clock.unix_ms()
        try:
            return self._producer.enqueue(
                kind,
                tenant_id=grant.tenant_id,
                trace_id=trace_id,
                subject=grant.subject,
                payload=facts,
            )
        except ValueError as error:
            # A name outside the canonical subset: a bug, and no reason to answer unrecorded.
            self._log.exception("evidence.refused", error, trace_id=trace_id)
            raise audit_not_durable() from None


async def _ended(entry: PendingEntry, seconds: float) -> None:
    """Wait for an entry, at most so long: as asyncio.wait does, without its care for many."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()

    def wake(_: object = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    timer = loop.call_later(seconds, wake)
    entry.add_done_callback(wake)
    try:
        await waiter
    finally:
        timer.cancel()
        entry.remove_done_callback(wake)
