"""A change is made once, on a real Postgres; what an earlier version answered is answered again."""

import asyncio
import hashlib

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from tollgate.router.v1 import router_pb2
from tollgate_kit.changes.once import Changes
from tollgate_kit.changes.request import Applied, ChangeRequest
from tollgate_kit.config import PostgresConfig
from tollgate_kit.postgres import pool as pg
from tollgate_kit.rpc.failure import Failure, audit_not_durable
from tollgate_kit.secret import Secret

SERVICES = ("tollgate_authz", "tollgate_budget", "tollgate_router")
ASKED = ChangeRequest.of("r", b"content")


async def opened(dsn: str, package: str) -> AsyncConnectionPool:
    config = PostgresConfig(Secret(dsn), 1, 4)
    await pg.migrate(config, package=package)
    return await pg.open_pool(config, name="test")


@pytest.fixture(params=SERVICES)
async def pool(request, postgres_dsn):
    """A pool to the database of a service, with a table to change."""
    pool = await opened(postgres_dsn(), request.param)
    async with pool.connection() as connection:
        await connection.execute("CREATE TABLE made (what text)")
    yield pool
    await pool.close()


async def made(pool: AsyncConnectionPool) -> int:
    async with pool.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM made")).fetchone()
    assert row is not None
    return row[0]


async def add(connection: psycopg.AsyncConnection) -> bytes:
    await connection.execute("INSERT INTO made VALUES ('x')")
    return b"answer"


async def test_twins_are_one_change_and_get_one_answer(pool):
    """Ten copies at once, over two processes' worth of callers: one is made, all are answered."""

    async def slowly(connection):
        await asyncio.sleep(0.1)
        return await add(connection)

    changes = Changes(pool), Changes(pool)
    answers = await asyncio.gather(
        *(changes[n % 2].once(ASKED, slowly, now_ms=1) for n in range(10))
    )
    assert {b"answer"} == {answer.answer for answer in answers}
    assert (1, 9) == (await made(pool), sum(answer.replayed for answer in answers))


async def test_what_is_not_made_leaves_the_id_free(pool):
    """A denial, and evidence that fails, undo the change; the id then serves another content."""

    async def denied(connection):
        await add(connection)
        return "denial"

    async def unrecorded(connection):
        await add(connection)
        raise audit_not_durable()

    changes = Changes(pool)
    assert "denial" == await changes.once(ASKED, denied, now_ms=1)
    with pytest.raises(Failure, match="AUDIT_NOT_DURABLE"):
        await changes.once(ASKED, unrecorded, now_ms=1)
    assert 0 == await made(pool)
    other = ChangeRequest.of("r", b"other")
    assert Applied(b"answer", replayed=False) == await changes.once(other, add, now_ms=1)
    with pytest.raises(Failure, match="IDEMPOTENCY_MISMATCH"):
        await changes.once(ASKED, add, now_ms=1)
    assert 1 == await made(pool)


async def test_a_connection_that_breaks_on_the_way_is_an_outage(pool):
    """Before the commit nothing is changed, and the caller is told so."""

    async def cut(connection):
        answer = await add(connection)
        await connection.close()
        return answer

    with pytest.raises(Failure, match="STORE_UNAVAILABLE"):
        await Changes(pool).once(ASKED, cut, now_ms=1)
    assert 0 == await made(pool)


async def test_what_committed_elsewhere_before_the_connection_broke_is_unknown(pool):
    """A change that another connection commits is not denied because ours is gone: it may be made."""

    async def elsewhere(connection):
        async with pool.connection() as other:
            answer = await add(other)
        await connection.close()
        return answer

    with pytest.raises(Failure, match="OUTCOME_UNKNOWN"):
        await Changes(pool).once(ASKED, elsewhere, now_ms=1, commits_itself=True)
    assert 1 == await made(pool)


async def test_a_commit_whose_answer_is_lost_is_unknown(pool):
    """The caller repeats the request, and gets the answer if it was made."""
    async with pool.connection() as connection:
        await connection.execute(
            "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
        )
        await connection.execute(
            "CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON made DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION cut()"
        )
    with pytest.raises(Failure, match="OUTCOME_UNKNOWN"):
        await Changes(pool).once(ASKED, add, now_ms=1)


async def before_one_form(dsn: str, package: str) -> psycopg.AsyncConnection:
    """A database as the version before change_request had one form in every service left it."""
    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    await connection.execute(pg._JOURNAL)
    for name, sql in pg.migrations(package):
        if name >= "0003":
            break
        await connection.execute(sql)
        await connection.execute(
            "insert into schema_migration (name, sha256) values (%s, %s)",
            (name, hashlib.sha256(sql.encode()).hexdigest()),
        )
    return connection


async def test_routers_earlier_requests_are_known(postgres_dsn):
    """An operator's command, which always has the same id, is answered after an upgrade as before."""
    dsn = postgres_dsn()
    request = router_pb2.AddProviderRequest(request_id="r", name="p", base_url="https://a.example")
    content = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    async with await before_one_form(dsn, "tollgate_router") as connection:
        await connection.execute(
            "insert into admin_request values ('r', 'AddProvider', %s, %s, 1)",
            (content, b"first"),
        )
    await known_after_upgrade(dsn, "tollgate_router", ChangeRequest.of_message(request), b"first")


async def test_budgets_earlier_requests_are_known(postgres_dsn):
    """A limit that was set before an upgrade is not set again by a late repeat."""
    dsn = postgres_dsn()
    async with await before_one_form(dsn, "tollgate_budget") as connection:
        await connection.execute(
            "insert into admin_request values ('r', 'set_limit key:a 5', '{\"é\": 1}', 1)"
        )
    asked = ChangeRequest.of("r", b"set_limit key:a 5")
    await known_after_upgrade(dsn, "tollgate_budget", asked, '{"é": 1}'.encode())


async def test_authzs_earlier_requests_are_refused(postgres_dsn):
    """Their content cannot be compared any more: refused, rather than made twice."""
    dsn = postgres_dsn()
    async with await before_one_form(dsn, "tollgate_authz") as connection:
        await connection.execute(
            "insert into change_request values ('r', %s, 'a', 2, 1)", (b"x" * 32,)
        )
    pool = await opened(dsn, "tollgate_authz")
    with pytest.raises(Failure, match="IDEMPOTENCY_MISMATCH"):
        await Changes(pool).once(ASKED, never, now_ms=1)
    await pool.close()


async def known_after_upgrade(dsn, package, asked, answer):
    pool = await opened(dsn, package)
    try:
        assert Applied(answer, replayed=True) == await Changes(pool).once(asked, never, now_ms=1)
        with pytest.raises(Failure, match="IDEMPOTENCY_MISMATCH"):
            await Changes(pool).once(ASKED, never, now_ms=1)
    finally:
        await pool.close()


async def never(_connection):
    raise AssertionError("made again")
