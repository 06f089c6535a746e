"""Sessions between real gRPC peers with mutual TLS: the kit's promise to every hot service."""

import asyncio
import contextlib

import grpc
import pytest

from tests.mesh import Mesh, quiet_log
from tollgate.router.v1 import router_pb2, router_pb2_grpc
from tollgate_cli.suite.processes.ports import free_port
from tollgate_kit.config import PeerConfig, TlsConfig
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc import client as rpc_client
from tollgate_kit.rpc import session_client
from tollgate_kit.rpc.failure import Failure, not_found
from tollgate_kit.rpc.server import StartRefused, caller
from tollgate_kit.rpc.session_server import CALLS_MAX, SessionServer

SERVICE = "tollgate.router.v1.RouterService"
ALLOW = {SERVICE: ("edge-api",)}


class Scripted(router_pb2_grpc.RouterServiceServicer):
    """Does what a call's model says: a number streams that many messages, words misbehave."""

    def __init__(self, name: str = "") -> None:
        self.metrics = Metrics("test")
        self.sessions = SessionServer(
            self,
            router_pb2.DESCRIPTOR.services_by_name["RouterService"],
            router_pb2.SessionResponse,
            metrics=self.metrics,
            log=quiet_log(),
        )
        self.name = name
        self.produced = 0
        self.ended = 0
        self.started = 0
        self.gate = asyncio.Event()

    async def Execute(self, request, context):
        self.started += 1
        try:
            if request.model == "wait":
                await self.gate.wait()
                yield router_pb2.ExecuteResponse(data=b"released")
                return
            if request.model == "fail":
                yield router_pb2.ExecuteResponse(data=b"first")
                raise not_found("model", "fail")
            if request.model == "bug":
                raise RuntimeError("canary text of a bug")
            for _ in range(int(request.model)):
                self.produced += 1
                yield router_pb2.ExecuteResponse(data=b"x" * 1000)
        finally:
            self.ended += 1

    async def ListModels(self, request, context):
        model = router_pb2.Model(model=f"{self.name}:{caller()}")
        return router_pb2.ListModelsResponse(revision=7, models=[model])

    def Session(self, requests, context):
        return self.sessions.serve(requests, context)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    return Mesh(tmp_path_factory.mktemp("pki"))


def serve(mesh, servicer, port=0):
    return mesh.server(
        "router",
        ALLOW,
        (router_pb2_grpc.add_RouterServiceServicer_to_server, servicer),
        port=port,
    )


def connect(mesh, *addresses, tls: TlsConfig | None = None):
    return mesh.pool("edge-api", PeerConfig(addresses, "router"), SERVICE, router_pb2, tls)


def execute(pool, model, timeout_s=5.0):
    return pool.stream(
        "Execute",
        router_pb2.ExecuteRequest(model=model),
        router_pb2.ExecuteResponse,
        timeout_s=timeout_s,
    )


def counted(metrics, side):
    """What was counted so far, as {(method, code): calls}."""
    family = f"tollgate_rpc_{side}_handled"
    return {
        (sample.labels["method"].removeprefix(SERVICE + "/"), sample.labels["code"]): sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if metric.name == family
    }


async def collect(pool, model, timeout_s=5.0):
    async with execute(pool, model, timeout_s) as messages:
        return [m.data async for m in messages]


async def list_models(pool, timeout_s=2.0):
    return await pool.unary(
        "ListModels",
        router_pb2.ListModelsRequest(),
        router_pb2.ListModelsResponse,
        timeout_s=timeout_s,
    )


async def until(condition, seconds=3.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_many_calls_share_one_stream_and_none_is_mixed_up(mesh):
    """300 calls at once on one session each get exactly their own messages."""
    async with serve(mesh, Scripted()) as address, connect(mesh, address) as pool:
        got = await asyncio.gather(*(collect(pool, str(n % 50)) for n in range(300)))
        assert [n % 50 for n in range(300)] == [len(messages) for messages in got]


async def test_session_and_unary_share_the_servicer_and_see_the_caller(mesh):
    """The same method answers in a session and as a plain RPC, and knows the certificate's name."""
    async with serve(mesh, Scripted("a")) as address, connect(mesh, address) as pool:
        in_session = await list_models(pool)
        channel = rpc_client.open_channel(PeerConfig((address,), "router"), mesh.tls("edge-api"))
        stub = router_pb2_grpc.RouterServiceStub(channel)
        plain = await rpc_client.call(stub.ListModels, router_pb2.ListModelsRequest(), 2)
        await channel.close()
        assert ("a:edge-api", plain) == (in_session.models[0].model, in_session)


async def test_a_slow_reader_stops_its_own_call_only(mesh):
    """A call whose reader stalls produces no more than its credit; its neighbours run on."""
    servicer = Scripted()
    async with serve(mesh, servicer) as address, connect(mesh, address) as pool:
        async with execute(pool, "5000") as stalled:
            await anext(stalled)
            await until(lambda: servicer.produced >= session_client.STREAM_CREDIT)
            await asyncio.sleep(0.05)
            assert servicer.produced <= session_client.STREAM_CREDIT + 1
            assert 100 == len(await collect(pool, "100"))
            rest = [m async for m in stalled]
        assert 4999 == len(rest)


async def test_leaving_early_cancels_at_the_server(mesh):
    """A caller that goes away ends the call at the server, which runs its clean-up."""
    servicer = Scripted()
    async with serve(mesh, servicer) as address, connect(mesh, address) as pool:
        async with execute(pool, "100000") as messages:
            await anext(messages)
        await until(lambda: servicer.ended == 1)
        assert servicer.produced < 1000


async def test_a_deadline_ends_both_sides(mesh):
    """A call past its deadline fails as DEADLINE_EXCEEDED and stops at the server."""
    servicer = Scripted()
    async with serve(mesh, servicer) as address, connect(mesh, address) as pool:
        with pytest.raises(Failure) as caught:
            await collect(pool, "wait", timeout_s=0.1)
        assert "DEADLINE_EXCEEDED" == caught.value.reason
        await until(lambda: servicer.ended == 1)


async def test_failures_cross_with_reason_and_bugs_without_text(mesh):
    """A Failure arrives with its reason and metadata; a bug arrives as INTERNAL and nothing else."""
    async with serve(mesh, Scripted()) as address, connect(mesh, address) as pool:
        got = []
        with pytest.raises(Failure) as caught:
            async with execute(pool, "fail") as messages:
                async for m in messages:
                    got.append(m.data)  # noqa: PERF401 - what arrived before the failure counts
        assert ([b"first"], "NOT_FOUND", "model") == (
            got,
            caught.value.reason,
            caught.value.metadata["kind"],
        )
        with pytest.raises(Failure) as caught:
            await collect(pool, "bug")
        assert ("INTERNAL", {}) == (caught.value.reason, caught.value.metadata)


async def test_calls_in_flight_are_bounded(mesh):
    """The call past the bound is refused as OVERLOADED at once; the others finish."""
    servicer = Scripted()
    async with serve(mesh, servicer) as address, connect(mesh, address) as pool:
        waiting = [
            asyncio.create_task(collect(pool, "wait", timeout_s=20)) for _ in range(CALLS_MAX)
        ]
        await until(lambda: servicer.started == CALLS_MAX, 10)
        with pytest.raises(Failure) as caught:
            await list_models(pool)
        assert "OVERLOADED" == caught.value.reason
        servicer.gate.set()
        assert [[b"released"]] * CALLS_MAX == await asyncio.gather(*waiting)


async def test_a_broken_session_fails_its_calls_and_comes_back(mesh):
    """When the peer dies, calls in flight fail as SESSION_BROKEN; when it returns, calls work."""
    port = free_port()
    async with contextlib.AsyncExitStack() as stack:
        servicer = Scripted()
        async with serve(mesh, servicer, port) as address:
            pool = await stack.enter_async_context(connect(mesh, address))
            call = asyncio.create_task(collect(pool, "wait"))
            await until(lambda: servicer.started == 1)
        with pytest.raises(Failure) as caught:
            await call
        assert ("SESSION_BROKEN", True) == (caught.value.reason, caught.value.retryable)
        with pytest.raises(Failure):
            await list_models(pool)
        async with serve(mesh, Scripted(), port):
            await until(lambda: pool.connected, 8)
            assert 7 == (await list_models(pool)).revision


async def test_calls_spread_over_replicas_and_leave_a_draining_one(mesh):
    """The least loaded replica is chosen; one that drains finishes its calls and gets no new ones."""
    first, second = Scripted("1"), Scripted("2")
    async with (
        serve(mesh, first) as one,
        serve(mesh, second) as two,
        connect(mesh, one, two) as pool,
    ):
        await until(lambda: len(pool._links) == 2)
        calls = [asyncio.create_task(collect(pool, "wait")) for _ in range(10)]
        await until(lambda: first.started + second.started == 10)
        assert (5, 5) == (first.started, second.started)
        drained = asyncio.create_task(first.sessions.drain(5))
        await until(lambda: len([k for k in pool._links.values() if not k.draining]) == 1)
        assert ["2:edge-api"] * 5 == [(await list_models(pool)).models[0].model for _ in range(5)]
        first.gate.set()
        second.gate.set()
        assert [[b"released"]] * 10 == await asyncio.gather(*calls)
        await drained


async def test_a_replica_that_is_gone_is_not_used(mesh):
    """With one of two replicas dead, calls go to the other one."""
    second = Scripted("2")
    async with (
        serve(mesh, second) as alive,
        connect(mesh, f"127.0.0.1:{free_port()}", alive) as pool,
    ):
        assert "2:edge-api" == (await list_models(pool)).models[0].model


@pytest.mark.parametrize("identity", ["edge-portal", "operator", "router", "budget"])
async def test_other_identities_are_refused(mesh, identity):
    """Default deny: a certificate of the suite that is not on the list gets PERMISSION_DENIED."""
    async with serve(mesh, Scripted()) as address:
        channel = rpc_client.open_channel(PeerConfig((address,), "router"), mesh.tls(identity))
        stub = router_pb2_grpc.RouterServiceStub(channel)
        with pytest.raises(Failure) as caught:
            await rpc_client.call(stub.ListModels, router_pb2.ListModelsRequest(), 2)
        await channel.close()
        assert "CALLER_NOT_ALLOWED" == caught.value.reason


async def test_no_wrong_or_expired_certificate_gets_a_connection(mesh, tmp_path):
    """No certificate, one of another CA, and an expired one: the handshake itself is refused."""
    other = Mesh(tmp_path / "other")
    strangers = [
        grpc.ssl_channel_credentials((mesh.directory / "ca.pem").read_bytes()),
        *(
            grpc.ssl_channel_credentials(
                (mesh.directory / "ca.pem").read_bytes(), t.key.read_bytes(), t.cert.read_bytes()
            )
            for t in (other.tls("edge-api"), mesh.expired("edge-api"))
        ),
    ]
    name = (("grpc.ssl_target_name_override", "router.tollgate.internal"),)
    async with serve(mesh, Scripted()) as address:
        for credentials in strangers:
            async with grpc.aio.secure_channel(address, credentials, options=name) as channel:
                stub = router_pb2_grpc.RouterServiceStub(channel)
                with pytest.raises(Failure) as caught:
                    await rpc_client.call(stub.ListModels, router_pb2.ListModelsRequest(), 1)
                assert caught.value.code in (
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                )


async def test_a_server_with_another_name_is_not_believed(mesh):
    """The client checks the peer's identity: budget's certificate does not pass for router."""
    wrong = mesh.server(
        "budget", ALLOW, (router_pb2_grpc.add_RouterServiceServicer_to_server, Scripted())
    )
    async with wrong as address, connect(mesh, address) as pool:
        assert not pool.connected


async def test_an_allow_list_for_an_unknown_service_fails_the_start(mesh):
    """A typo in the allow-list is found at the start, not by an attacker."""
    with pytest.raises(StartRefused, match=r"tollgate\.nope"):
        async with mesh.server("router", {"tollgate.nope.v1.Nope": ("edge-api",)}):
            pass


async def test_a_session_call_is_counted_once_on_each_side_with_how_it_ended(mesh):
    """Good ends, failures, bugs, deadlines, cancellations and refusals: each under its status."""
    servicer = Scripted()
    before = counted(mesh.metrics, "client")
    async with serve(mesh, servicer) as address, connect(mesh, address) as pool:
        await list_models(pool)
        await collect(pool, "3")
        for model, timeout_s in (("fail", 5), ("bug", 5), ("wait", 0.1)):
            with pytest.raises(Failure):
                await collect(pool, model, timeout_s)
        async with execute(pool, "wait"):
            await until(lambda: servicer.started == 5)
        for name in ("NoSuch", "NorThis"):
            with pytest.raises(Failure):
                await pool.unary(
                    name, router_pb2.ListModelsRequest(), router_pb2.ListModelsResponse, timeout_s=2
                )
        await until(lambda: ("Execute", "CANCELLED") in counted(servicer.metrics, "server"))
    known = {
        ("ListModels", "OK"): 1,
        ("Execute", "OK"): 1,
        ("Execute", "NOT_FOUND"): 1,
        ("Execute", "INTERNAL"): 1,
        ("Execute", "DEADLINE_EXCEEDED"): 1,
        ("Execute", "CANCELLED"): 1,
    }
    assert known | {("unknown", "UNIMPLEMENTED"): 2} == counted(servicer.metrics, "server")
    after = counted(mesh.metrics, "client")
    asked = known | {("NoSuch", "UNIMPLEMENTED"): 1, ("NorThis", "UNIMPLEMENTED"): 1}
    assert asked == {
        ended: calls - before.get(ended, 0)
        for ended, calls in after.items()
        if calls > before.get(ended, 0)
    }


async def test_a_call_that_no_replica_takes_is_counted_by_its_caller(mesh):
    """Nobody listens: UNAVAILABLE, for unary calls and streams."""
    unavailable = {("ListModels", "UNAVAILABLE"): 1, ("Execute", "UNAVAILABLE"): 1}
    before = counted(mesh.metrics, "client")
    async with connect(mesh, f"127.0.0.1:{free_port()}") as pool:
        with pytest.raises(Failure):
            await list_models(pool)
        with pytest.raises(Failure):
            await collect(pool, "1")
    after = counted(mesh.metrics, "client")
    assert unavailable == {ended: after[ended] - before.get(ended, 0) for ended in unavailable}


async def test_a_unary_call_is_counted_once_on_each_side_and_no_peer_makes_up_a_label(mesh):
    """OK, a caller that is not allowed, and RPCs that nobody serves, by whatever name."""
    before = counted(mesh.metrics, "server"), counted(mesh.metrics, "client")
    async with serve(mesh, Scripted()) as address:
        peer = PeerConfig((address,), "router")
        for identity, code in (("edge-api", "OK"), ("audit", "PERMISSION_DENIED")):
            channel = rpc_client.open_channel(peer, mesh.tls(identity))
            counted_channel = rpc_client.CountedChannel(peer, mesh.tls(identity), mesh.metrics)
            stub = router_pb2_grpc.RouterServiceStub(counted_channel)
            with contextlib.suppress(Failure):
                await rpc_client.call(stub.ListModels, router_pb2.ListModelsRequest(), 2)
            for name in ("/canary/One", f"/{SERVICE}/Two"):
                with pytest.raises(grpc.aio.AioRpcError):
                    await channel.unary_unary(name)(b"", timeout=2)
            await channel.close()
            await counted_channel.close()
            for side, was in zip(("server", "client"), before, strict=True):
                now = counted(mesh.metrics, side)
                assert 1 == now["ListModels", code] - was.get(("ListModels", code), 0)
    now = counted(mesh.metrics, "server")
    assert 4 == now["unknown", "UNIMPLEMENTED"] - before[0].get(("unknown", "UNIMPLEMENTED"), 0)
    assert not [method for method, _ in now if "canary" in method or "Two" in method]


async def test_a_call_that_is_cancelled_before_its_first_step_leaves_nothing_behind(mesh):
    """Opened and given up in one batch of frames: it is over, is counted, and no drain waits."""
    servicer = Scripted()
    async with serve(mesh, servicer) as address, connect(mesh, address) as pool:
        async with execute(pool, "wait"):
            pass
        await until(lambda: ("Execute", "CANCELLED") in counted(servicer.metrics, "server"))
        async with asyncio.timeout(1):
            await servicer.sessions.drain(5)
