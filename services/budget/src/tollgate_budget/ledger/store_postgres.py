"""The ledger in Postgres. Batches go through postgres_writer.py; the rest is here.

Promises: one transaction for each change, rows locked in the order of their ids. Whatever the
database cannot answer is StoreUnavailable, never a guess.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from tollgate_budget.ledger import postgres_batch
from tollgate_budget.ledger.ledger import (
    Resolution,
    Resolve,
    Resolved,
    State,
    Step,
    StepOutcome,
    Transfer,
    TransferId,
)
from tollgate_budget.ledger.month import Month, month_of
from tollgate_budget.ledger.postgres_writer import PostgresWriter
from tollgate_budget.ledger.store import AdminRequest, Record, SetLimit, StoreUnavailable
from tollgate_budget.ledger.window import AccountId, Window, open_window
from tollgate_kit.changes.once import Changes
from tollgate_kit.changes.request import ChangeRequest

Connection = AsyncConnection[tuple[Any, ...]]

_READ_WINDOWS_FROM = (
    f"SELECT {postgres_batch.WINDOW_COLUMNS} FROM account_window w"  # noqa: S608 - constants
    " WHERE w.account_id = %s AND w.month >= %s ORDER BY w.month"
)
_OPEN_ACCOUNT = (
    "INSERT INTO account (account_id, limit_nano_usd) VALUES (%s, %s)"
    " ON CONFLICT (account_id) DO NOTHING"
)
_SET_ACCOUNT = (
    "INSERT INTO account (account_id, limit_nano_usd) VALUES (%s, %s)"
    " ON CONFLICT (account_id) DO UPDATE SET limit_nano_usd = EXCLUDED.limit_nano_usd"
)
_READ_LIMIT = "SELECT limit_nano_usd FROM account WHERE account_id = %s"
_READ_LIMITS = "SELECT account_id, limit_nano_usd FROM account WHERE account_id = ANY(%s)"
_READ_WINDOWS = (
    f"SELECT {postgres_batch.WINDOW_COLUMNS} FROM account_window w"  # noqa: S608 - constants
    " WHERE w.account_id = ANY(%s) AND w.month = %s"
)
_LIST = f"""
SELECT {postgres_batch.TRANSFER_COLUMNS} FROM transfer
WHERE account_ids @> ARRAY[%(account_id)s::text]
  AND (%(state)s::smallint IS NULL OR state = %(state)s)
  AND (%(before)s::uuid IS NULL OR id < %(before)s)
ORDER BY transfer.id DESC LIMIT %(limit)s
"""  # noqa: S608 - put together from constants

# One statement, so one snapshot: the sums against the constraints, and against the transfers.
_VIOLATIONS = """
WITH told AS (
  SELECT account_id, month,
    sum(posted_nano_usd) AS posted,
    coalesce(sum(reserved_nano_usd) FILTER (WHERE state IN (1, 4)), 0) AS pending,
    coalesce(sum(reserved_nano_usd) FILTER (WHERE state = 4), 0) AS quarantined
  FROM transfer, unnest(account_ids) AS account_id
  WHERE month >= (SELECT coalesce(max(month), 0) FROM account_window)
  GROUP BY account_id, month
)
SELECT count(*) FROM account_window w FULL JOIN told t USING (account_id, month)
WHERE month >= (SELECT coalesce(max(month), 0) FROM account_window) AND (
  w.posted_nano_usd + w.pending_nano_usd > w.ceiling_nano_usd
  OR (w.ceiling_nano_usd <> w.limit_nano_usd AND NOT w.frozen)
  OR w.posted_nano_usd IS DISTINCT FROM coalesce(t.posted, 0)
  OR w.pending_nano_usd IS DISTINCT FROM coalesce(t.pending, 0)
  OR w.quarantined_nano_usd IS DISTINCT FROM coalesce(t.quarantined, 0)
)
"""


class PostgresLedger:
    """A LedgerStore on PostgreSQL 14 or newer, or anything that speaks it and locks rows."""

    def __init__(self, writer: PostgresWriter, pool: AsyncConnectionPool) -> None:
        self._writer = writer
        self._pool = pool
        self._changes = Changes(pool)

    async def apply(self, steps: Sequence[Step], *, now_ms: int) -> list[StepOutcome]:
        return await self._writer.apply(steps, now_ms=now_ms)

    async def administer(
        self, request: AdminRequest, record: Record, *, now_ms: int
    ) -> Window | Resolved:
        asked = ChangeRequest.of(request.request_id, request.content.encode())
        if isinstance(request.change, Resolve):
            return await self._resolve(asked, request.change, record, now_ms)
        return await self._set_limit(asked, request.change, record, now_ms)

    async def _set_limit(
        self, asked: ChangeRequest, change: SetLimit, record: Record, now_ms: int
    ) -> Window:
        async def make(connection: Connection) -> bytes:
            # Before any row of the account is locked: calls do not wait while audit answers.
            await record()
            window = await _put_limit(connection, change, month_of(now_ms))
            return json.dumps(asdict(window)).encode()

        answer = await self._changes.once(asked, make, now_ms=now_ms)
        return Window(**json.loads(answer.answer))

    async def _resolve(
        self, asked: ChangeRequest, change: Resolve, record: Record, now_ms: int
    ) -> Resolved:
        """The writer's connection commits it; by its own ids it comes to the same when repeated."""

        async def make(_connection: Connection) -> bytes | Resolved:
            await record()
            outcome = await self._resolved(change, now_ms)
            return b"{}" if outcome.result is Resolution.RESOLVED else outcome

        answer = await self._changes.once(asked, make, now_ms=now_ms, commits_itself=True)
        return answer if isinstance(answer, Resolved) else await self._resolved(change, now_ms)

    async def _resolved(self, change: Resolve, now_ms: int) -> Resolved:
        (outcome,) = await self._writer.apply([change], now_ms=now_ms)
        assert isinstance(outcome, Resolved)
        return outcome

    async def overdue(self, *, now_ms: int, limit: int) -> list[TransferId]:
        async with self._reading() as connection:
            rows = await connection.execute(
                "SELECT id::text FROM transfer WHERE state = 1 AND expire_unix_ms <= %s"
                " ORDER BY expire_unix_ms LIMIT %s",
                (now_ms, limit),
            )
            return [TransferId(row[0]) for row in await rows.fetchall()]

    async def accounts(
        self, account_ids: Sequence[AccountId], month: Month
    ) -> dict[AccountId, Window]:
        asked = list(account_ids)
        async with self._reading() as connection:
            # The limits first: a month that opens in between is then seen, and is newer.
            limits = await connection.execute(_READ_LIMITS, (asked,))
            found = {
                each: open_window(each, month, limit) for each, limit in await limits.fetchall()
            }
            windows = await connection.execute(_READ_WINDOWS, (asked, month))
            for row in await windows.fetchall():
                found[row[0]] = Window(*row)
            return found

    async def transfers(
        self,
        account_id: AccountId,
        *,
        state: State | None,
        before: TransferId | None,
        limit: int,
    ) -> list[Transfer]:
        asked = {
            "account_id": account_id,
            "state": None if state is None else int(state),
            "before": before,
            "limit": limit,
        }
        async with self._reading() as connection:
            rows = await (await connection.execute(_LIST, asked)).fetchall()
            return [postgres_batch.transfer(row) for row in rows]

    async def violations(self) -> int:
        async with self._reading() as connection:
            return int(_one(await (await connection.execute(_VIOLATIONS)).fetchone())[0])

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Connection]:
        """A pooled connection; what the database cannot do becomes StoreUnavailable."""
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, TooManyRequests, psycopg.OperationalError):
            raise StoreUnavailable from None


async def _put_limit(connection: Connection, change: SetLimit, month: Month) -> Window:
    """The account's window in that month, with the limit that is now in force.

    The account's row is locked first, so that no month of it opens with the old limit.
    A month that began while this waited has a window already: it gets the limit, too.
    """
    await connection.execute(
        _OPEN_ACCOUNT if change.open_only else _SET_ACCOUNT, (change.account_id, change.limit)
    )
    account = await connection.execute(_READ_LIMIT + " FOR NO KEY UPDATE", (change.account_id,))
    (limit,) = _one(await account.fetchone())
    await connection.execute(
        "INSERT INTO account_window (account_id, month, limit_nano_usd, ceiling_nano_usd)"
        " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (change.account_id, month, limit, limit),
    )
    rows = await connection.execute(
        _READ_WINDOWS_FROM + " FOR NO KEY UPDATE", (change.account_id, month)
    )
    windows = [Window(*row) for row in await rows.fetchall()]
    for window in windows:
        window.set_limit(limit)
        window.check()
        await connection.execute(
            "UPDATE account_window SET limit_nano_usd = %s, ceiling_nano_usd = %s, frozen = %s"
            " WHERE account_id = %s AND month = %s",
            (window.limit, window.ceiling, window.frozen, change.account_id, window.month),
        )
    return windows[0]


def _one(row: tuple[Any, ...] | None) -> tuple[Any, ...]:
    assert row is not None
    return row
