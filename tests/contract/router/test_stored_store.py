"""What router keeps of stored responses, by the twin in memory where it has one, and real Postgres."""

import asyncio
import contextlib
import io

import psycopg
import pytest

from tests.contract.router.stores import MemoryStored
from tollgate_kit.clock import SystemClock
from tollgate_kit.config import PostgresConfig
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.postgres import pool as pg
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.secret import Secret
from tollgate_router.stored import recorder as recorders
from tollgate_router.stored import store_postgres
from tollgate_router.stored.recorder import Recorder
from tollgate_router.stored.response import KEPT_MS, StoredResponse
from tollgate_router.stored.store_postgres import PostgresStoredResponses

NOW = 1_760_000_000_000


def response(response_id="resp_1", tenant_id="t", **changes):
    made = StoredResponse(response_id, tenant_id, "k", "p0", "pk-0-0", "up-m", "m", 500, NOW)
    return made._replace(**changes)


@contextlib.asynccontextmanager
async def on_postgres(dsn):
    config = PostgresConfig(Secret(dsn), 1, 4)
    await pg.migrate(config, package="tollgate_router")
    pool = await pg.open_pool(config, name="test")
    try:
        yield PostgresStoredResponses(pool)
    finally:
        await pool.close()


@pytest.fixture(params=["memory", "postgres"])
async def store(request):
    if request.param == "memory":
        yield MemoryStored()
        return
    async with on_postgres(request.getfixturevalue("postgres_dsn")()) as store:
        yield store


@pytest.fixture
async def postgres_store(postgres_dsn):
    async with on_postgres(postgres_dsn()) as store:
        yield store


async def test_a_response_is_its_tenants(store):
    """Found by its tenant as it was entered, by another not at all; forgotten by its tenant alone."""
    made = [response(), response("resp_2", "u", context_tokens=0)]
    await store.put(made)
    assert made[0] == await store.find("t", "resp_1", now_ms=NOW)
    assert made[1] == await store.find("u", "resp_2", now_ms=NOW)
    for tenant_id, response_id in (("u", "resp_1"), ("t", "resp_2"), ("t", "resp_3")):
        assert await store.find(tenant_id, response_id, now_ms=NOW) is None
    await store.delete("t", "resp_2")
    assert made[1] == await store.find("u", "resp_2", now_ms=NOW)
    await store.delete("t", "resp_1")
    assert await store.find("t", "resp_1", now_ms=NOW) is None


async def test_an_id_that_was_given_twice_is_nobodys(postgres_store):
    """The upstream could mean either: of two tenants, or of two accounts. For good."""
    store = postgres_store
    for twin in (response(tenant_id="u"), response(provider="p1"), response(provider_key_id="pk")):
        await store.put([response()])
        await store.put([twin])
        for tenant_id in ("t", "u"):
            assert await store.find(tenant_id, "resp_1", now_ms=NOW) is None
        await store.put([response()])
        assert await store.find("t", "resp_1", now_ms=NOW) is None


async def test_an_id_that_an_account_repeats_says_nothing_of_its_length(postgres_store):
    """To one tenant, in one batch or two: which of its answers is kept, nobody knows."""
    store = postgres_store
    await store.put([response(context_tokens=5), response(context_tokens=7), response("resp_2")])
    found = await store.find("t", "resp_1", now_ms=NOW)
    assert 0 == found.context_tokens
    assert 500 == (await store.find("t", "resp_2", now_ms=NOW)).context_tokens


async def test_routers_that_enter_the_same_ids_wait_for_no_circle(postgres_store):
    """An upstream that repeats ids, told in any order: every batch is entered, others' rows too."""
    ids = list(range(60))
    for number in range(6):
        async with asyncio.TaskGroup() as group:
            for told in (ids, ids[::-1], ids[30:] + ids[:30]):
                rows = [response(f"resp_{each}") for each in told]
                rows.insert(30, response(f"resp_u{number}_{told[0]}", "u"))
                group.create_task(postgres_store.put(rows))
        for first in (0, 59, 30):
            assert await postgres_store.find("u", f"resp_u{number}_{first}", now_ms=NOW)


async def test_what_expired_is_not_found_and_swept(postgres_store, monkeypatch):
    """After thirty days, in bounded steps; what has not expired stays."""
    store = postgres_store
    old = [response(f"resp_{n}") for n in range(5)]
    await store.put([*old, response("resp_new", create_unix_ms=NOW + 1)])
    then = NOW + KEPT_MS
    assert old[0] == await store.find("t", "resp_0", now_ms=then - 1)
    assert await store.find("t", "resp_0", now_ms=then) is None
    monkeypatch.setattr(store_postgres, "SWEEP_ROWS_MAX", 3)
    assert [3, 2, 0] == [await store.sweep(now_ms=then) for _ in range(3)]
    assert await store.find("t", "resp_new", now_ms=then) is not None


async def test_the_schema_takes_no_forged_id(postgres_store):
    """Whatever the code lets through, and then nothing of that batch."""
    for forged in ("resp_", "resp_a/b", "resp_a\n", "resp_" + "a" * 129, "msg_1"):
        with pytest.raises(psycopg.errors.CheckViolation):
            await postgres_store.put([response(), response(forged)])
    assert await postgres_store.find("t", "resp_1", now_ms=NOW) is None


@contextlib.asynccontextmanager
async def recording(store):
    out = io.StringIO()
    metrics = Metrics("router")
    recorder = Recorder(store, clock=SystemClock(), log=Log("router", out=out), metrics=metrics)
    recorder.start()
    results = metrics.counter("stored_responses_total", "", ("result",))
    try:
        yield recorder, lambda name: results.labels(name).value, out
    finally:
        await recorder.close()


async def test_what_was_recorded_is_durable(postgres_store):
    """Many at once share commits; whoever was answered is found on another connection."""
    async with recording(postgres_store) as (recorder, count, _):
        async with asyncio.TaskGroup() as group:
            for number in range(300):
                group.create_task(recorder.record(response(f"resp_{number}")))
        found = [await postgres_store.find("t", f"resp_{n}", now_ms=NOW) for n in range(300)]
        assert None not in found
        assert (300, 0, 0) == (count("entered"), count("late"), count("lost"))


class Slow(MemoryStored):
    """A store that takes its time, or is away."""

    def __init__(self, seconds=0.0, *, away=False, fails=0):
        super().__init__()
        self.seconds, self.away, self.fails = seconds, away, fails

    async def put(self, responses):
        await asyncio.sleep(self.seconds)
        self.fails -= 1
        if self.away or self.fails >= 0:
            raise psycopg.OperationalError("gone")
        await super().put(responses)


async def test_a_slow_store_holds_an_answer_up_for_a_bound_only():
    """Counted; what was begun is entered all the same."""
    store = Slow(0.6)
    async with recording(store) as (recorder, count, _):
        loop = asyncio.get_running_loop()
        began = loop.time()
        await recorder.record(response())
        assert recorders.WAIT_SECONDS <= loop.time() - began + 0.01 < 0.5
        assert 1 == count("late")
        await asyncio.sleep(0.6)
        assert await store.find("t", "resp_1", now_ms=NOW) is not None


@pytest.mark.parametrize(("fails", "result"), [(1, "entered"), (2, "lost")])
async def test_a_batch_that_failed_is_tried_once_more(fails, result):
    """All of it is entered or none, so it may be; others' rows are not lost by a conflict."""
    async with recording(Slow(fails=fails)) as (recorder, count, _):
        await recorder.record(response())
        assert 1 == count(result)


async def test_a_store_that_is_away_loses_the_row_and_not_the_answer(monkeypatch):
    """Counted and logged, without the id; the next one is entered when it is back."""
    store = Slow(away=True)
    async with recording(store) as (recorder, count, out):
        await recorder.record(response())
        assert (0, 1) == (count("entered"), count("lost"))
        assert "stored_response.not_entered" in out.getvalue()
        assert "resp_1" not in out.getvalue()
        store.away = False
        await recorder.record(response("resp_2"))
        assert 1 == count("entered")
        monkeypatch.setattr(recorder._queue, "_units_max", 0)
        await recorder.record(response("resp_3"))
        assert 2 == count("lost")


async def test_a_database_that_is_gone_is_a_failure_that_may_be_retried(postgres_dsn):
    """Not found is said only by a store that was asked."""
    async with on_postgres(postgres_dsn()) as store:
        await store._pool.close()
        with pytest.raises(Failure) as failed:
            await store.find("t", "resp_1", now_ms=NOW)
        assert "STORE_UNAVAILABLE" == failed.value.reason
