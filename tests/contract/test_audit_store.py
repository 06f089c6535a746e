"""The audit store on a real Postgres: gapless, durable or known not to be, and only growing."""

import asyncio
import contextlib

import psycopg
import pytest

from tests.contract import audit_log
from tests.contract.audit_log import submission
from tollgate_audit.log.batcher import Batcher
from tollgate_audit.log.sequencer import AppendDenial, Appended, Refused
from tollgate_audit.log.store_postgres import CommitUnknown, StoreUnavailable
from tollgate_kit.config import PostgresConfig
from tollgate_kit.metrics import Metrics
from tollgate_kit.postgres.pool import migrate, open_pool
from tollgate_kit.secret import Secret
from tollgate_kit.work_queue import Full


@pytest.fixture
async def dsn(postgres_dsn) -> str:
    dsn = postgres_dsn()
    await migrate(PostgresConfig(dsn=Secret(dsn)), package="tollgate_audit")
    return dsn


@pytest.fixture
async def pool(dsn):
    pool = await audit_log.pool_of(dsn)
    yield pool
    await pool.close()


@pytest.fixture
async def store(pool):
    async with audit_log.store_of(pool) as store:
        yield store


async def rows(pool) -> list[tuple]:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "select e.log_index, p.name, e.sequence from entry e "
            "join producer p on p.first_index = e.producer_index order by e.log_index"
        )
        return await cursor.fetchall()


def assert_gapless(found: list[tuple]) -> None:
    """Indices run from 0, and each producer's sequences from 1, without a gap."""
    assert [row[0] for row in found] == list(range(len(found)))
    for name in {row[1] for row in found}:
        sequences = [row[2] for row in found if row[1] == name]
        assert sequences == list(range(1, len(sequences) + 1))


async def test_outcomes_on_the_real_engine(store, pool):
    """New, repeated, partly repeated, contradicting, with a gap: each as the sequencer says."""
    assert await store.append([submission("a/1", 1, 3), submission("b/1", 1, 1)]) == [
        Appended((0, 1, 2)),
        Appended((3,)),
    ]
    assert await store.append([submission("a/1", 2, 3), submission("b/1", 1, 1)]) == [
        Appended((1, 2, 4)),
        Appended((3,)),
    ]
    assert await store.append([submission("a/1", 4, 1, "x"), submission("b/1", 9, 1)]) == [
        Refused(AppendDenial.MISMATCH, 4),
        Refused(AppendDenial.GAP, 2),
    ]
    assert_gapless(await rows(pool))
    assert await store.size() == 5


async def test_replicas_share_one_gapless_log(store, pool):
    """Several replicas appending at once take turns: no gap, no repeat, each call answered."""

    async def produce(number: int) -> None:
        replica = replicas[number % 4]
        for first in range(1, 30, 3):
            batch = [submission(f"edge-api/{number}", first, 3)]
            once = await replica.append(batch)
            assert once == await replicas[(number + 1) % 4].append(batch)

    async with contextlib.AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(audit_log.store_of(pool)) for _ in range(4)]
        await asyncio.gather(*(produce(number) for number in range(8)))
    found = await rows(pool)
    assert len(found) == 240
    assert_gapless(found)


async def test_the_log_only_grows(store, pool):
    """Not even the owner's UPDATE, DELETE or TRUNCATE gets through."""
    await store.append([submission("a/1", 1, 2)])
    for statement in (
        "update entry set leaf = 'x'",
        "delete from entry",
        "truncate entry",
        "delete from producer",
        "update producer set last_sequence = 1",
        "update log_state set size = 0",
        "delete from log_state",
        "truncate log_published",
    ):
        async with pool.connection() as connection:
            with pytest.raises(psycopg.errors.RestrictViolation):
                await connection.execute(statement.encode())
    assert len(await rows(pool)) == 2


async def test_a_lost_commit_is_unknown_and_resolved_by_asking_again(store, pool):
    """The server dies while committing: CommitUnknown; the same batch again is answered once."""
    async with pool.connection() as connection:
        await connection.execute(
            "create function slow() returns trigger language plpgsql as "
            "$$ begin perform pg_sleep(0.4); return null; end $$"
        )
        await connection.execute(
            "create constraint trigger slow after insert on entry initially deferred "
            "for each row when (new.log_index = 0) execute function slow()"
        )
    appending = asyncio.ensure_future(store.append([submission("a/1", 1, 2)]))
    await asyncio.sleep(0.15)
    async with pool.connection() as connection:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where pid <> pg_backend_pid() and datname = current_database() and query ilike '%with moved%'"
        )
    with pytest.raises(CommitUnknown):
        await appending
    assert await store.append([submission("a/1", 1, 2)]) == [Appended((0, 1))]
    assert_gapless(await rows(pool))


async def test_the_batcher_resolves_what_it_cannot_know(store, pool):
    """A commit that happened but was not answered is found by (producer, sequence)."""
    lost = iter([True, False, True])

    async def append(batch):
        outcomes = await store.append(batch)
        if next(lost, False):
            raise CommitUnknown
        return outcomes

    batcher = make_batcher(append)
    first = await batcher.submit(submission("a/1", 1, 2))
    second = await batcher.submit(submission("a/1", 3, 1))
    assert (first, second) == (Appended((0, 1)), Appended((2,)))
    await batcher.stop()
    assert_gapless(await rows(pool))


def make_batcher(append, queue_entries_max: int = 4096) -> Batcher:
    batcher = Batcher(
        append,
        queue_entries_max=queue_entries_max,
        metrics=Metrics("audit"),
        log=audit_log.quiet_log(),
    )
    batcher.start()
    return batcher


async def test_a_batch_that_takes_too_long_lets_go_of_the_log(store, pool):
    """It is given up, also at the server: the next one need not wait for it, and the log goes on."""
    await store.append([submission("a/1", 1, 1)])
    async with pool.connection() as connection, connection.transaction():
        await connection.execute("lock table log_state in access exclusive mode")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await store.append([submission("a/1", 2, 1)])
        cursor = await connection.execute(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' "
            "and datname = current_database()"
        )
        assert await cursor.fetchone() == (0,)
    assert await store.append([submission("a/1", 2, 1)]) == [Appended((1,))]
    assert_gapless(await rows(pool))


@contextlib.asynccontextmanager
async def small_pool(dsn: str, size: int):
    """So many connections at most, not looked at before they are lent: as audit has it."""
    config = PostgresConfig(dsn=Secret(dsn), pool_min=1, pool_max=size)
    pool = await open_pool(config, name="test", check=False)
    try:
        yield pool
    finally:
        await pool.close()


async def test_a_second_cancel_loses_no_connection(dsn):
    """The first waits for the server to give up; whoever stops meanwhile leaves the pool whole."""
    async with small_pool(dsn, 2) as pool, audit_log.store_of(pool) as store:
        for _ in range(3):
            async with await psycopg.AsyncConnection.connect(dsn) as other:
                await other.execute("lock table log_state in access exclusive mode")
                append = asyncio.ensure_future(store.append([submission("a/1", 1, 1)]))
                await asyncio.sleep(0.1)
                append.cancel()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                append.cancel()
                await asyncio.gather(append, return_exceptions=True)
        assert await store.append([submission("a/1", 1, 1)]) == [Appended((0,))]


async def test_a_connection_that_is_given_back_serves_the_next_store(dsn):
    """Neither statements nor handlers of the first are in its way."""
    async with small_pool(dsn, 1) as pool:
        for number in range(3):
            async with audit_log.store_of(pool) as store:
                entry = submission("a/1", number + 1, 1)
                assert await store.append([entry]) == [Appended((number,))]


async def test_names_are_utf8_whatever_the_dsn_says(dsn):
    """A text is never read in another encoding than it was written in."""
    async with (
        small_pool(f"{dsn}?client_encoding=latin1", 2) as pool,
        audit_log.store_of(pool) as store,
    ):
        assert await store.append([submission("édge/1", 1, 2)]) == [Appended((0, 1))]
        assert await store.append([submission("édge/1", 1, 2)]) == [Appended((0, 1))]
        assert len(await store.call("T1", "trace-édge/1-1")) == 1


async def test_a_server_that_always_gives_notice_is_resolved(dsn):
    """No commit with a notice is believed, but the same batch again is answered from what is stored."""
    async with (
        small_pool(f"{dsn}?options=-c%20client_min_messages%3Ddebug2", 2) as pool,
        audit_log.store_of(pool) as store,
    ):
        with pytest.raises(CommitUnknown):
            await store.append([submission("a/1", 1, 1)])
        assert await store.append([submission("a/1", 1, 1)]) == [Appended((0,))]


async def test_names_with_signs_of_the_array_syntax_are_kept(store):
    """Stores and finds trace ids and producers with quotes, backslashes and braces unchanged."""
    odd = 'a"b\\c{d},NULL'
    assert await store.append([submission(odd, 1, 2)]) == [Appended((0, 1))]
    assert await store.append([submission(odd, 1, 2)]) == [Appended((0, 1))]
    (found,) = await store.call("T1", f"trace-{odd}-2")
    assert (found.log_index, found.leaf) == (1, submission(odd, 2, 1).entries[0].leaf)


async def test_calls_share_commits_and_a_leaver_harms_nobody(store, pool):
    """A thousand calls need few transactions; a cancelled caller's entry still stands."""
    batches = []

    async def append(batch):
        batches.append(len(batch))
        return await store.append(batch)

    batcher = make_batcher(append)
    waits = [batcher.submit(submission(f"edge-api/{n}", 1, 2)) for n in range(1000)]
    waits[7].cancel()
    outcomes = await asyncio.gather(*waits, return_exceptions=True)
    assert sum(isinstance(outcome, Appended) for outcome in outcomes) == 999
    assert len(batches) <= 3
    await batcher.stop()
    found = await rows(pool)
    assert len(found) == 2000
    assert_gapless(found)


async def test_the_queue_is_bounded_and_a_dead_database_is_said(pool):
    """Too much waiting is Full at once; without the database nothing is promised."""
    started = asyncio.Event()

    async def append(batch):
        started.set()
        await asyncio.sleep(0.1)
        raise StoreUnavailable

    batcher = make_batcher(append, queue_entries_max=4)
    first = batcher.submit(submission("a/1", 1, 4))
    await started.wait()
    second = batcher.submit(submission("a/2", 1, 4))
    with pytest.raises(Full):
        batcher.submit(submission("a/3", 1, 1))
    for waiting in (first, second):
        with pytest.raises(StoreUnavailable):
            await waiting
    await batcher.stop()
    with pytest.raises(Full):
        batcher.submit(submission("a/3", 1, 1))


async def test_a_full_backlog_refuses(pool):
    """More unpublished entries than configured: refused until the publisher catches up."""
    async with audit_log.store_of(pool, unpublished_max=3) as store:
        assert await store.append([submission("a/1", 1, 3), submission("a/1", 4, 1)]) == [
            Appended((0, 1, 2)),
            Refused(AppendDenial.BACKLOG, 4),
        ]
        async with pool.connection() as connection:
            await connection.execute("update log_published set size = 1")
        assert await store.append([submission("a/1", 4, 1)]) == [Appended((3,))]


async def test_reading_is_by_tenant_and_by_page(store):
    """A call is found by its tenant only; pages go on where the last one ended."""
    await store.append([submission("a/1", 1, 5)])
    (found,) = await store.call("T1", "trace-a/1-2")
    assert (found.log_index, found.leaf) == (1, submission("a/1", 2, 1).entries[0].leaf)
    assert audit_log.MAC.holds(found)
    assert await store.call("T2", "trace-a/1-2") == []
    page, next_index = await store.entries(0, limit=3)
    assert ([row.log_index for row in page], next_index) == ([0, 1, 2], 3)
    page, next_index = await store.entries(3, limit=3, tenant_id="T1")
    assert ([row.log_index for row in page], next_index) == ([3, 4], 5)
    assert await store.entries(0, limit=3, tenant_id="T2") == ([], 5)
    assert await store.entries(5, limit=3) == ([], 5)
    assert await store.entries(99, limit=3) == ([], 5)


async def test_a_subject_key_is_made_once(store):
    """Two replicas that need a tenant's key first end with the same one."""
    assert await store.subject_key("T1") is None
    made = await asyncio.gather(*(store.add_subject_key("T1", f"encrypted{n}") for n in range(5)))
    assert len(set(made)) == 1
    assert await store.subject_key("T1") == made[0]
