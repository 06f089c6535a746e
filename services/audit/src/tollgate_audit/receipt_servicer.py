"""AuditReceiptService: one tenant's call records, for the edge that serves that tenant.

Promises: the tenant is part of the look-up, so another tenant's trace id gives nothing, exactly
as an unknown one does; an entry is shown only when it is the one that was sequenced, or else none.
"""

from __future__ import annotations

from typing import Any

from tollgate.audit.v1 import audit_pb2, audit_pb2_grpc
from tollgate_audit.log import entry
from tollgate_audit.log.evidence_check import EvidenceCheck, told_as_failures
from tollgate_audit.log.store_postgres import PostgresStore
from tollgate_kit.rpc import failure


class AuditReceiptServicer(audit_pb2_grpc.AuditReceiptServiceServicer):
    """Serves GetCall: the entries of one call, to the tenant whose call it was."""

    def __init__(self, store: PostgresStore, evidence: EvidenceCheck) -> None:
        self._store = store
        self._evidence = evidence

    async def GetCall(
        self, request: audit_pb2.GetCallRequest, context: Any
    ) -> audit_pb2.GetCallResponse:
        del context
        for field in ("tenant_id", "trace_id"):
            if not getattr(request, field):
                raise failure.invalid_field(field, "is missing")
        with told_as_failures():
            rows = await self._store.call(request.tenant_id, request.trace_id)
            await self._evidence.proven(rows)
            for row in rows:
                # The columns that a call is found by are no evidence; the leaf is.
                if not entry.is_of(row.leaf, request.tenant_id, request.trace_id):
                    raise self._evidence.alarm(row)
        return audit_pb2.GetCallResponse(
            entries=[audit_pb2.StoredEntry(index=row.log_index, leaf=row.leaf) for row in rows]
        )
