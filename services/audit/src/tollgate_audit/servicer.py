"""AuditService: takes entries, answers when they are durable.

Promises: an answer with indices means committed; any failure means the caller must not release
data. Who calls is taken from the certificate, never from the message.
"""

from __future__ import annotations

from typing import Any

import grpc

from tollgate.audit.v1 import audit_pb2, audit_pb2_grpc
from tollgate_audit.log import admission, entry
from tollgate_audit.log.admission import KindNotAllowed, PayloadRefused
from tollgate_audit.log.batcher import Batcher
from tollgate_audit.log.entry import EntryRefused, PreparedEntry
from tollgate_audit.log.sequencer import AppendDenial, Appended, Refused, Submission
from tollgate_audit.log.store_postgres import CommitUnknown, StoreUnavailable
from tollgate_audit.subject_keys import SubjectKeys
from tollgate_kit import canonical
from tollgate_kit.keyring.base import KeyringFault
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc import failure
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.rpc.server import caller
from tollgate_kit.rpc.session_server import SessionServer
from tollgate_kit.work_queue import Full

ENTRIES_MAX = 256
REQUEST_BYTES_MAX = 1024 * 1024
_MEMBER_MAX = 64  # characters of a refused member's name that are told

_KINDS = {
    number: name.removeprefix("ENTRY_KIND_")
    for name, number in audit_pb2.EntryKind.items()
    if number != audit_pb2.ENTRY_KIND_UNSPECIFIED
}


class AuditServicer(audit_pb2_grpc.AuditServiceServicer):
    """Append, alone and in sessions."""

    def __init__(
        self, batcher: Batcher, subject_keys: SubjectKeys, *, metrics: Metrics, log: Log
    ) -> None:
        self._batcher = batcher
        self._subject_keys = subject_keys
        self._log = log
        self._refused = metrics.counter(
            "entries_refused_total",
            "Appends with an entry that is none of its producer's.",
            ("producer", "reason"),
        )
        self.sessions = SessionServer(
            self,
            audit_pb2.DESCRIPTOR.services_by_name["AuditService"],
            audit_pb2.SessionResponse,
            metrics=metrics,
            log=log,
        )

    def Session(self, request_iterator: Any, context: Any) -> Any:
        return self.sessions.serve(request_iterator, context)

    async def Append(
        self, request: audit_pb2.AppendRequest, context: Any
    ) -> audit_pb2.AppendResponse:
        del context  # a call in a session has none
        try:
            submission = await self._submission(request)
            outcome = await self._batcher.submit(submission)
        except EntryRefused as refused:
            self._count(request, "INVALID_FIELD", refused.field)
            raise failure.invalid_field(refused.field, refused.why) from None
        except KindNotAllowed:
            self._count(request, "CALLER_NOT_ALLOWED", "kind")
            raise Failure(grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED") from None
        except Full:
            raise failure.overloaded("append") from None
        except StoreUnavailable:
            raise failure.store_unavailable("postgres") from None
        except KeyringFault:
            raise failure.store_unavailable("keyring") from None
        except CommitUnknown:
            raise failure.outcome_unknown() from None
        if isinstance(outcome, Appended):
            return audit_pb2.AppendResponse(indices=outcome.indices)
        raise _refused(request.producer_id, outcome)

    def _count(self, request: audit_pb2.AppendRequest, reason: str, field: str) -> None:
        self._refused.labels(caller(), reason).inc()
        self._log.error("append.refused", producer=request.producer_id, reason=reason, field=field)

    async def _submission(self, request: audit_pb2.AppendRequest) -> Submission:
        """The request, checked and made into leaves. Raises EntryRefused, KindNotAllowed."""
        producer, identity = request.producer_id, caller()
        if not entry.is_producer_of(producer, identity):
            raise Failure(
                grpc.StatusCode.PERMISSION_DENIED, "SEQUENCE_REFUSED", expected=f"{identity}/"
            )
        entry.check_name("producer_id", producer)
        entries = list(request.entries)
        if not 1 <= len(entries) <= ENTRIES_MAX:
            raise EntryRefused("entries", f"must be 1 to {ENTRIES_MAX}")
        first = entries[0].sequence
        if not 1 <= first <= entry.SEQUENCE_MAX - ENTRIES_MAX:
            raise EntryRefused("sequence", "must be 1 or more")
        total = 0
        pseudonyms: dict[tuple[str, str], str] = {}
        prepared: list[PreparedEntry] = []
        for place, item in enumerate(entries):
            total += len(item.payload)
            if item.sequence != first + place:
                raise EntryRefused("sequence", "must be consecutive in a request")
            whom = (item.tenant_id, item.subject)
            if whom not in pseudonyms:
                pseudonyms[whom] = await self._pseudonym(*whom)
            prepared.append(_prepare(item, producer, identity, pseudonyms[whom]))
        if total > REQUEST_BYTES_MAX:
            raise EntryRefused("entries", f"more than {REQUEST_BYTES_MAX} bytes")
        return Submission(producer, first, tuple(prepared))

    async def _pseudonym(self, tenant_id: str, subject: str) -> str:
        """The subject's pseudonym. Raises EntryRefused, StoreUnavailable, KeyringFault."""
        entry.check_name("tenant_id", tenant_id)
        entry.check_name("subject", subject)
        if not subject:
            return ""
        return entry.pseudonym(await self._subject_keys.key(tenant_id), subject)


def _prepare(item: audit_pb2.Entry, producer: str, identity: str, pseudonym: str) -> PreparedEntry:
    kind = _KINDS.get(item.kind)
    if kind is None:
        raise EntryRefused("kind", "is unknown")
    tenant_id, trace_id, payload = item.tenant_id, item.trace_id, item.payload
    entry.check_name("trace_id", trace_id)
    if len(payload) > entry.PAYLOAD_BYTES_MAX:
        raise EntryRefused("payload", f"longer than {entry.PAYLOAD_BYTES_MAX} bytes")
    try:
        admission.check(identity, kind, canonical.loads_object(payload))
    except PayloadRefused as refused:
        raise EntryRefused(f"payload.{refused.member[:_MEMBER_MAX]}", refused.why) from None
    except (ValueError, RecursionError):
        raise EntryRefused("payload", "is not a canonical JSON object") from None
    leaf = entry.build_leaf(
        kind=kind,
        payload=payload,
        producer=producer,
        sequence=item.sequence,
        subject=pseudonym,
        tenant_id=tenant_id,
        trace_id=trace_id,
    )
    return PreparedEntry(tenant_id, trace_id, leaf)


def _refused(producer: str, outcome: Refused) -> Failure:
    if outcome.refusal is AppendDenial.GAP:
        return Failure(
            grpc.StatusCode.FAILED_PRECONDITION, "SEQUENCE_REFUSED", expected=str(outcome.sequence)
        )
    if outcome.refusal is AppendDenial.MISMATCH:
        return failure.mismatch(producer, f"sequence {outcome.sequence}")
    return failure.audit_not_durable()
