"""Case R4: who may change an entry in audit's database, and what becomes of one that was changed."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests import engines
from tests.contract import audit_log
from tests.contract.audit_log import submission
from tests.contract.test_audit_service import FACTS, Process, entry, request
from tests.mesh import Mesh
from tollgate.audit.v1 import audit_pb2, audit_pb2_grpc
from tollgate_audit.worm.directory import LocalWorm
from tollgate_kit.config import PostgresConfig
from tollgate_kit.postgres.pool import migrate
from tollgate_kit.rpc import client as rpc_client
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.secret import Secret

CHANGES = (
    "update entry set leaf = 'x'",
    "update entry set mac = null",
    "delete from entry",
    "truncate entry",
    "alter table entry disable trigger all",
    "drop table entry",
    "create or replace function refuse_change() returns trigger language plpgsql as 'begin return null; end'",
    "update producer set first_index = 9",
    "delete from subject_key",
    "set session_replication_role = replica",
)  # fmt: skip


@pytest.fixture
def process(tmp_path, postgres) -> Process:
    return Process(tmp_path, engines.fresh_split_database(postgres), Mesh(tmp_path / "certs"))


@pytest.fixture
async def serving(process):
    async with served(process):
        yield process


@contextlib.asynccontextmanager
async def served(process: Process) -> AsyncIterator[None]:
    """An audit that serves, then stops in good order."""
    running = await process.serving()
    yield
    running.terminate()
    assert 0 == await running.wait()


def dsns(process: Process) -> tuple[str, str]:
    return tuple((process.directory / name).read_text() for name in ("dsn", "owner-dsn"))


def change(process: Process, statement: str, *parameters: object) -> None:
    """As the owner, who can do what the writer cannot: past the triggers."""
    with psycopg.connect(dsns(process)[1], autocommit=True) as owner:
        owner.execute("alter table entry disable trigger user")
        owner.execute(statement, parameters or None)
        owner.execute("alter table entry enable trigger user")


async def test_case_R4_the_writer_can_change_no_entry(serving):
    """The role that audit serves with adds entries, and can change, drop or unguard none of them."""
    async with serving.channel("edge-api") as edge:
        append = audit_pb2_grpc.AuditServiceStub(edge).Append
        await rpc_client.call(append, request(entry(1)), 5)
    with psycopg.connect(dsns(serving)[0], autocommit=True) as writer:
        for statement in CHANGES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                writer.execute(statement)
        assert (1,) == writer.execute("select count(*) from entry").fetchone()


@pytest.mark.parametrize("might", ["superuser", "owner", "member", "grant", "column"])
async def test_case_R4_audit_refuses_a_role_that_could_change_entries(
    process, postgres_admin, might
):
    """Superuser, owner, member of the owner, or just the right: audit does not start, and says why."""
    await process.run("migrate")
    writer, owner = dsns(process)
    role = sql.Identifier(conninfo_to_dict(writer)["user"])
    owner_role = sql.Identifier(conninfo_to_dict(owner)["user"])
    if might == "superuser":
        postgres_admin.execute(sql.SQL("alter role {} superuser").format(role))
    elif might == "owner":
        (process.directory / "dsn").write_text(owner)
    elif might == "member":
        postgres_admin.execute(sql.SQL("grant {} to {}").format(owner_role, role))
    else:
        right = "update" if might == "grant" else "update (leaf)"
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute(sql.SQL(f"grant {right} on entry to {{}}").format(role))
    try:
        code, said = await process.run()
        assert 1 == code
        assert "audit serves only with a role that can change no entry" in said
        if might in ("grant", "column"):
            # Migrating again gives the writer exactly its rights back.
            assert 0 == (await process.run("migrate"))[0]
            with psycopg.connect(writer) as connection, pytest.raises(psycopg.Error):
                connection.execute("update entry set leaf = 'x'")
    finally:
        if might == "superuser":
            postgres_admin.execute(sql.SQL("alter role {} nosuperuser").format(role))


@pytest.fixture
async def dsn(postgres_dsn) -> str:
    dsn = postgres_dsn()
    await migrate(PostgresConfig(dsn=Secret(dsn)), package="tollgate_audit")
    return dsn


@pytest.mark.parametrize(
    "statement",
    [
        "update entry set leaf = convert_to(replace(convert_from(leaf, 'utf8'), 'LOGIN', 'OTHER'), 'utf8') where log_index = 7",
        "update entry set mac = null where log_index = 7",
        "update entry a set leaf = b.leaf, mac = b.mac from entry b where a.log_index = 7 and b.log_index = 8",
    ],
    ids=["leaf", "no-mark", "another-entry"],
)  # fmt: skip
async def test_case_R4_an_entry_changed_before_it_is_published_is_never_signed(
    dsn, tmp_path, statement
):
    """A row that is not what was sequenced: publishing halts, nothing over it is signed."""
    pool = await audit_log.pool_of(dsn)
    async with audit_log.store_of(pool) as store:
        await store.append([submission("edge-api/1", 1, 5)])
        await audit_log.publish(pool, LocalWorm(tmp_path))
        await store.append([submission("edge-api/1", 6, 5)])
    async with pool.connection() as connection:
        await connection.execute("alter table entry disable trigger user")
        await connection.execute(statement.encode())
    publisher = await audit_log.publish(pool, LocalWorm(tmp_path))
    await pool.close()
    assert publisher.halted
    assert not (tmp_path / "checkpoints/10").exists()
    report = await audit_log.verify(tmp_path)
    assert ([], 5) == (report.faults.kept, report.facts["entries"])


async def test_case_R4_an_older_log_goes_on(process):
    """Entries of a version without marks: migrated, published, and their receipts shown."""
    async with served(process), process.channel("edge-api") as edge:
        append = audit_pb2_grpc.AuditServiceStub(edge).Append
        await rpc_client.call(append, request(entry(1)), 5)
        await published(process, 1)
    for statement in (
        "delete from schema_migration where name = '0002_mark.sql'",
        "alter table entry drop column mac",
        """insert into entry select 1, producer_index, 2, tenant_id, trace_id, convert_to(
            replace(convert_from(leaf, 'utf8'), '"sequence":1,', '"sequence":2,'), 'utf8')
            from entry""",
        "update log_state set size = 2",
        "update producer set last_sequence = 2",
    ):
        change(process, statement)
    code, said = await process.run("migrate")
    assert (0, True) == (code, '"event":"marked","entries":1' in said)
    async with served(process), process.channel("edge-api") as edge:
        await published(process, 2)
        get_call = audit_pb2_grpc.AuditReceiptServiceStub(edge).GetCall
        shown = (await rpc_client.call(get_call, CALL, 5)).entries
        assert [0, 1] == [row.index for row in shown]
        append = audit_pb2_grpc.AuditServiceStub(edge).Append
        assert [2] == list((await rpc_client.call(append, request(entry(3)), 5)).indices)


async def test_a_new_log_is_migrated_without_its_keyring(process):
    """Nothing is to be marked; and a secret-id of Vault, good once, is the service's own."""
    (process.directory / "keyring.json").unlink()
    code, said = await process.run("migrate")
    assert (0, True) == (code, '"event":"migrated"' in said)


async def published(process: Process, size: int) -> None:
    async with asyncio.timeout(10):
        while not (process.directory / f"worm/checkpoints/{size}").exists():
            await asyncio.sleep(0.02)


CALL = audit_pb2.GetCallRequest(tenant_id="T1", trace_id="t1")


@pytest.mark.parametrize("when", ["published", "published-and-more"])
async def test_case_R4_a_receipt_is_checked_against_the_tree(serving, when):
    """A row changed after it was published, its mark too: the receipt is refused, never shown."""
    async with serving.channel("edge-api") as edge, serving.channel("operator") as operator:
        append = audit_pb2_grpc.AuditServiceStub(edge).Append
        get_call = audit_pb2_grpc.AuditReceiptServiceStub(edge).GetCall
        read = audit_pb2_grpc.AuditReadServiceStub(operator).ListEntries
        page = audit_pb2.ListEntriesRequest(page_size=1000)
        await rpc_client.call(append, request(entry(1)), 5)
        size = 1
        if when == "published-and-more":
            for first in range(2, 700, 200):
                batch = [entry(n, trace_id=f"x{n}") for n in range(first, first + 200)]
                await rpc_client.call(append, request(*batch), 5)
                size += 200
        await published(serving, size)
        (good,) = (await rpc_client.call(get_call, CALL, 5)).entries
        assert json.loads(good.leaf)["payload"] == FACTS
        false = good.leaf.replace(b'"reason":"r"', b'"reason":"q"')
        change(serving, "update entry set leaf = %s, mac = null where log_index = 0", false)
        for method, message in ((get_call, CALL), (read, page)):
            with pytest.raises(Failure) as refused:
                await rpc_client.call(method, message, 5)
            assert ("INTERNAL", "DATA_LOSS") == (refused.value.reason, refused.value.code.name)
        # The very bytes put back: shown again.
        change(serving, "update entry set leaf = %s where log_index = 0", good.leaf)
        assert [good] == list((await rpc_client.call(get_call, CALL, 5)).entries)


async def test_case_R4_a_call_is_its_tenants_by_its_leaf_not_by_its_column(serving):
    """A row that was given to another tenant is no receipt of his."""
    async with serving.channel("edge-api") as edge:
        append = audit_pb2_grpc.AuditServiceStub(edge).Append
        get_call = audit_pb2_grpc.AuditReceiptServiceStub(edge).GetCall
        await rpc_client.call(append, request(entry(1)), 5)
        await published(serving, 1)
        change(serving, "update entry set tenant_id = 'T2'")
        theirs = audit_pb2.GetCallRequest(tenant_id="T2", trace_id="t1")
        with pytest.raises(Failure) as refused:
            await rpc_client.call(get_call, theirs, 5)
        assert "INTERNAL" == refused.value.reason
