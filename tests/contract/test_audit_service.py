"""The audit service over real mTLS, Postgres and a directory: RPCs, allow-list, the process."""

import asyncio
import json
import sys
import tomllib
from pathlib import Path

import grpc
import pytest

from tests import engines
from tests.contract import audit_log
from tests.mesh import Mesh
from tollgate.audit.v1 import audit_pb2, audit_pb2_grpc
from tollgate_audit.config import AuditConfig
from tollgate_cli.suite.processes.ports import free_port
from tollgate_kit import canonical, config
from tollgate_kit.clock import SystemClock
from tollgate_kit.config import PeerConfig
from tollgate_kit.evidence import EvidenceProducer, EvidenceRefused
from tollgate_kit.ids import Ids
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc import client as rpc_client
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.secret import Secret

SERVICE = "tollgate.audit.v1.AuditService"
KIND = audit_pb2.ENTRY_KIND_CALL_DENIED
FACTS = {"model": "m", "reason": "r", "time_unix_ms": 1}
PRODUCER = "edge-api/p1"


class Process:
    """One audit process with its files; started and stopped by the tests."""

    def __init__(self, directory: Path, dsns: tuple[str, str], mesh: Mesh) -> None:
        self.mesh = mesh
        self.directory = directory
        self.peer = PeerConfig(addresses=(f"127.0.0.1:{free_port()}",), identity="audit")
        self.config = directory / "audit.toml"
        tls = mesh.tls("audit")
        dsn, owner = dsns
        (directory / "dsn").write_text(dsn)
        (directory / "owner-dsn").write_text(owner)
        (directory / "unlock").write_text("passphrase")
        (directory / "unlock").chmod(0o400)
        keys = {"tlog": "ed25519", "subject-keys": "aes256"}
        keyring_file.create(directory / "keyring.json", Secret("passphrase"), keys)
        self.config.write_text(
            f"""
[rpc]
listen = "{self.peer.addresses[0]}"
tls = {{ ca = "{tls.ca}", cert = "{tls.cert}", key = "{tls.key}" }}
[rpc.allow]
"tollgate.audit.v1.AuditService" = ["edge-api", "router"]
"tollgate.audit.v1.AuditReceiptService" = ["edge-api"]
"tollgate.audit.v1.AuditReadService" = ["operator"]
[metrics]
listen = "127.0.0.1:{free_port()}"
[postgres]
dsn_file = "dsn"
[owner]
dsn_path = "owner-dsn"
[keyring]
path = "keyring.json"
unlock_file = "unlock"
[log]
origin = "tollgate.test/log"
directory = "worm"
verifier_key_path = "log.vkey"
publish_interval_ms = 100
"""
        )

    async def run(self, *command: str) -> tuple[int, str]:
        process = await self.spawn(*command)
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode()

    async def spawn(self, *command: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tollgate_audit", "--config", str(self.config), *command),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def serving(self) -> asyncio.subprocess.Process:
        """Migrate, then serve; returns when it is ready."""
        code, said = await self.run("migrate")
        assert code == 0, said
        running = await self.spawn()
        await said_until(running, '"ready"', 20)
        return running

    def channel(self, caller: str) -> grpc.aio.Channel:
        return rpc_client.open_channel(self.peer, self.mesh.tls(caller))


async def said_until(running: asyncio.subprocess.Process, words: str, seconds: float) -> str:
    """Read a process's log up to the line with these words; what was read."""
    assert running.stdout is not None
    said = ""
    async with asyncio.timeout(seconds):
        while words not in said:
            line = await running.stdout.readline()
            assert line, f"audit ended: {said}"
            said += line.decode()
    return said


@pytest.fixture
async def audit(tmp_path, postgres):
    process = Process(tmp_path, engines.fresh_split_database(postgres), Mesh(tmp_path / "certs"))
    running = await process.serving()
    yield process
    if running.returncode is None:
        running.terminate()
    assert await running.wait() == 0
    code, vkey = await process.run("vkey")
    assert (code, vkey) == (0, (tmp_path / "log.vkey").read_text())
    verify = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tollgate_tlog.fsck", str(tmp_path / "worm"), "--key", vkey.strip())
    )
    assert await verify.wait() == 0


def entry(sequence: int, **changes) -> audit_pb2.Entry:
    fields = {
        "sequence": sequence,
        "tenant_id": "T1",
        "trace_id": "t1",
        "kind": KIND,
        "payload": canonical.dumps(FACTS),
        "subject": "operator:alice",
    }
    return audit_pb2.Entry(**fields | changes)


def request(*entries: audit_pb2.Entry, producer: str = PRODUCER) -> audit_pb2.AppendRequest:
    return audit_pb2.AppendRequest(producer_id=producer, entries=entries)


async def test_append_read_and_receipt(audit):
    """An entry is durable, idempotent, pseudonymous, readable, and its call is its tenant's."""
    async with audit.channel("edge-api") as edge, audit.channel("operator") as operator:
        append = audit_pb2_grpc.AuditServiceStub(edge).Append
        get_call = audit_pb2_grpc.AuditReceiptServiceStub(edge).GetCall
        read = audit_pb2_grpc.AuditReadServiceStub(operator)
        batch = request(entry(1), entry(2, trace_id="", subject=""))
        assert list((await rpc_client.call(append, batch, 5)).indices) == [0, 1]
        assert list((await rpc_client.call(append, batch, 5)).indices) == [0, 1]
        mine = audit_pb2.GetCallRequest(tenant_id="T1", trace_id="t1")
        (stored,) = (await rpc_client.call(get_call, mine, 5)).entries
        leaf = json.loads(stored.leaf)
        canonical.check(stored.leaf)
        assert len(leaf.pop("subject")) == 22
        assert leaf == {
            "kind": "CALL_DENIED",
            "payload": FACTS,
            "producer": PRODUCER,
            "sequence": 1,
            "tenant": "T1",
            "trace_id": "t1",
        }
        others = audit_pb2.GetCallRequest(tenant_id="T2", trace_id="t1")
        assert not (await rpc_client.call(get_call, others, 5)).entries
        page = await rpc_client.call(
            read.ListEntries, audit_pb2.ListEntriesRequest(page_size=1000), 5
        )
        assert ([row.index for row in page.entries], page.next_index) == ([0, 1], 2)
        async with asyncio.timeout(5):
            while True:
                head = await rpc_client.call(
                    read.GetCheckpoint, audit_pb2.GetCheckpointRequest(), 5
                )
                if head.signed_note.startswith(b"tollgate.test/log\n2\n"):
                    break
                await asyncio.sleep(0.05)
        assert head.unpublished == 0


REFUSED = [
    (request(entry(1), producer="router/p1"), "SEQUENCE_REFUSED"),
    (request(entry(1), producer="edge-api"), "SEQUENCE_REFUSED"),
    (request(entry(2)), "SEQUENCE_REFUSED"),
    (request(), "INVALID_FIELD"),
    (request(*(entry(n) for n in range(1, 258))), "INVALID_FIELD"),
    (request(entry(0)), "INVALID_FIELD"),
    (request(entry(1), entry(3)), "INVALID_FIELD"),
    (request(entry(1, kind=0)), "INVALID_FIELD"),
    (request(entry(1, kind=99)), "INVALID_FIELD"),
    (request(entry(1, payload=b"[1]")), "INVALID_FIELD"),
    (request(entry(1, payload=b'{"b":1,"a":1}')), "INVALID_FIELD"),
    (request(entry(1, payload=b'{"a":1.5}')), "INVALID_FIELD"),
    (request(entry(1, payload=b"{}" + b" " * 60_000)), "INVALID_FIELD"),
    (request(entry(1, trace_id="a\nb")), "INVALID_FIELD"),
    # Case R6: a kind that is not the producer's, and payloads that are not those of their kind.
    (request(entry(1, kind=audit_pb2.ENTRY_KIND_KEY_ISSUED)), "CALLER_NOT_ALLOWED"),
    (request(entry(1, kind=audit_pb2.ENTRY_KIND_POLICY_CHANGED)), "CALLER_NOT_ALLOWED"),
    (request(entry(1, kind=audit_pb2.ENTRY_KIND_CALL_FINISHED, payload=b"{}")), "INVALID_FIELD"),
    (
        request(entry(1), entry(2, payload=b'{"model":1,"reason":"r","time_unix_ms":1}')),
        "INVALID_FIELD",
    ),
    (request(entry(1, tenant_id="x" * 300)), "INVALID_FIELD"),
]


async def test_case_R6_what_cannot_be_evidence_is_refused(audit):
    """A refusal names its reason, and nothing of the request is taken."""
    async with audit.channel("edge-api") as edge, audit.channel("operator") as operator:
        append = audit_pb2_grpc.AuditServiceStub(edge).Append
        for bad, reason in REFUSED:
            with pytest.raises(Failure) as refused:
                await rpc_client.call(append, bad, 5)
            assert reason == refused.value.reason, bad
        read = audit_pb2_grpc.AuditReadServiceStub(operator)
        page = audit_pb2.ListEntriesRequest(page_size=10)
        assert (await rpc_client.call(read.ListEntries, page, 5)).next_index == 0
        for wrong in ({"page_size": 0}, {"page_size": 1001}, {"page_size": 1, "start_index": -1}):
            with pytest.raises(Failure) as refused:
                await rpc_client.call(read.ListEntries, audit_pb2.ListEntriesRequest(**wrong), 5)
            assert refused.value.reason == "INVALID_FIELD"


async def test_only_the_allowed_may_call(audit):
    """The read API is the operator's, appending is not; a stranger to a service is refused."""
    async with audit.channel("edge-api") as edge, audit.channel("operator") as operator:
        for method, message in (
            (audit_pb2_grpc.AuditReadServiceStub(edge).GetCheckpoint, audit_pb2.GetCheckpointRequest()),
            (audit_pb2_grpc.AuditServiceStub(operator).Append, request(entry(1))),
            (audit_pb2_grpc.AuditReceiptServiceStub(operator).GetCall, audit_pb2.GetCallRequest()),
        ):  # fmt: skip
            with pytest.raises(Failure) as refused:
                await rpc_client.call(method, message, 5)
            assert refused.value.reason == "CALLER_NOT_ALLOWED"


async def test_the_kits_producer_over_sessions(audit):
    """The producer that every service uses: hundreds of entries, one gapless sequence."""
    mesh = audit.mesh
    async with mesh.pool("edge-api", audit.peer, SERVICE, audit_pb2) as pool:
        producer = EvidenceProducer(
            pool,
            identity="edge-api",
            ids=Ids(SystemClock()),
            metrics=Metrics("test"),
            log=audit_log.quiet_log(),
        )
        await producer.start()
        indices = await asyncio.gather(
            *(
                producer.append(
                    KIND,
                    tenant_id=f"T{n % 3}",
                    trace_id=f"t{n}",
                    subject="key:K",
                    payload={**FACTS, "n": n},
                )
                for n in range(700)
            )
        )
        await producer.close()
    # Entry 0 says that the producer began.
    assert sorted(indices) == list(range(1, 701))


async def test_case_R6_a_producer_that_audit_refuses_ends_its_process(audit):
    """An entry that will never be taken must not close the service for ever: the process ends."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: ended.done() or ended.set_result(context))
    try:
        async with audit.mesh.pool("edge-api", audit.peer, SERVICE, audit_pb2) as pool:
            producer = EvidenceProducer(
                pool,
                identity="edge-api",
                ids=Ids(SystemClock()),
                metrics=Metrics("test"),
                log=audit_log.quiet_log(),
            )
            await producer.start()
            issued = audit_pb2.ENTRY_KIND_KEY_ISSUED
            producer.enqueue(issued, tenant_id="T", trace_id="t", subject="", payload={})
            async with asyncio.timeout(10):
                context = await ended
    finally:
        loop.set_exception_handler(before)
    assert ("evidence", EvidenceRefused) == (context["core_task"], type(context["exception"]))


async def test_a_database_that_forgets_is_refused(tmp_path, postgres):
    """synchronous_commit=off: the process does not start, and says why."""
    dsn, owner = engines.fresh_split_database(postgres)
    forgetful = f"{dsn}?options=-c%20synchronous_commit%3Doff"
    process = Process(tmp_path, (forgetful, owner), Mesh(tmp_path / "c"))
    await process.run("migrate")
    code, out = await process.run()
    assert code == 1
    assert "synchronous_commit is 'off' for this role, must be on or remote_apply" in out


def test_the_sample_configuration_is_whole(tmp_path):
    """deploy/config/audit.toml names every field, and every faulty value is refused."""
    sample = Path("deploy/config/audit.toml").read_text()
    (tmp_path / "config").mkdir()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/audit-postgres-dsn").write_text("x")
    path = tmp_path / "config/audit.toml"
    path.write_text(sample)
    loaded = config.load(path, AuditConfig)
    assert loaded.log.unpublished_entries_max == tomllib.loads(sample)["log"]["unpublished_entries_max"]  # fmt: skip
    for good, bad in (
        ('origin = "tollgate.example/log"', 'origin = "a b"'),
        ("publish_interval_ms = 1000", "publish_interval_ms = 1"),
        ("unpublished_entries_max = 1000000", "unpublished_entries_max = 0"),
        ("queue_entries_max = 16384", "queue_entries_max = 255"),
        ("pool_max = 8", "pool_max = 3"),
    ):
        assert good in sample
        path.write_text(sample.replace(good, bad))
        with pytest.raises(config.ConfigFaults):
            config.load(path, AuditConfig)
