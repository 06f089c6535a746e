"""A pipe to a real Postgres: results in order, and a state that is known or refused."""

import asyncio
import contextlib

import psycopg
import pytest
from psycopg import AsyncConnection

from tollgate_kit.postgres.pipe import Pipe

_STATEMENTS = {
    b"one": "SELECT $1::integer + 1",
    b"text": "SELECT $1::text",
    b"divide": "SELECT 1 / $1::integer",
    b"sleep": "SELECT pg_sleep($1::float)",
    b"pid": "SELECT pg_backend_pid()",
}


async def opened(dsn: str) -> Pipe:
    connection = await AsyncConnection.connect(dsn, autocommit=True)
    pipe = Pipe(connection)
    await pipe.prepare(_STATEMENTS)
    return pipe


@pytest.fixture
async def pipe(postgres_dsn):
    pipe = await opened(postgres_dsn())
    yield pipe
    await pipe.close()


async def test_results_come_in_order(pipe):
    """Many commands in one trip, each with its own result, trip after trip."""
    for first in range(3):
        results = await pipe.trip(*[(b"one", (b"%d" % (first + n),)) for n in range(50)])
        assert [pipe.rows(result) for result in results] == [[(first + n + 1,)] for n in range(50)]


async def test_what_no_socket_holds_at_once_goes_through(pipe):
    """Parameters and results far larger than any buffer: each side reads while the other writes."""
    text = b"x" * 8_000_000
    results = await pipe.trip(*[(b"text", (text,))] * 3)
    assert [pipe.rows(result) for result in results] == [[(text.decode(),)]] * 3


async def test_an_error_is_told_when_the_trip_is_over(pipe):
    """Raises after the last result; the server skips later commands; the next trip works."""
    with pytest.raises(psycopg.errors.DivisionByZero):
        await pipe.trip((b"one", (b"1",)), (b"divide", (b"0",)), (b"one", (b"2",)))
    (result,) = await pipe.trip((b"one", (b"41",)))
    assert pipe.rows(result) == [(42,)]


async def test_a_trip_that_was_cut_is_the_last(pipe):
    """Its results may still come: to the next trip they would be answers to other questions."""
    trip = asyncio.ensure_future(pipe.trip((b"sleep", (b"0.3",))))
    await asyncio.sleep(0.05)
    trip.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await trip
    with pytest.raises(psycopg.OperationalError):
        await pipe.trip((b"one", (b"1",)))


async def test_closing_ends_a_trip_that_waits(pipe):
    """At once, as a lost link does."""
    trip = asyncio.ensure_future(pipe.trip((b"sleep", (b"2",))))
    await asyncio.sleep(0.05)
    await pipe.close()
    async with asyncio.timeout(5):
        with pytest.raises(psycopg.OperationalError):
            await trip


async def test_a_connection_that_is_released_serves_as_before(postgres_dsn):
    """A pool may have it back."""
    pipe = await opened(postgres_dsn())
    await pipe.trip((b"one", (b"1",)))
    pipe.release()
    async with pipe.connection as connection:
        cursor = await connection.execute("select 1 + %s", (1,))
        assert await cursor.fetchone() == (2,)


async def test_closing_ends_a_trip_that_waits_for_room(postgres_dsn):
    """The server reads nothing; the process used to be aborted by libuv."""
    pipe = await opened(postgres_dsn())
    text = b"x" * 30_000_000
    trip = asyncio.ensure_future(pipe.trip((b"sleep", (b"2",)), *[(b"text", (text,))] * 3))
    await asyncio.sleep(0.5)
    await pipe.close()
    async with asyncio.timeout(5):
        with pytest.raises(psycopg.OperationalError):
            await trip


@pytest.mark.parametrize("idle", [True, False], ids=["idle", "waiting"])
async def test_a_link_that_the_server_ends_is_lost_and_the_next_is_another(postgres_dsn, idle):
    """Found by the next trip or by the one that waits; a new pipe is not confused with the old.

    The idle one is not asked about again and again: the loop goes to sleep.
    """
    dsn = postgres_dsn()
    pipe = await opened(dsn)
    ((pid,),) = pipe.rows((await pipe.trip((b"pid", ())))[0])
    trip = None if idle else asyncio.ensure_future(pipe.trip((b"sleep", (b"2",))))
    await asyncio.sleep(0.05)
    async with await AsyncConnection.connect(dsn, autocommit=True) as other:
        await other.execute("SELECT pg_terminate_backend(%s)", (pid,))
    await asyncio.sleep(0.2)
    assert not idle or not pipe._watched
    with pytest.raises(psycopg.OperationalError):
        await (trip or pipe.trip((b"one", (b"1",))))
    # Its descriptor is free now; a later connection may get the number.
    fresh = await opened(dsn)
    assert fresh.rows((await fresh.trip((b"one", (b"1",))))[0]) == [(2,)]
    await pipe.close()
    assert fresh.rows((await fresh.trip((b"one", (b"2",))))[0]) == [(3,)]
    await fresh.close()
