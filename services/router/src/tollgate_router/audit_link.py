"""The link to audit: opened before anything that may have to leave evidence, closed after it."""

from tollgate.audit.v1 import audit_pb2
from tollgate_kit.evidence import EvidenceProducer
from tollgate_kit.ids import Ids
from tollgate_kit.lifecycle import Lifecycle
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.session_client import SessionPool
from tollgate_router.config import Config


async def open_evidence(
    config: Config, ids: Ids, log: Log, metrics: Metrics, life: Lifecycle
) -> EvidenceProducer:
    """A producer under router's identity."""
    audit = SessionPool(
        config.audit,
        config.rpc.tls,
        service="tollgate.audit.v1.AuditService",
        request_type=audit_pb2.SessionRequest,
        response_type=audit_pb2.SessionResponse,
        metrics=metrics,
        log=log,
    )
    await audit.start()
    life.on_stop("audit", audit.close)
    evidence = EvidenceProducer(audit, identity="router", ids=ids, metrics=metrics, log=log)
    await evidence.start()
    life.on_stop("evidence", evidence.close)
    return evidence
