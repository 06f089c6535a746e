"""Who may publish: one process at a time, by an advisory lock held on one connection.

Promises: everything is read over the connection that holds the lock, so a lost connection is a
lost right before anything is signed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from tollgate_audit.log.entry_mac import Altered, EntryMac, Row
from tollgate_audit.log.publication import Inconsistent

# Any constant that every replica knows; another number than the migrations' lock.
_LOCK = 0x7365616C65720001


class PublishRight:
    """The right to publish, for as long as its connection lives."""

    def __init__(self, connection: AsyncConnection, mac: EntryMac) -> None:
        self._connection = connection
        self._mac = mac

    async def sequenced(self) -> int:
        """How many entries are sequenced."""
        return await self._number("select size from log_state")

    async def published(self) -> int:
        """How many entries are published, as far as Postgres was told."""
        return await self._number("select size from log_published")

    async def check_still_held(self) -> None:
        """Raises psycopg.Error when the lock's connection is gone."""
        await self._number("select 1")

    async def entries(self, start: int, end: int, *, published: bool = False) -> list[bytes]:
        """The leaves [start, end). Raises Inconsistent when one is missing or was changed.

        Published ones are not checked here: the caller compares them with what is published.
        """
        cursor = await self._connection.execute(
            "select log_index, leaf, mac from entry where log_index >= %s and log_index < %s "
            "order by log_index",
            (start, end),
            binary=True,
        )
        rows = [Row(*row) for row in await cursor.fetchall()]
        if len(rows) != end - start:
            raise Inconsistent(f"Postgres lacks entries between {start} and {end}")
        if published:
            return [row.leaf for row in rows]
        return await asyncio.to_thread(self._leaves, rows)

    def _leaves(self, rows: list[Row]) -> list[bytes]:
        for row in rows:
            if not self._mac.holds(row):
                raise Inconsistent(str(Altered(row.log_index)))
        return [row.leaf for row in rows]

    async def set_published(self, size: int) -> None:
        """Say how far the log is published; the appends' backlog bound reads it."""
        await self._connection.execute("update log_published set size = %s", (size,))

    async def _number(self, query: str) -> int:
        cursor = await self._connection.execute(query.encode())
        row = await cursor.fetchone()
        assert row is not None, "the query gives one row"
        return int(row[0])


class PublishRights:
    """Gives the right to publish to one process."""

    def __init__(self, pool: AsyncConnectionPool, mac: EntryMac) -> None:
        self._pool = pool
        self._mac = mac

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[PublishRight | None]:
        """The right, or None while another process has it. Raises psycopg.Error, PoolTimeout."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute("select pg_try_advisory_lock(%s)", (_LOCK,))
            row = await cursor.fetchone()
            if not row or not row[0]:
                yield None
                return
            try:
                yield PublishRight(connection, self._mac)
            finally:
                if not connection.closed:
                    await connection.execute("select pg_advisory_unlock(%s)", (_LOCK,))
