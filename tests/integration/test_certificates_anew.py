"""Certificates that are replaced while processes run: seen by who connects anew, on both sides."""

import asyncio

import pytest

from tests.integration.test_sessions import ALLOW, SERVICE, Scripted, serve
from tests.mesh import Mesh
from tollgate.router.v1 import router_pb2, router_pb2_grpc
from tollgate_cli import certificates
from tollgate_kit.clock import SystemClock
from tollgate_kit.config import PeerConfig
from tollgate_kit.rpc import client as rpc_client
from tollgate_kit.rpc.client import CountedChannel
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.rpc.identity import Identity


class Watching(Scripted):
    """Notes which certificate its caller shows."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []

    async def ListModels(self, request, context):
        (pem,) = context.auth_context()["x509_pem_cert"]
        self.shown.append(pem.decode())
        return router_pb2.ListModelsResponse()

    async def Execute(self, request, context):
        yield router_pb2.ExecuteResponse()
        await asyncio.Event().wait()


async def ask(channel: CountedChannel) -> None:
    stub = router_pb2_grpc.RouterServiceStub(channel)
    await rpc_client.call(stub.ListModels, router_pb2.ListModelsRequest(), 5)


async def test_calls_go_on_over_a_new_channel_that_shows_the_new_certificate(tmp_path, monkeypatch):
    """An edge's plain calls: the first after a renewal shows the new one, none fails."""
    monkeypatch.setattr(rpc_client, "LOOK_SECONDS", 0.0)
    mesh, servicer = Mesh(tmp_path), Watching()
    assert SERVICE in ALLOW
    own = certificates.files(tmp_path, "edge-api").cert
    async with serve(mesh, servicer) as address:
        peer = PeerConfig((address,), "router")
        channel = CountedChannel(peer, mesh.tls("edge-api"), mesh.metrics)
        before = own.read_text()
        await ask(channel)
        certificates.renew(tmp_path, ["edge-api", "router"], SystemClock())
        await ask(channel)
        await channel.close()
    assert [before, own.read_text()] == servicer.shown
    assert before != own.read_text()


async def test_a_stream_that_lasts_longer_than_its_channel_is_told_as_broken(tmp_path, monkeypatch):
    """Edge's watch of revocations: it begins anew, and is not taken for cancelled by its owner."""
    monkeypatch.setattr(rpc_client, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(rpc_client, "RETIRE_SECONDS", 0.1)
    mesh, servicer = Mesh(tmp_path), Watching()
    async with serve(mesh, servicer) as address:
        peer = PeerConfig((address,), "router")
        channel = CountedChannel(peer, mesh.tls("edge-api"), mesh.metrics)
        stub = router_pb2_grpc.RouterServiceStub(channel)
        answers = rpc_client.stream(stub.Execute, router_pb2.ExecuteRequest(), None)
        await anext(answers)
        certificates.renew(tmp_path, ["edge-api", "router"], SystemClock())
        await ask(channel)
        async with asyncio.timeout(5):
            with pytest.raises(Failure) as told:
                await anext(answers)
        assert ("SESSION_BROKEN", True) == (told.value.reason, told.value.retryable)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                again = rpc_client.stream(stub.Execute, router_pb2.ExecuteRequest(), None)
                while True:
                    await anext(again)
        await channel.close()


def test_a_certificate_without_its_own_key_is_never_shown(tmp_path):
    """Between the writing of the two files, and with files that are no PEM, the old pair stands."""
    mesh = Mesh(tmp_path)
    tls = mesh.tls("router")
    own = Identity(tls)
    key, cert = tls.key.read_bytes(), tls.cert.read_bytes()
    certificates.renew(tmp_path, ["router"], SystemClock())
    renewed = tls.cert.read_bytes()
    for spoilt in (cert, b"", b"no certificate"):
        tls.cert.write_bytes(spoilt)
        assert not own.is_new()
    tls.cert.unlink()
    assert not own.is_new()
    tls.cert.write_bytes(renewed)
    assert own.is_new()
    assert not own.is_new()
    assert key != tls.key.read_bytes()
