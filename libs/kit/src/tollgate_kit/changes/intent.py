"""Writes an operator's change into the audit log before the change is made.

Promises: who asked, under which request, and when, stand in each such entry, in every service in
the same words. `facts` say what is changed; they hold ids and amounts, never a secret.
"""

from typing import Any, Protocol

from tollgate.audit.v1 import audit_pb2
from tollgate_kit.rpc.context import caller


class Evidence(Protocol):
    """Where audit entries go: tollgate_kit.evidence.EvidenceProducer."""

    async def append(
        self,
        kind: "audit_pb2.EntryKind.ValueType",
        *,
        tenant_id: str,
        trace_id: str,
        subject: str,
        payload: dict[str, Any],
    ) -> int:
        """The entry's index, once it is durable. Raises Failure AUDIT_NOT_DURABLE."""
        ...


async def record_intent(
    evidence: Evidence,
    kind: "audit_pb2.EntryKind.ValueType",
    facts: dict[str, Any],
    *,
    tenant_id: str,
    subject: str,
    request_id: str,
    time_unix_ms: int,
) -> int:
    """The entry's index, once it is durable. Raises Failure AUDIT_NOT_DURABLE: change nothing.

    `subject` is what is changed; the actor is the caller of the RPC that is being served.
    """
    return await evidence.append(
        kind,
        tenant_id=tenant_id,
        trace_id=request_id,
        subject=subject,
        payload={
            **facts,
            "request_id": request_id,
            "actor": caller(),
            "time_unix_ms": time_unix_ms,
        },
    )
