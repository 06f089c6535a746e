"""No connection of a service is to a database that may forget: each fault, seen on a real server."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from tests import engines
from tollgate_cli.suite.engines.postgres import wait_ready
from tollgate_cli.suite.processes.child import Child, Command
from tollgate_kit.config import PostgresConfig
from tollgate_kit.postgres import pool as pg
from tollgate_kit.postgres.durability import NotDurable, connect_durable
from tollgate_kit.secret import Secret


@pytest.fixture(scope="module")
def own_server() -> Iterator[engines.PostgresServer]:
    """A server that may be spoilt."""
    with engines.postgres_server() as server:
        yield server


@contextlib.contextmanager
def restarted(server: engines.PostgresServer, *settings: str) -> Iterator[Secret]:
    """The server, run with other settings meanwhile; a DSN of it."""
    server.process.stop(timeout_s=10)
    command = server.engine.command(server.log)
    more = tuple(part for setting in settings for part in ("-c", setting))
    server.process = Child("postgres", Command((*command.argv, *more), command.log, command.stop_signal))  # fmt: skip
    try:
        assert wait_ready(server.engine, timeout_s=30), server.process.log_tail()
        yield Secret(server.engine.dsn())
    finally:
        server.process.stop(timeout_s=10)
        server.restart()


async def refused(dsn: Secret, *, standby_required: bool = False) -> list[str]:
    """Why neither a connection nor a pool is given, which is the same for both."""
    with pytest.raises(NotDurable) as single:
        await connect_durable(dsn, standby_required=standby_required)
    with pytest.raises(NotDurable) as pooled:
        await pg.open_pool(PostgresConfig(dsn), name="test", standby_required=standby_required)
    assert single.value.faults == pooled.value.faults
    return single.value.faults


def with_setting(dsn: str, *settings: str) -> Secret:
    """The DSN for sessions with these settings."""
    return Secret(f"{dsn}?options={quote(' '.join(f'-c {each}' for each in settings))}")


async def test_a_durable_server_is_used(postgres_dsn):
    """The engine as the suite starts it has no fault."""
    connection = await connect_durable(Secret(postgres_dsn()))
    assert connection.autocommit
    await connection.close()


@pytest.mark.parametrize("weak", ["off", "local", "remote_write"])
async def test_a_session_that_does_not_wait_is_refused(postgres_dsn, weak):
    """synchronous_commit is asked of the session, wherever its value is from."""
    dsn = with_setting(postgres_dsn(), f"synchronous_commit={weak}")
    assert [f"synchronous_commit is '{weak}' for this role, must be on or remote_apply"] == await refused(dsn)  # fmt: skip


async def test_every_fault_of_a_session_is_told_at_once(postgres_dsn):
    """An operator mends all in one go: commit, writing, and the standby that was asked for."""
    dsn = with_setting(postgres_dsn(), "synchronous_commit=off", "default_transaction_read_only=on")
    assert [
        "synchronous_commit is 'off' for this role, must be on or remote_apply",
        "transactions are read-only",
        "synchronous_standby_names is empty, but standby_required is set",
    ] == await refused(dsn, standby_required=True)


async def test_a_server_that_does_not_write_through_is_refused(own_server):
    """fsync and full_page_writes off: after a crash, what was acknowledged may be gone or torn."""
    with restarted(own_server, "fsync=off", "full_page_writes=off") as dsn:
        assert [
            "fsync is 'off', must be on",
            "full_page_writes is 'off', must be on",
        ] == await refused(dsn)


async def test_a_server_without_checksums_is_refused(own_server):
    """Pages that rot in silence are no evidence and no books."""
    pg_checksums(own_server, "--disable")
    try:
        with restarted(own_server) as dsn:
            assert ["data_checksums is 'off', must be on"] == await refused(dsn)
    finally:
        pg_checksums(own_server, "--enable")


async def test_a_standby_is_refused(own_server):
    """A server in recovery is not where commits are, and what it shows may be old."""
    signal = data(own_server) / "standby.signal"
    signal.touch()
    try:
        with restarted(own_server) as dsn:
            assert [
                "this server is a standby, not the primary",
                "transactions are read-only",
            ] == await refused(dsn)
            signal.unlink()
    finally:
        signal.unlink(missing_ok=True)


async def test_a_pool_takes_in_no_connection_that_forgets(postgres_dsn):
    """A role that is weakened later gets no new connection: the store is away, nothing is lost."""
    dsn = postgres_dsn()
    pool = await pg.open_pool(PostgresConfig(Secret(dsn), 1, 1), name="test")
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("ALTER ROLE CURRENT_USER SET synchronous_commit = off")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'test' AND usename = CURRENT_USER"
            )
        with pytest.raises(PoolTimeout):
            async with pool.connection(timeout=1.0):
                pass
    finally:
        await pool.close()


def data(server: engines.PostgresServer) -> Path:
    return server.engine._directory / "data"


def pg_checksums(server: engines.PostgresServer, verb: str) -> None:
    """Turn page checksums on or off, which takes a server that is stopped; it runs again after."""
    engine = server.engine
    server.process.stop(timeout_s=10)
    program = (*engine._run_as.prefix, str(engine._bin / "pg_checksums"))
    subprocess.run((*program, verb, "-D", str(data(server))), cwd="/", check=True, capture_output=True)  # fmt: skip
    server.restart()
