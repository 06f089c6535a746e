"""authz as it runs: gRPC with mutual TLS over a real Postgres, two replicas, faults."""

import asyncio
import contextlib
import io
import itertools
import os
import signal
import statistics
import sys
import time

import psutil
import psycopg
import pytest

from tests import engines
from tests.mesh import Mesh
from tollgate.authz.v1 import authz_pb2, authz_pb2_grpc
from tollgate_authz.admin_servicer import AuthzAdminServicer
from tollgate_authz.keys.key import Peppers
from tollgate_authz.keys.revocations import RevocationFeed
from tollgate_authz.servicer import AuthzServicer
from tollgate_authz.tenants.store_postgres import PostgresStore
from tollgate_cli.suite.processes.ports import free_port
from tollgate_kit.clock import SystemClock
from tollgate_kit.config import PeerConfig, PostgresConfig
from tollgate_kit.ids import Ids
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.postgres import pool as pg
from tollgate_kit.rpc import client as rpc_client
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.secret import Secret

ALLOW = {
    "tollgate.authz.v1.AuthzService": ("edge-api",),
    "tollgate.authz.v1.AuthzAdminService": ("operator",),
}
IDS = Ids(SystemClock())


class Accepting:
    """An audit log that takes every entry."""

    async def append(self, kind, *, tenant_id, trace_id, subject, payload):
        return 1


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    return Mesh(tmp_path_factory.mktemp("pki"))


@contextlib.asynccontextmanager
async def replica(mesh, dsn):
    """One authz over the database; its address."""
    config = PostgresConfig(Secret(dsn), 1, 4)
    await pg.migrate(config, package="tollgate_authz")
    pool = await pg.open_pool(config, name="test")
    clock, metrics, log = SystemClock(), Metrics("test"), Log("test", out=io.StringIO())
    store, peppers = PostgresStore(pool), Peppers({1: Secret(b"p" * 32)})
    feed = RevocationFeed(store, clock=clock, metrics=metrics, log=log)
    check = AuthzServicer(store=store, peppers=peppers, feed=feed, clock=clock, metrics=metrics)
    admin = AuthzAdminServicer(
        store=store,
        peppers=peppers,
        evidence=Accepting(),
        feed=feed,
        ids=IDS,
        clock=clock,
        log=log,
    )
    reader = asyncio.ensure_future(feed.run())
    try:
        async with mesh.server(
            "authz",
            ALLOW,
            (authz_pb2_grpc.add_AuthzServiceServicer_to_server, check),
            (authz_pb2_grpc.add_AuthzAdminServiceServicer_to_server, admin),
        ) as address:
            yield address
            await feed.close()
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        await pool.close()


class Client:
    """The edge and the operator, each with its own certificate, of one replica."""

    def __init__(self, mesh, address) -> None:
        peer = PeerConfig((address,), "authz")
        self._edge = rpc_client.open_channel(peer, mesh.tls("edge-api"))
        self._operator = rpc_client.open_channel(peer, mesh.tls("operator"))
        self.authz = authz_pb2_grpc.AuthzServiceStub(self._edge)
        self._admin = authz_pb2_grpc.AuthzAdminServiceStub(self._operator)

    async def close(self) -> None:
        await self._edge.close()
        await self._operator.close()

    async def change(self, rpc, **fields):
        request = getattr(authz_pb2, f"{rpc}Request")(request_id=IDS.uuid7(), **fields)
        return await rpc_client.call(getattr(self._admin, rpc), request, 10)

    async def issue(self):
        made = await self.change("CreateTenant", name=f"t {IDS.base62(8)}")
        return await self.change(
            "IssueKey", tenant_id=made.tenant.tenant_id, name="k", environment="test"
        )

    async def check(self, text, timeout_s=5.0):
        request = authz_pb2.CheckRequest(presented_key=text, model="m", client_ip="192.0.2.1")
        return (await rpc_client.call(self.authz.Check, request, timeout_s)).decision


class Watch:
    """A watcher that notes what came and when."""

    def __init__(self, client, after=0) -> None:
        self._client = client
        self._after = after
        self.messages: list[tuple[float, authz_pb2.WatchRevocationsResponse]] = []

    async def __aenter__(self):
        self._task = asyncio.ensure_future(self._collect())
        await self.until(lambda message: True)
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _collect(self):
        request = authz_pb2.WatchRevocationsRequest(after_revision=self._after)
        call = self._client.authz.WatchRevocations
        async for message in rpc_client.stream(call, request, None):
            self.messages.append((time.monotonic(), message))

    async def until(self, wanted, seconds=5.0):
        """When the first message that is wanted came."""
        async with asyncio.timeout(seconds):
            while True:
                for at, message in self.messages:
                    if wanted(message):
                        return at
                assert not self._task.done(), self._task.exception()
                await asyncio.sleep(0.01)

    @property
    def newest(self) -> int:
        return self.messages[-1][1].through_revision


@contextlib.asynccontextmanager
async def client(mesh, address):
    made = Client(mesh, address)
    try:
        yield made
    finally:
        await made.close()


async def test_a_revocation_reaches_the_watchers_of_every_replica(mesh, postgres_dsn):
    """Revoked at one replica: denied at both at once, told by both within a second."""
    dsn = postgres_dsn()
    async with (
        replica(mesh, dsn) as one,
        replica(mesh, dsn) as two,
        client(mesh, one) as first,
        client(mesh, two) as second,
    ):
        issued = await first.issue()
        key_id = issued.key.key_id
        assert key_id == (await second.check(issued.secret)).grant.key_id
        async with Watch(first) as near, Watch(second) as far:
            revoked = await first.change("RevokeKey", key_id=key_id, reason="lost")
            answered = time.monotonic()
            for asked in (first, second):
                denial = (await asked.check(issued.secret)).denial
                assert authz_pb2.DENIAL_REASON_REVOKED == denial.reason
            for watch in (near, far):
                told = await watch.until(lambda message: key_id in message.key_ids)
                assert 1.0 > told - answered
                assert revoked.revision <= watch.newest
        async with Watch(second, after=revoked.revision - 1) as late:
            assert [key_id] == list(late.messages[0][1].key_ids)
        async with Watch(second, after=10**9) as stranger:
            assert stranger.messages[0][1].drop_all is True


async def test_heartbeats(mesh, postgres_dsn):
    """In quiet times a message comes every half second, and never as late as an edge gives up."""
    async with (
        replica(mesh, postgres_dsn()) as address,
        client(mesh, address) as edge,
        Watch(edge) as watch,
    ):
        await asyncio.sleep(2.5)
        times = [at for at, _ in watch.messages]
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert 0.7 > statistics.median(gaps)
        assert 1.5 > max(gaps)


def postgres_processes(server):
    """The postmaster and all its children."""
    postmaster = psutil.Process(server.process.pid)
    return [postmaster, *postmaster.children(recursive=True)]


async def test_a_stuck_postgres_means_silence_and_no_denial(mesh):
    """Postgres stopped with SIGSTOP: no heartbeat, Check fails, none is denied.

    When it goes on, so do heartbeats and Checks, without a restart.
    """
    with engines.postgres_server() as server:
        async with (
            replica(mesh, engines.fresh_database(server)) as address,
            client(mesh, address) as edge,
            Watch(edge) as watch,
        ):
            issued = await edge.issue()
            processes = postgres_processes(server)
            for process in processes:
                process.suspend()
            try:
                stopped = time.monotonic()
                with pytest.raises(Failure) as caught:
                    await edge.check(issued.secret, timeout_s=1.0)
                assert caught.value.reason in {"STORE_UNAVAILABLE", "DEADLINE_EXCEEDED"}
                await asyncio.sleep(2)
                assert 0.5 > max(at for at, _ in watch.messages) - stopped
            finally:
                for process in reversed(processes):
                    process.resume()
            resumed = time.monotonic()
            count = len(watch.messages)
            while len(watch.messages) == count:
                await asyncio.sleep(0.02)
                assert 5 > time.monotonic() - resumed
            assert issued.key.key_id == (await edge.check(issued.secret)).grant.key_id


async def test_a_restarted_postgres_is_found_again(mesh):
    """With Postgres gone a valid key is STORE_UNAVAILABLE, then granted again."""
    with engines.postgres_server() as server:
        async with (
            replica(mesh, engines.fresh_database(server)) as address,
            client(mesh, address) as edge,
            Watch(edge) as watch,
        ):
            issued = await edge.issue()
            server.process.stop(timeout_s=10)
            with pytest.raises(Failure) as caught:
                await edge.check(issued.secret)
            assert "STORE_UNAVAILABLE" == caught.value.reason
            count = len(watch.messages)
            await asyncio.sleep(0.6)
            assert count == len(watch.messages)
            server.restart()
            async with asyncio.timeout(15):
                while len(watch.messages) == count:
                    await asyncio.sleep(0.05)
            assert issued.key.key_id == (await edge.check(issued.secret)).grant.key_id


def write_config(directory, mesh, dsn) -> tuple[str, int]:
    """The file of an authz process whose audit is not there."""
    port, unlock = free_port(), directory / "unlock"
    unlock.write_text("x" * 32)
    unlock.chmod(0o400)
    (directory / "dsn").write_text(dsn)
    keyring_file.create(directory / "keyring", Secret("x" * 32), {"pepper": "mac"})
    tls = mesh.tls("authz")
    path = directory / "authz.toml"
    path.write_text(
        f"""
[rpc]
listen = "127.0.0.1:{port}"
[rpc.tls]
ca = "{tls.ca}"
cert = "{tls.cert}"
key = "{tls.key}"
[rpc.allow]
"tollgate.authz.v1.AuthzService" = ["edge-api"]
"tollgate.authz.v1.AuthzAdminService" = ["operator"]
[metrics]
listen = "127.0.0.1:{free_port()}"
[postgres]
dsn_file = "dsn"
pool_min = 1
pool_max = 4
[keyring]
path = "keyring"
unlock_file = "unlock"
[audit]
addresses = ["127.0.0.1:{free_port()}"]
identity = "audit"
timeout_ms = 500
"""
    )
    return str(path), port


async def start(config, *command):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tollgate_authz",
        "--config",
        config,
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )


async def test_the_process(mesh, postgres_dsn, tmp_path):
    """It refuses an unmigrated database, serves, fails closed without audit, and ends on SIGTERM."""
    dsn = postgres_dsn()
    config, port = write_config(tmp_path, mesh, dsn)
    early = await start(config)
    said, _ = await early.communicate()
    assert (1, True) == (early.returncode, b"run: migrate" in said)
    migrating = await start(config, "migrate")
    await migrating.communicate()
    assert 0 == migrating.returncode

    serving = await start(config)
    try:
        while b"authz.serving" not in (line := await serving.stdout.readline()):
            assert line, "the process ended"
        async with client(mesh, f"127.0.0.1:{port}") as both, Watch(both):
            denial = (await both.check("sk-xa-nonsense")).denial
            assert authz_pb2.DENIAL_REASON_UNKNOWN_KEY == denial.reason
            with pytest.raises(Failure) as caught:
                await both.change("CreateTenant", name="n")
            assert caught.value.reason in {"AUDIT_NOT_DURABLE", "DEADLINE_EXCEEDED"}
            async with await psycopg.AsyncConnection.connect(dsn) as connection:
                rows = await connection.execute("SELECT count(*) FROM tenant")
                assert (0,) == await rows.fetchone()
            asked = time.monotonic()
            serving.send_signal(signal.SIGTERM)
            said, _ = await serving.communicate()
        assert (0, b"") == (serving.returncode, said if b"Traceback" in said else b"")
        # The entry that audit never took is given five seconds; the open watcher none.
        assert 15 > time.monotonic() - asked
    finally:
        if serving.returncode is None:
            serving.kill()
            await serving.wait()
