"""The producer side of the audit log: batches, gapless sequences, one append in flight.

append() returns when the entry is durable in audit, and raises AUDIT_NOT_DURABLE when that
cannot be known: the caller must then not release data. A batch whose answer was lost is sent
again under the same sequences until audit answers, so nothing is lost and nothing doubled; a
caller stops waiting at its own time limit, its entry stays queued.
"""

import asyncio
import contextlib
from typing import Any

import grpc

from tollgate.audit.v1 import audit_pb2
from tollgate_kit import canonical
from tollgate_kit.config import PeerConfig, TlsConfig
from tollgate_kit.ids import Ids
from tollgate_kit.lifecycle import Lifecycle
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.failure import Failure, audit_not_durable
from tollgate_kit.rpc.session_client import SessionPool
from tollgate_kit.work_queue import WorkQueue, resolve

# Entries that belong to no tenant: they are the operator's own.
OPERATOR_TENANT = "operator"
BATCH_ENTRIES_MAX = 256
BATCH_BYTES_MAX = 512 * 1024
QUEUE_MAX = 8192
APPEND_TIMEOUT_S = 5.0
# So long a start waits for audit; without it it goes on all the same.
CONNECT_SECONDS = 2.0
RETRY_SECONDS = 0.1
# A batch that audit refuses cannot be skipped (the gap would be visible for ever): this process
# makes no more evidence, so it serves no more calls. It ends; the next one is another producer.
REFUSED_RETRY_SECONDS = 1.0
REFUSED_ATTEMPTS = 3
PAYLOAD_BYTES_MAX = 60_000
ENTRY_BYTES = 256  # what an entry is taken to weigh besides its payload


_PASSING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)


async def open_evidence(
    identity: str,
    peer: PeerConfig,
    tls: TlsConfig,
    *,
    ids: Ids,
    metrics: Metrics,
    log: Log,
    life: Lifecycle,
) -> "EvidenceProducer":
    """A producer on its own session with audit, closed and drained when the process stops."""
    audit = SessionPool(
        peer,
        tls,
        service="tollgate.audit.v1.AuditService",
        request_type=audit_pb2.SessionRequest,
        response_type=audit_pb2.SessionResponse,
        metrics=metrics,
        log=log,
    )
    life.on_stop("audit", audit.close)
    # Sent before there is a session, the first entry would be a failure at every start.
    await audit.start(wait_s=CONNECT_SECONDS)
    evidence = EvidenceProducer(audit, identity=identity, ids=ids, metrics=metrics, log=log)
    await evidence.start()
    life.on_stop("evidence", evidence.close)
    return evidence


class EvidenceRefused(Exception):  # noqa: N818 - it is what happened
    """Audit takes no more entries of this producer: this process cannot serve."""


class _Waiting:
    """An entry on its way, and who waits for its index."""

    __slots__ = ("entry", "indexed", "queued_at")

    def __init__(self, entry: Any, indexed: "asyncio.Future[int]", queued_at: float) -> None:
        self.entry = entry
        self.indexed = indexed
        # On the event loop's clock.
        self.queued_at = queued_at


class EvidenceProducer:
    """Appends this process's entries to the audit log."""

    def __init__(
        self, audit: SessionPool, *, identity: str, ids: Ids, metrics: Metrics, log: Log
    ) -> None:
        self._audit = audit
        self._identity = identity
        self.producer_id = f"{identity}/{ids.uuid7()}"
        self._log = log
        self._sequence = 0
        self._queue: WorkQueue[_Waiting] = WorkQueue(
            "evidence",
            self._send,
            units_max=QUEUE_MAX,
            batch_units_max=BATCH_ENTRIES_MAX,
            batch_bytes_max=BATCH_BYTES_MAX,
        )
        depth = metrics.gauge("evidence_queue", "Entries not yet durable.")
        depth.set_function(lambda: self._queue.units)
        self._batch = metrics.histogram(
            "evidence_batch_entries", "Entries per append.", buckets=(1, 2, 4, 8, 16, 32, 64, 256)
        )

    async def start(self) -> None:
        """Begin sending; the first entry says that this producer began."""
        self._mark(audit_pb2.ENTRY_KIND_PRODUCER_STARTED)
        self._queue.start()

    async def close(self, seconds: float = 5.0) -> None:
        """Say that this producer ends, wait for what is queued, at most that long, then stop.

        An end that is in the log proves that nothing of this producer is missing after it.
        """
        with contextlib.suppress(Failure):
            self._mark(audit_pb2.ENTRY_KIND_PRODUCER_STOPPED)
        left = await self._queue.close(seconds)
        if left:
            self._log.error("evidence.not_drained", entries=left)

    def _mark(self, kind: "audit_pb2.EntryKind.ValueType") -> None:
        self.enqueue(
            kind,
            tenant_id=OPERATOR_TENANT,
            trace_id=self.producer_id.partition("/")[2],
            subject=f"service:{self._identity}",
            payload={},
        )

    @property
    def full(self) -> bool:
        """True when nothing more is taken on: refuse calls before the upstream is called."""
        return self._queue.units >= QUEUE_MAX

    @property
    def lag_s(self) -> float:
        """For how long the oldest entry has waited to become durable; 0 when none waits."""
        oldest = self._queue.oldest
        return 0.0 if oldest is None else asyncio.get_running_loop().time() - oldest.queued_at

    def enqueue(
        self,
        kind: "audit_pb2.EntryKind.ValueType",
        *,
        tenant_id: str,
        trace_id: str,
        subject: str,
        payload: dict[str, Any],
    ) -> "asyncio.Future[int]":
        """Queue an entry; the future gives its log index when it is durable.

        Raises Failure AUDIT_NOT_DURABLE when the queue is full, ValueError for a payload that
        audit would refuse.
        """
        if self.full:
            raise audit_not_durable()
        data = canonical.dumps(payload)
        if len(data) > PAYLOAD_BYTES_MAX:
            raise ValueError("an entry's payload is at most 60,000 bytes")
        loop = asyncio.get_running_loop()
        indexed: asyncio.Future[int] = loop.create_future()
        self._sequence += 1
        entry = audit_pb2.Entry(
            sequence=self._sequence,
            tenant_id=tenant_id,
            trace_id=trace_id,
            kind=kind,
            payload=data,
            subject=subject,
        )
        size_bytes = len(data) + ENTRY_BYTES
        self._queue.put(_Waiting(entry, indexed, loop.time()), size_bytes=size_bytes)
        return indexed

    async def append(
        self,
        kind: "audit_pb2.EntryKind.ValueType",
        *,
        tenant_id: str,
        trace_id: str,
        subject: str,
        payload: dict[str, Any],
        timeout_s: float = APPEND_TIMEOUT_S,
    ) -> int:
        """Append an entry; its log index, once durable. Raises Failure AUDIT_NOT_DURABLE."""
        indexed = self.enqueue(
            kind, tenant_id=tenant_id, trace_id=trace_id, subject=subject, payload=payload
        )
        try:
            async with asyncio.timeout(timeout_s):
                return await indexed
        except TimeoutError:
            raise audit_not_durable() from None

    async def _send(self, batch: list[_Waiting]) -> None:
        self._batch.observe(len(batch))
        request = audit_pb2.AppendRequest(
            producer_id=self.producer_id, entries=[waiting.entry for waiting in batch]
        )
        indices = await self._deliver(request)
        for waiting, index in zip(batch, indices, strict=True):
            resolve(waiting.indexed, index)

    async def _deliver(self, request: Any) -> list[int]:
        """Send a batch until audit answers; bounded by the queue, which refuses when full.

        Raises EvidenceRefused, which ends the process.
        """
        refused = 0
        while True:
            try:
                answer = await self._audit.unary(
                    "Append", request, audit_pb2.AppendResponse, timeout_s=APPEND_TIMEOUT_S
                )
                return list(answer.indices)
            except Failure as failure:
                known = {"reason": failure.reason, "entries": len(request.entries)}
                if failure.code in _PASSING:
                    self._log.warning("evidence.append_failed", **known)
                    await asyncio.sleep(RETRY_SECONDS)
                else:
                    refused += 1
                    self._log.error("evidence.refused", **known)
                    if refused == REFUSED_ATTEMPTS:
                        raise EvidenceRefused(failure.reason) from failure
                    await asyncio.sleep(REFUSED_RETRY_SECONDS)
