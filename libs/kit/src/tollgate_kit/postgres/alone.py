"""A connection for what must not happen beside the service: held only while no other has it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection

from tollgate_kit.postgres.durability import connect_durable
from tollgate_kit.secret import Secret

CONNECT_TIMEOUT_S = 5
# Any constant: another number than the locks of migrations and of publishing.
_LOCK = 0x616C6F6E65


class InUse(Exception):  # noqa: N818 - it is what was found
    """The service runs, or another process does the same."""


@asynccontextmanager
async def alone(dsn: Secret, *, beside: str) -> AsyncIterator[AsyncConnection]:
    """A durable connection in autocommit mode. Raises InUse, NotDurable, OperationalError.

    `beside` is the application name of the service's own connections.
    """
    connection = await connect_durable(
        dsn,
        application_name=f"{beside}-alone",
        connect_timeout=CONNECT_TIMEOUT_S,
    )
    async with connection:
        if not await _is(connection, "select pg_try_advisory_lock(%s)", _LOCK):
            raise InUse("another process does this already")
        there = (
            "select exists (select from pg_stat_activity where datname = current_database()"
            " and application_name = %s)"
        )
        if await _is(connection, there, beside):
            raise InUse(f"{beside} is connected to its database: stop it first")
        yield connection


async def _is(connection: AsyncConnection, query: str, value: object) -> bool:
    cursor = await connection.execute(query.encode(), (value,))
    row = await cursor.fetchone()
    return bool(row and row[0])
