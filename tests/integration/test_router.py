"""router as it runs: its own process, mutual TLS, sessions, Postgres, and the demo provider."""

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import json
import signal
import sys
import urllib.request

import psycopg
import pytest

from tests import demo
from tests.mesh import Mesh, quiet_log
from tollgate.audit.v1 import audit_pb2, audit_pb2_grpc
from tollgate.budget.v1 import budget_pb2
from tollgate.router.v1 import router_pb2, router_pb2_grpc
from tollgate_cli.commands.provider import PROTOCOLS
from tollgate_cli.demo_provider.failures import CANARY, FAILURES
from tollgate_cli.demo_provider.speech.protocols import PROTOCOLS as SPEECHES
from tollgate_cli.seed import MODELS
from tollgate_cli.suite.processes.ports import free_port
from tollgate_kit.clock import SystemClock
from tollgate_kit.config import PeerConfig
from tollgate_kit.ids import Ids
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc import client as rpc_client
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.rpc.session_server import SessionServer
from tollgate_kit.secret import Secret

pb = router_pb2
KEY = "sk-demo-provider-planted-0123456789abcdef"
RESERVATION_KEY = b"r" * 32
IDS = Ids(SystemClock())
OPENAI_CHAT = pb.CLIENT_PROTOCOL_OPENAI_CHAT
ANTHROPIC = pb.CLIENT_PROTOCOL_ANTHROPIC_MESSAGES


# How a stream from each hostile upstream ends.
HOSTILE = {
    "demo-endless": "COST_LIMIT",
    "demo-hang-mid": "UPSTREAM_TIMEOUT",
    "demo-reset-mid": "UPSTREAM_ERROR",
    "demo-error-mid": "UPSTREAM_ERROR",
    "demo-early-done": "COMPLETED",
    "demo-no-usage": "COMPLETED",
    "demo-zero-usage": "COMPLETED",
    "demo-wrong-usage-negative": "COMPLETED",
    "demo-wrong-usage-huge": "COMPLETED",
    "demo-gzip": "UPSTREAM_ERROR",
    "demo-giant-header": "UPSTREAM_ERROR",
    "demo-redirect": "UPSTREAM_ERROR",
    "demo-html": "UPSTREAM_ERROR",
    "demo-reset": "UPSTREAM_ERROR",
    "demo-hang": "UPSTREAM_TIMEOUT",
}


class Audit(audit_pb2_grpc.AuditServiceServicer):
    """An audit log that takes every entry."""

    def __init__(self) -> None:
        self.entries: list[audit_pb2.Entry] = []
        service = audit_pb2.DESCRIPTOR.services_by_name["AuditService"]
        self._sessions = SessionServer(
            self, service, audit_pb2.SessionResponse, metrics=Metrics("test"), log=quiet_log()
        )

    async def Append(self, request, context):
        self.entries.extend(request.entries)
        return audit_pb2.AppendResponse(indices=[entry.sequence for entry in request.entries])

    def Session(self, request_iterator, context):
        return self._sessions.serve(request_iterator, context)


CONFIG = """
[rpc]
listen = "{listen}"
[rpc.tls]
ca = "{tls.ca}"
cert = "{tls.cert}"
key = "{tls.key}"
[rpc.allow]
"tollgate.router.v1.RouterService" = ["edge-api"]
"tollgate.router.v1.RouterAdminService" = ["operator"]
[metrics]
listen = "{metrics}"
[postgres]
dsn_file = "dsn"
{keyring}
[audit]
addresses = ["{audit}"]
identity = "audit"
[catalogue]
allow_private_upstreams = true
demo_prices = true
[upstream]
first_byte_ms = 1500
idle_ms = 1000
[execute]
log_calls = true
"""


FILE_KEYRING = """
[keyring]
path = "keyring.json"
unlock_file = "unlock"
"""
SERVE = ("-m", "tollgate_router")


class Suite:
    """A running router and what stands around it."""

    def __init__(self, mesh, address, metrics_url, process, log, provider_url, dsn, audit):
        self.mesh, self.address, self.metrics_url = mesh, address, metrics_url
        self.process, self.log, self.provider_url = process, log, provider_url
        self.dsn, self.audit = dsn, audit
        self.pool = None

    def request(self, model, protocol=OPENAI_CHAT, *, stream=False, price_version=1, **claims):
        values = {
            "reservation_id": IDS.uuid7(),
            "tenant_id": "t",
            "model": model,
            "amount_nano_usd": 1_000_000_000,
            "expire_unix_ms": SystemClock().unix_ms() + 60_000,
            "input_tokens": 10**8,
            "max_output_tokens": 10**8,
            "price_version": 1,
        }
        signed = budget_pb2.ReservationClaims(**(values | claims)).SerializeToString()
        mac = hmac.digest(RESERVATION_KEY, signed, hashlib.sha256)
        body = {"model": model, "max_tokens": 16, "stream": stream}
        body["messages"] = [{"role": "user", "content": "hi"}]
        return pb.ExecuteRequest(
            trace_id=IDS.uuid7(),
            tenant_id="t",
            client_protocol=protocol,
            model=model,
            stream=stream,
            client_wants_usage=protocol != OPENAI_CHAT,
            max_output_tokens=16,
            reservation_token=budget_pb2.ReservationToken(
                claims=signed, mac=mac
            ).SerializeToString(),
            body=json.dumps(body).encode(),
            price_version=price_version,
        )

    async def call(self, request):
        async with self.pool.stream("Execute", request, pb.ExecuteResponse, timeout_s=20) as got:
            return [message async for message in got]

    async def admin(self, rpc, request):
        peer = PeerConfig((self.address,), "router")
        channel = rpc_client.open_channel(peer, self.mesh.tls("operator"))
        try:
            stub = router_pb2_grpc.RouterAdminServiceStub(channel)
            return await rpc_client.call(getattr(stub, rpc), request, 20)
        finally:
            await channel.close()


@pytest.fixture(scope="module")
def demo_provider(tmp_path_factory):
    """Base URL of a running demo provider."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "key").write_text(KEY + "\n")
    with demo.running(folder / "key") as url:
        yield url


@contextlib.asynccontextmanager
async def running(tmp_path, dsn, demo_url, *, keyring=FILE_KEYRING, serve=SERVE):
    """A migrated router process with both demo providers registered."""
    mesh, audit = Mesh(tmp_path / "pki"), Audit()
    (tmp_path / "dsn").write_text(dsn)
    (tmp_path / "unlock").write_text("open sesame")
    (tmp_path / "unlock").chmod(0o400)
    keyring_file.create(
        tmp_path / "keyring.json",
        Secret("open sesame"),
        {"upstream-keys": "aes256", "reservation": "mac"},
        given={"reservation": Secret(RESERVATION_KEY)},
    )
    address, metrics = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    allow = {"tollgate.audit.v1.AuditService": ("router",)}
    add_audit = (audit_pb2_grpc.add_AuditServiceServicer_to_server, audit)
    async with mesh.server("audit", allow, add_audit) as audit_address:
        config = tmp_path / "router.toml"
        config.write_text(
            CONFIG.format(
                listen=address,
                metrics=metrics,
                tls=mesh.tls("router"),
                audit=audit_address,
                keyring=keyring,
            )
        )
        command = [sys.executable, *serve, "--config", str(config)]
        migrated = await asyncio.create_subprocess_exec(*command, "migrate")
        assert 0 == await migrated.wait()
        with (tmp_path / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        suite = Suite(
            mesh, address, f"http://{metrics}/metrics", process, tmp_path / "log", demo_url, dsn,
            audit,
        )  # fmt: skip
        peer = PeerConfig((address,), "router")
        try:
            for _ in range(200):
                if b'"serving"' in suite.log.read_bytes():
                    break
                await asyncio.sleep(0.05)
            async with mesh.pool("edge-api", peer, "tollgate.router.v1.RouterService", pb) as pool:
                suite.pool = pool
                await register(suite)
                yield suite
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            assert 0 == await process.wait()


async def register(suite):
    """The demo provider on every protocol, with every failing model, priced as the demo's are."""
    failing = [*(f.name for f in FAILURES), *HOSTILE, "demo-drip"]
    for spoken, speech in SPEECHES.items():
        name, model = f"demo-{spoken}", speech.model
        await suite.admin(
            "AddProvider",
            pb.AddProviderRequest(
                request_id=f"add-{name}",
                name=name,
                protocol=PROTOCOLS[spoken],
                base_url=f"{suite.provider_url}{speech.base_path}",
                models=[
                    pb.ProviderModel(model=model),
                    *(pb.ProviderModel(model=f"{model}.{f}", upstream_model=f) for f in failing),
                ],
            ),
        )
        await suite.admin(
            "AddProviderKey",
            pb.AddProviderKeyRequest(request_id=f"key-{name}", provider=name, secret=KEY),
        )


async def test_governed_calls_over_mtls(tmp_path, postgres_dsn, demo_provider):
    """A fresh process: migrated, seeded, registered by RPC; every protocol, streaming and not."""
    async with running(tmp_path, postgres_dsn(), demo_provider) as suite:
        for model, spoken in MODELS.items():
            protocol = ANTHROPIC if spoken == "anthropic" else OPENAI_CHAT
            (only,) = await suite.call(suite.request(model, protocol))
            assert pb.END_REASON_COMPLETED == only.end.reason
            assert pb.USAGE_SOURCE_UPSTREAM == only.end.usage_source
            assert 0 < only.end.cost_nano_usd < 1_000_000_000
            streamed = await suite.call(suite.request(model, protocol, stream=True))
            assert pb.END_REASON_COMPLETED == streamed[-1].end.reason
            assert pb.USAGE_SOURCE_UPSTREAM == streamed[-1].end.usage_source
            assert streamed[0].HasField("head")
            found = await suite.admin(
                "TestProvider",
                pb.TestProviderRequest(name=f"demo-{spoken}"),
            )
            assert (True, 200, "") == (found.ok, found.http_status, found.problem)
        models = await suite.pool.unary(
            "ListModels", pb.ListModelsRequest(), pb.ListModelsResponse, timeout_s=5
        )
        assert MODELS.keys() <= {model.model for model in models.models}
        # That router began, and two changes of the operator for each protocol.
        assert 1 + 2 * len(MODELS) == len(suite.audit.entries)
        with pytest.raises(Failure) as refused:
            await suite.call(suite.request("demo-gpt", expire_unix_ms=1))
        assert "RESERVATION_REFUSED" == refused.value.reason


async def test_operator_rpcs_need_the_operator(tmp_path, postgres_dsn, demo_provider):
    """The edge's certificate is refused by every admin RPC."""
    async with running(tmp_path, postgres_dsn(), demo_provider) as suite:
        peer = PeerConfig((suite.address,), "router")
        channel = rpc_client.open_channel(peer, suite.mesh.tls("edge-api"))
        stub = router_pb2_grpc.RouterAdminServiceStub(channel)
        for method in pb.DESCRIPTOR.services_by_name["RouterAdminService"].methods:
            request = getattr(pb, method.input_type.name)()
            with pytest.raises(Failure) as refused:
                await rpc_client.call(getattr(stub, method.name), request, 5)
            assert "CALLER_NOT_ALLOWED" == refused.value.reason
        await channel.close()


async def test_hostile_upstreams_cost_what_was_reserved(tmp_path, postgres_dsn, demo_provider):
    """Endless, silent, lying and broken upstreams: each ends, with an honest source of usage."""
    dsn = postgres_dsn()
    async with running(tmp_path, dsn, demo_provider) as suite:
        await price_failing_models(dsn)
        await asyncio.sleep(1.2)
        found = {}
        for prefix in MODELS:
            protocol = ANTHROPIC if MODELS[prefix] == "anthropic" else OPENAI_CHAT
            # What another protocol may make of the call is reserved for, too.
            reserved = 140_000 if MODELS[prefix] == "openai" else 1_000_000
            for name in HOSTILE:
                request = suite.request(
                    f"{prefix}.{name}", protocol, stream=True, amount_nano_usd=reserved
                )
                end = (await suite.call(request))[-1].end
                if end.usage_source != pb.USAGE_SOURCE_UPSTREAM:
                    assert 0 <= end.cost_nano_usd <= reserved, name
                found[prefix, name] = pb.EndReason.Name(end.reason).removeprefix("END_REASON_")
        assert {(prefix, name): HOSTILE[name] for prefix, name in found} == found


async def test_vanished_edge_is_metered_by_the_process(tmp_path, postgres_dsn, demo_provider):
    """An edge that leaves a stream early: the router drains it and logs what it cost."""
    dsn = postgres_dsn()
    async with running(tmp_path, dsn, demo_provider) as suite:
        await price_failing_models(dsn)
        await asyncio.sleep(1.2)
        request = suite.request("demo-gpt.demo-drip", stream=True)
        async with suite.pool.stream("Execute", request, pb.ExecuteResponse, timeout_s=20) as got:
            await anext(aiter(got))
        lines: list[dict] = []
        for _ in range(60):
            await asyncio.sleep(0.1)
            logged = [json.loads(line) for line in suite.log.read_text().splitlines()]
            if lines := [line for line in logged if line["event"] == "call.orphaned"]:
                break
        (line,) = lines
        assert request.trace_id == line["trace_id"]
        assert "USAGE_SOURCE_UPSTREAM" == line["usage_source"]
        assert 0 < line["cost_nano_usd"]


async def test_canaries_of_every_failure(tmp_path, postgres_dsn, demo_provider):
    """After each way to fail, on every protocol: key and canary in no answer, log, metric, row or audit entry."""
    dsn = postgres_dsn()
    async with running(tmp_path, dsn, demo_provider) as suite:
        await price_failing_models(dsn)
        await asyncio.sleep(1.2)
        said: dict[str, str] = {}
        for failure, model in itertools.product(FAILURES, MODELS):
            protocol = ANTHROPIC if MODELS[model] == "anthropic" else OPENAI_CHAT
            request = suite.request(f"{model}.{failure.name}", protocol, stream=failure.stream)
            answers = await suite.call(request)
            assert pb.END_REASON_UPSTREAM_ERROR == answers[-1].end.reason, failure
            said[f"{model} {failure}"] = str(answers) + str([a.data for a in answers])
        with urllib.request.urlopen(suite.metrics_url) as page:
            said["metrics"] = page.read().decode()
        said["log"] = suite.log.read_text()
        said["audit"] = str(suite.audit.entries)
        said["rows"] = await dump(dsn)
        assert "call.executed" in said["log"]
        leaks = [where for where, text in said.items() if KEY in text or CANARY in text]
        assert [] == leaks


async def price_failing_models(dsn):
    """The demo's price for each of its failing models."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        columns = await (
            await connection.execute(
                "select string_agg(column_name, ',') from information_schema.columns"
                " where table_name = 'price' and column_name <> 'model'"
            )
        ).fetchone()
        await connection.execute(
            f"insert into price (model, {columns[0]}) select m.model, {columns[0]} from price,"
            " provider_model m where price.model = 'demo-gpt' and m.model like '%.demo-%'"
        )
        await connection.execute("update catalogue_revision set revision = revision + 1")


async def dump(dsn):
    """Every row of every table."""
    text = ""
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        tables = await connection.execute(
            "select table_name from information_schema.tables where table_schema = 'public'"
        )
        for (table,) in await tables.fetchall():
            rows = await connection.execute(f"select t::text from {table} t")
            text += str(await rows.fetchall())
    return text
