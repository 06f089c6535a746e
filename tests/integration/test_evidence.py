"""A service's evidence at its start, against a scripted audit behind real mutual TLS."""

import asyncio
import io

import pytest

from tests.fakes.services import FakeAudit
from tests.mesh import Mesh
from tollgate.audit.v1 import audit_pb2, audit_pb2_grpc
from tollgate_cli.suite.processes.ports import free_port
from tollgate_kit import evidence
from tollgate_kit.clock import SystemClock
from tollgate_kit.config import PeerConfig
from tollgate_kit.ids import Ids
from tollgate_kit.lifecycle import Lifecycle
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    return Mesh(tmp_path_factory.mktemp("pki"))


async def opened(mesh: Mesh, address: str) -> tuple[Lifecycle, io.StringIO]:
    """A producer of authz's; its lifecycle, which ends it, and its log."""
    said = io.StringIO()
    log = Log("authz", out=said)
    life = Lifecycle(log)
    await evidence.open_evidence(
        "authz", PeerConfig((address,), "audit"), mesh.tls("authz"),
        ids=Ids(SystemClock()), metrics=Metrics("authz"), log=log, life=life,
    )  # fmt: skip
    return life, said


async def test_a_start_beside_audit_warns_of_nothing(mesh):
    """The first entry waits for the session, so that a warning means something."""
    audit = FakeAudit()
    register = audit_pb2_grpc.add_AuditServiceServicer_to_server
    allow = {"tollgate.audit.v1.AuditService": ("authz",)}
    async with mesh.server("audit", allow, (register, audit)) as address:
        life, said = await opened(mesh, address)
        async with asyncio.timeout(5):
            while not audit.entries:
                await asyncio.sleep(0.01)
        assert audit_pb2.ENTRY_KIND_PRODUCER_STARTED == audit.entries[0].kind
        await life.stop()
    assert "append_failed" not in said.getvalue()


async def test_a_start_without_audit_goes_on_and_says_so(mesh, monkeypatch):
    """It waits within its bound; what it has to record is kept and tried again."""
    monkeypatch.setattr(evidence, "CONNECT_SECONDS", 0.2)
    life, said = await opened(mesh, f"127.0.0.1:{free_port()}")
    async with asyncio.timeout(5):
        while "append_failed" not in said.getvalue():
            await asyncio.sleep(0.01)
    life.failed = "the test ends it"
    await life.stop()
