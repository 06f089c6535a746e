"""Carries out an operator's change at most once, on Postgres: the same way in every service.

Promises: the change, its answer and its request id are one transaction; whatever stops it on the
way, evidence that could not be recorded too, leaves nothing changed and the id free. Each service
keeps its answers in a table of its own:

    change_request (request_id text primary key, content_sha256 bytea, answer bytea,
                    create_unix_ms bigint)
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from tollgate_kit.changes.request import Applied, ChangeRequest, replay
from tollgate_kit.rpc.failure import outcome_unknown, store_unavailable

# A change holds a connection while audit answers; the others of a pool are for reading.
CHANGES_AT_ONCE: Final = 2

Connection = psycopg.AsyncConnection[Any]
D = TypeVar("D")


class Changes:
    """The changes of one service."""

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self._pool = pool
        self._turns = asyncio.Semaphore(CHANGES_AT_ONCE)

    async def once(
        self,
        request: ChangeRequest,
        make: Callable[[Connection], Awaitable[bytes | D]],
        *,
        now_ms: int,
        commits_itself: bool = False,
    ) -> Applied | D:
        """The answer to the request: the one that is kept, or else that of `make`.

        `make` records the evidence, makes the change on the connection it is given, and returns
        the answer: bytes, without a secret. If it returns a denial instead, or raises, nothing has
        changed. One that `commits_itself`, elsewhere, comes to the same when it is repeated.
        Raises Failure IDEMPOTENCY_MISMATCH; STORE_UNAVAILABLE; OUTCOME_UNKNOWN, which a repeat of
        the request resolves.
        """
        committing = False
        try:
            async with (
                self._turns,
                self._pool.connection() as connection,
                connection.transaction() as transaction,
            ):
                if known := replay(request, await _kept(connection, request.request_id)):
                    return known
                committing = commits_itself
                made = await make(connection)
                if not isinstance(made, bytes):
                    raise psycopg.Rollback(transaction)
                await _keep(connection, request, made, now_ms)
                committing = True
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise (outcome_unknown() if committing else store_unavailable("postgres")) from error
        return Applied(made, replayed=False) if isinstance(made, bytes) else made


async def _kept(connection: Connection, request_id: str) -> tuple[bytes, bytes] | None:
    """What is kept under the id; others with the same id wait here until the transaction's end."""
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (request_id,))
    await cursor.execute(
        "SELECT content_sha256, answer FROM change_request WHERE request_id = %s", (request_id,)
    )
    row = await cursor.fetchone()
    return None if row is None else (bytes(row[0]), bytes(row[1]))


async def _keep(connection: Connection, request: ChangeRequest, answer: bytes, now_ms: int) -> None:
    await connection.execute(
        "INSERT INTO change_request (request_id, content_sha256, answer, create_unix_ms)"
        " VALUES (%s, %s, %s, %s)",
        (request.request_id, request.content_sha256, answer, now_ms),
    )
