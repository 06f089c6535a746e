"""AuditReceiptService: one tenant's call records, for the edge that serves that tenant.

Promises: the tenant is part of the look-up, so another tenant's trace id gives nothing, exactly
as an unknown one does.
"""

from __future__ import annotations

from typing import Any

from tollgate.audit.v1 import audit_pb2, audit_pb2_grpc
from tollgate_audit.store_postgres import PostgresStore, StoreUnavailable
from tollgate_kit import failure


class AuditReceiptServicer(audit_pb2_grpc.AuditReceiptServiceServicer):
    """GetCall."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store

    async def GetCall(
        self, request: audit_pb2.GetCallRequest, context: Any
    ) -> audit_pb2.GetCallResponse:
        del context
        for field in ("tenant_id", "trace_id"):
            if not getattr(request, field):
                raise failure.invalid_field(field, "is missing")
        try:
            rows = await self._store.call(request.tenant_id, request.trace_id)
        except StoreUnavailable:
            raise failure.store_unavailable("postgres") from None
        return audit_pb2.GetCallResponse(
            entries=[audit_pb2.StoredEntry(index=index, leaf=leaf) for index, leaf in rows]
        )
