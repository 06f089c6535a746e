"""The budget process as it runs: mutual TLS, a session, real engines, signals."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import psycopg
import pytest

from tests.contract.ledger_on_postgres import nothing
from tests.mesh import Mesh
from tollgate.budget.v1 import budget_pb2, budget_pb2_grpc
from tollgate_budget.ledger.postgres_writer import PostgresWriter, connect
from tollgate_budget.ledger.store import AdminRequest, SetLimit
from tollgate_budget.ledger.store_postgres import PostgresLedger
from tollgate_cli.suite.processes.ports import free_port
from tollgate_kit.clock import SystemClock
from tollgate_kit.config import PeerConfig, PostgresConfig
from tollgate_kit.ids import Ids
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.postgres import pool as pg
from tollgate_kit.rpc import client as rpc_client
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.secret import Secret

SERVICE = "tollgate.budget.v1.BudgetService"
clock = SystemClock()
ids = Ids(clock)


class Budget:
    """A configured process; started, killed and started again by the tests."""

    def __init__(self, directory: Path, dsn: str, redis_url: str) -> None:
        self.mesh = Mesh(directory / "pki")
        self.dsn = dsn
        self.port, self.metrics_port = free_port(), free_port()
        self.log = directory / "budget.log"
        unlock = directory / "unlock"
        unlock.write_text("a passphrase")
        unlock.chmod(0o400)
        keyring_file.create(
            directory / "keyring.json", Secret("a passphrase"), {"reservation": "mac"}
        )
        (directory / "dsn").write_text(dsn)
        (directory / "redis").write_text(redis_url)
        tls = self.mesh.tls("budget")
        self.config = directory / "budget.toml"
        self.config.write_text(
            f"""
[rpc]
listen = "127.0.0.1:{self.port}"
[rpc.tls]
ca = "{tls.ca}"
cert = "{tls.cert}"
key = "{tls.key}"
[rpc.allow]
"{SERVICE}" = ["edge-api"]
"tollgate.budget.v1.BudgetReadService" = ["operator"]
"tollgate.budget.v1.BudgetAdminService" = ["operator"]
[metrics]
listen = "127.0.0.1:{self.metrics_port}"
[postgres]
dsn_file = "dsn"
[redis]
url_file = "redis"
[keyring]
path = "keyring.json"
unlock_file = "unlock"
[audit]
addresses = ["127.0.0.1:1"]
identity = "audit"
[ledger]
sweep_ms = 50
check_ms = 100
"""
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        argv = [sys.executable, "-m", "tollgate_budget", "--config", str(self.config), *arguments]
        return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)

    @contextlib.contextmanager
    def serving(self):
        argv = [sys.executable, "-m", "tollgate_budget", "--config", str(self.config)]
        with self.log.open("a") as log:
            before = self.log.stat().st_size
            child = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            while "budget.serving" not in self.log.read_text()[before:]:
                assert child.poll() is None, self.log.read_text()
            yield child
        finally:
            child.kill()
            child.wait()

    def peer(self) -> PeerConfig:
        return PeerConfig((f"127.0.0.1:{self.port}",), "budget")

    def session(self):
        return self.mesh.pool("edge-api", self.peer(), SERVICE, budget_pb2)

    def metric(self, name: str) -> float:
        with urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return next(
            float(line.split()[1])
            for line in lines
            if line.startswith(name + '{service="budget"} ')
        )


@pytest.fixture
async def budget(tmp_path, postgres_dsn, redis_url):
    budget = Budget(tmp_path, postgres_dsn(), redis_url)
    assert 0 == budget.run("migrate").returncode
    config = PostgresConfig(Secret(budget.dsn), 1, 2)
    pool = await pg.open_pool(config, name="test")
    writer = PostgresWriter(partial(connect, config.dsn))
    ledger = PostgresLedger(writer, pool)
    for account in ("key:a", "tenant:c"):
        request = AdminRequest(ids.uuid7(), SetLimit(account, 10**9))
        await ledger.administer(request, nothing, now_ms=clock.unix_ms())
    budget.ledger = ledger
    yield budget
    assert 0 == await ledger.violations()
    await writer.close()
    await pool.close()


def reserve(amount, timeout_ms=60_000):
    request = budget_pb2.ReserveRequest(
        reservation_id=ids.uuid7(),
        account_ids=["key:a", "tenant:c"],
        amount_nano_usd=amount,
        tenant_id="c",
        trace_id=ids.uuid7(),
        model="m",
        rate_costs=[
            budget_pb2.RateCost(
                bucket="key:a", cost=1, burst=500, count=500, period_ms=24 * 3600 * 1000
            )
        ],
    )
    request.timeout.FromMilliseconds(timeout_ms)
    return request


async def send(session, request):
    return await session.unary("Reserve", request, budget_pb2.ReserveResponse, timeout_s=5)


async def settle(session, *pairs):
    request = budget_pb2.SettleRequest()
    for name, amount in pairs:
        request.settlements.add(reservation_id=name, amount_nano_usd=amount)
    return await session.unary("Settle", request, budget_pb2.SettleResponse, timeout_s=5)


async def account(budget):
    channel = rpc_client.open_channel(budget.peer(), budget.mesh.tls("operator"))
    stub = budget_pb2_grpc.BudgetReadServiceStub(channel)
    request = budget_pb2.GetAccountRequest(account_id="tenant:c")
    answer = await rpc_client.call(stub.GetAccount, request, 5)
    await channel.close()
    return answer.account


async def test_a_session_of_calls_and_an_orderly_stop(budget):
    """200 calls at once over one session: money, rates, settle; the check runs and finds nothing."""
    with budget.serving() as child:
        async with budget.session() as session:
            requests = [reserve(10**7) for _ in range(200)]
            answers = await asyncio.gather(*(send(session, r) for r in requests))
            granted = [a.reservation for a in answers if a.HasField("reservation")]
            assert 100 == len(granted)
            assert all(g.token for g in granted)
            names = [(g.reservation_id, 10**6) for g in granted]
            results = (await settle(session, *names)).results
            assert {budget_pb2.SETTLEMENT_STATE_POSTED} == {r.state for r in results}
            # Those that got no money did not use up the rate either: 100 + 400 more fit into 500.
            answers = await asyncio.gather(*(send(session, reserve(1)) for _ in range(450)))
            assert 400 == sum(a.HasField("reservation") for a in answers)
            limited = next(a.denial for a in answers if a.HasField("denial"))
            assert budget_pb2.DENIAL_REASON_RATE_LIMITED == limited.reason
            assert 10**8 == (await account(budget)).posted_nano_usd
            await asyncio.sleep(0.3)
            assert 0 == budget.metric("tollgate_invariant_violations_total")
            assert budget.metric("tollgate_check_seconds_count") > 0
        child.send_signal(signal.SIGTERM)
        assert 0 == await asyncio.to_thread(child.wait, 15)


async def test_kill_nine_keeps_what_was_granted_and_the_timeout_quarantines_it(budget):
    """After the restart the reservation is counted; unsettled it becomes quarantined."""
    with budget.serving() as child:
        async with budget.session() as session:
            kept, lost = reserve(10**6), reserve(10**7, timeout_ms=1500)
            for request in (kept, lost):
                await send(session, request)
            os.kill(child.pid, signal.SIGKILL)
    with budget.serving():
        async with budget.session() as session:
            assert (await send(session, kept)).replayed
            while not (now := await account(budget)).quarantined_nano_usd:
                await asyncio.sleep(0.05)
            assert (11 * 10**6, 10**7) == (now.pending_nano_usd, now.quarantined_nano_usd)
            (result,) = (await settle(session, (lost.reservation_id, 5))).results
            assert budget_pb2.SETTLEMENT_STATE_POSTED_LATE == result.state


async def test_changes_without_audit_are_refused(budget):
    """No evidence, no effect; calls go on without it."""
    with budget.serving():
        channel = rpc_client.open_channel(budget.peer(), budget.mesh.tls("operator"))
        stub = budget_pb2_grpc.BudgetAdminServiceStub(channel)
        request = budget_pb2.SetLimitRequest(
            request_id="r", account_id="tenant:c", monthly_limit_nano_usd=5
        )
        with pytest.raises(Failure, match="AUDIT_NOT_DURABLE"):
            await rpc_client.call(stub.SetLimit, request, 10)
        await channel.close()
        assert 10**9 == (await account(budget)).limit_nano_usd


async def test_an_unsafe_database_is_refused_at_the_start(budget):
    """Every fault is named, nothing listens."""
    with psycopg.connect(budget.dsn, autocommit=True) as connection:
        connection.execute("ALTER ROLE CURRENT_USER SET synchronous_commit = off")
    done = await asyncio.to_thread(budget.run)
    with psycopg.connect(budget.dsn, autocommit=True) as connection:
        connection.execute("ALTER ROLE CURRENT_USER RESET ALL")
    assert 1 == done.returncode
    assert "synchronous_commit is 'off'" in done.stderr
    assert (urlsplit(budget.dsn).password or "") not in done.stderr + done.stdout
