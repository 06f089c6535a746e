"""AuditReadService: the log for inspectors. A convenience: the published log is the evidence."""

from __future__ import annotations

from typing import Any

from tollgate.audit.v1 import audit_pb2, audit_pb2_grpc
from tollgate_audit.log.evidence_check import EvidenceCheck, told_as_failures
from tollgate_audit.log.store_postgres import PostgresStore
from tollgate_audit.worm.base import Worm
from tollgate_kit.rpc import failure
from tollgate_tlog import checkpoint, note

PAGE_SIZE_MAX = 1000
_PAGE_BYTES_MAX = 16 * 1024 * 1024


class AuditReadServicer(audit_pb2_grpc.AuditReadServiceServicer):
    """Serves GetCheckpoint and ListEntries to operators."""

    def __init__(self, store: PostgresStore, worm: Worm, evidence: EvidenceCheck) -> None:
        self._store = store
        self._worm = worm
        self._evidence = evidence

    async def GetCheckpoint(
        self, request: audit_pb2.GetCheckpointRequest, context: Any
    ) -> audit_pb2.GetCheckpointResponse:
        del request, context
        with told_as_failures():
            signed_note = await self._worm.get(checkpoint.LATEST_PATH)
            size = await self._store.size()  # read second: never below the checkpoint's
        if signed_note is None:
            raise failure.not_found("checkpoint", "latest")
        published = checkpoint.parse(note.parse(signed_note).text).size
        return audit_pb2.GetCheckpointResponse(
            signed_note=signed_note, unpublished=size - published
        )

    async def ListEntries(
        self, request: audit_pb2.ListEntriesRequest, context: Any
    ) -> audit_pb2.ListEntriesResponse:
        del context
        if request.start_index < 0:
            raise failure.invalid_field("start_index", "must not be negative")
        if not 1 <= request.page_size <= PAGE_SIZE_MAX:
            raise failure.invalid_field("page_size", f"must be 1 to {PAGE_SIZE_MAX}")
        with told_as_failures():
            rows, next_index = await self._store.entries(
                request.start_index, limit=request.page_size, tenant_id=request.tenant_id
            )
            await self._evidence.marked(rows)
        answer = audit_pb2.ListEntriesResponse(next_index=next_index)
        size_bytes = 0
        for index, leaf, _ in rows:
            size_bytes += len(leaf)
            if answer.entries and size_bytes > _PAGE_BYTES_MAX:
                answer.next_index = index
                break
            answer.entries.add(index=index, leaf=leaf)
        return answer
