"""Postgres: the pool of a service, and its migrations."""

import hashlib
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import resources

import psycopg
from psycopg_pool import AsyncConnectionPool

from tollgate_kit.config import PostgresConfig
from tollgate_kit.postgres.durability import (
    ENCODING,
    NotDurable,
    connect_durable,
    require_durable,
)

# Advisory lock under which migrations run, one process at a time: "tollgate" in ASCII, 63 bits.
_MIGRATION_LOCK = 0x746F6C6C67617465 & 0x7FFFFFFFFFFFFFFF
CONNECT_TIMEOUT_S = 5
ACQUIRE_TIMEOUT_S = 5.0
# The pool doubles the wait between its attempts until this is over; then each request begins anew.
# A longer time would be an outage that outlives the database's own.
RECONNECT_TIMEOUT_S = 2.0
TCP_USER_TIMEOUT_MS = 10_000
_JOURNAL = """
create table if not exists schema_migration (
    name text primary key,
    sha256 text not null,
    applied_at timestamptz not null default now()
)"""


class SchemaFault(Exception):  # noqa: N818 - it is what was found
    """The database is not at the version this program was written for."""


async def open_pool(
    config: PostgresConfig, *, name: str, check: bool = True, standby_required: bool = False
) -> AsyncConnectionPool:
    """Durable connections in autocommit mode. Raises NotDurable, OperationalError or PoolTimeout.

    Each connection is checked before it is lent, so that none that died with the last server
    fails a request; `check=False` spares that round trip where the caller tries again anyhow. Each
    new one is opened with what the file of the connection string says then.
    """
    options = {
        "autocommit": True,
        "application_name": name,
        "client_encoding": ENCODING,
        "connect_timeout": CONNECT_TIMEOUT_S,
        # A server that vanished without a word must not keep a connection for ever.
        "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
    }
    # A pool would only say that it has no connection: ask once, so that the reason is told.
    try:
        first = await connect_durable(config.dsn, standby_required=standby_required, **options)
        await first.close()
    except NotDurable:
        raise
    except psycopg.OperationalError:
        pass  # it may still be starting: the pool waits for it
    pool = AsyncConnectionPool(
        _dsn(config),
        min_size=config.pool_min,
        max_size=config.pool_max,
        open=False,
        name=name,
        timeout=ACQUIRE_TIMEOUT_S,
        reconnect_timeout=RECONNECT_TIMEOUT_S,
        max_waiting=1000,
        check=AsyncConnectionPool.check_connection if check else None,
        configure=partial(require_durable, standby_required=standby_required),
        kwargs=options,
    )
    try:
        await pool.open(wait=True, timeout=2 * CONNECT_TIMEOUT_S)
    except BaseException:
        await pool.close()
        raise
    return pool


def _dsn(config: PostgresConfig) -> Callable[[], Awaitable[str]]:
    """Asked for each new connection: a password that was rotated is used from then on."""

    async def dsn() -> str:
        return config.dsn.reveal()

    return dsn


def migrations(package: str) -> list[tuple[str, str]]:
    """(name, SQL) of each migrations/NNNN_name.sql of a package, in order."""
    folder = resources.files(package) / "migrations"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [(f.name, f.read_text()) for f in files]


async def migrate(config: PostgresConfig, *, package: str) -> list[str]:
    """Apply what has not been applied yet; the names applied. Raises SchemaFault.

    Each migration is one transaction with its journal row: applied wholly or not at all.
    """
    applied: list[str] = []
    connection = await psycopg.AsyncConnection.connect(
        config.dsn.reveal(), autocommit=True, connect_timeout=CONNECT_TIMEOUT_S
    )
    async with connection:
        await connection.execute("select pg_advisory_lock(%s)", (_MIGRATION_LOCK,))
        await connection.execute(_JOURNAL)
        done = await _journal(connection)
        for name, sql in migrations(package):
            digest = hashlib.sha256(sql.encode()).hexdigest()
            if name in done:
                if done[name] != digest:
                    raise SchemaFault(f"{name} was applied with other content")
                continue
            async with connection.transaction():
                await connection.execute(sql.encode())
                await connection.execute(
                    "insert into schema_migration (name, sha256) values (%s, %s)", (name, digest)
                )
            applied.append(name)
    return applied


async def check_schema(pool: AsyncConnectionPool, *, package: str) -> None:
    """Raise SchemaFault unless exactly the package's migrations were applied."""
    async with pool.connection() as connection:
        cursor = await connection.execute("select to_regclass('schema_migration') is not null")
        row = await cursor.fetchone()
        done = await _journal(connection) if row and row[0] else {}
    wanted = [name for name, _ in migrations(package)]
    missing = [name for name in wanted if name not in done]
    if missing:
        raise SchemaFault(f"migrations not applied: {', '.join(missing)}; run: migrate")


async def _journal(connection: psycopg.AsyncConnection) -> dict[str, str]:
    cursor = await connection.execute("select name, sha256 from schema_migration")
    return dict(await cursor.fetchall())
