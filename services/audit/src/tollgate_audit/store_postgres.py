"""The sequenced log in Postgres: one transaction a batch, two round trips, no update of entries.

Promises: when append() returns, the entries are committed by a server that flushes; indices have
no gap, whatever number of replicas append (they queue on one row). An unknown commit is said to
be unknown (CommitUnknown), never guessed: the same batch, appended again, is answered from what
is stored. Never decides: sequencer.py does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tollgate_audit import sequencer
from tollgate_audit.sequencer import Outcome, Producer, Stored, Submission

# A replica that stops in mid-transaction must not hold the log for longer than this.
_IDLE_LIMIT_MS = "5000"

_LOCK = f"""
select state.size, published.size,
    set_config('idle_in_transaction_session_timeout', '{_IDLE_LIMIT_MS}', true)
from log_state state, log_published published for no key update of state"""  # noqa: S608 - constants
_PRODUCERS = "select name, first_index, last_sequence from producer where name = any(%s)"
_REPEATED = """
select asked.producer, entry.sequence, entry.log_index, entry.leaf
from unnest(%s::text[], %s::bigint[], %s::bigint[]) as asked (producer, low, high)
join producer on producer.name = asked.producer
join entry on entry.producer_index = producer.first_index
    and entry.sequence between asked.low and asked.high"""
_ADD = """
with added as (
    insert into entry (log_index, producer_index, sequence, tenant_id, trace_id, leaf)
    select %b::bigint + place - 1, producer_index, sequence, tenant_id, trace_id, leaf
    from unnest(%b::bigint[], %b::bigint[], %b::text[], %b::text[], %b::bytea[]) with ordinality
        as new (producer_index, sequence, tenant_id, trace_id, leaf, place)
), advanced as (
    insert into producer (name, first_index, last_sequence)
    select * from unnest(%b::text[], %b::bigint[], %b::bigint[])
    on conflict (name) do update set last_sequence = excluded.last_sequence
)
update log_state set size = size + %b::bigint"""
_CALL = """
select log_index, leaf from entry
where tenant_id = %s and trace_id = %s and trace_id <> '' order by log_index limit %s"""
_RANGE = """
select log_index, leaf from entry
where log_index >= %s and log_index < %s and (%s = '' or tenant_id = %s)
order by log_index limit %s"""
CALL_ENTRIES_MAX = 100
SCAN_ENTRIES_MAX = 20_000  # how far one ListEntries looks for a tenant's entries


class StoreUnavailable(Exception):  # noqa: N818 - it is what happened
    """Postgres did not answer; nothing was changed."""


class CommitUnknown(Exception):  # noqa: N818 - it is what happened
    """The commit was sent and its answer is missing or doubtful."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How far the log is sequenced, and how far published."""

    sequenced: int
    published: int


class PostgresStore:
    """The log's store. Its pool is owned by the composition root."""

    def __init__(self, pool: AsyncConnectionPool, *, unpublished_max: int) -> None:
        self._pool = pool
        self._unpublished_max = unpublished_max

    async def append(self, submissions: Sequence[Submission]) -> list[Outcome]:
        """Append a batch; an outcome for each submission. Raises StoreUnavailable, CommitUnknown.

        Cancelling it leaves the outcome unknown, as CommitUnknown does.
        """
        committing = False
        doubts: list[str] = []
        try:
            async with self._pool.connection() as connection:

                def doubt(diagnostic: psycopg.errors.Diagnostic) -> None:
                    doubts.append(diagnostic.sqlstate or "")

                async with connection.pipeline() as pipeline:
                    await connection.execute("begin", prepare=True)
                    decision, size = await self._decide(connection, submissions)
                    if not decision.new:
                        await connection.execute("rollback", prepare=True)
                        return decision.outcomes
                    await self._add(connection, decision, size)
                    connection.add_notice_handler(doubt)
                    committing = True
                    try:
                        commit = await connection.execute("commit", prepare=True)
                        await pipeline.sync()
                    finally:
                        connection.remove_notice_handler(doubt)
                if doubts or commit.statusmessage != "COMMIT":
                    raise CommitUnknown(f"commit said {doubts or commit.statusmessage}")
                return decision.outcomes
        except (psycopg.Error, PoolTimeout) as error:
            if committing:
                raise CommitUnknown(type(error).__name__) from error
            raise StoreUnavailable(type(error).__name__) from error

    async def _decide(
        self, connection: AsyncConnection, submissions: Sequence[Submission]
    ) -> tuple[sequencer.Decision, int]:
        names = list({submission.producer for submission in submissions})
        head = await connection.execute(_LOCK, prepare=True)
        rows = await connection.execute(_PRODUCERS, (names,), prepare=True)
        state = await head.fetchone()  # the first of the two round trips
        assert state is not None, "the migration made the row"
        size, published, _ = state
        known = {name: Producer(first, last) for name, first, last in await rows.fetchall()}
        asked = sequencer.repeated(submissions, known)
        stored = await self._stored(connection, asked) if asked else {}
        room = max(0, published + self._unpublished_max - size)
        decision = sequencer.decide(
            submissions, size=size, room=room, producers=known, stored=stored
        )
        return decision, size

    async def _stored(
        self, connection: AsyncConnection, asked: list[tuple[str, int, int]]
    ) -> dict[tuple[str, int], Stored]:
        producers, lows, highs = (list(column) for column in zip(*asked, strict=True))
        cursor = await connection.execute(_REPEATED, (producers, lows, highs))
        return {
            (producer, sequence): Stored(log_index, leaf)
            for producer, sequence, log_index, leaf in await cursor.fetchall()
        }

    async def _add(
        self, connection: AsyncConnection, decision: sequencer.Decision, size: int
    ) -> None:
        new = decision.new
        names = list(decision.producers)
        states = decision.producers.values()
        await connection.execute(
            _ADD,
            (
                size,
                [producer_index for producer_index, _, _ in new],
                [sequence for _, sequence, _ in new],
                [entry.tenant_id for _, _, entry in new],
                [entry.trace_id for _, _, entry in new],
                [entry.leaf for _, _, entry in new],
                names,
                [state.first_index for state in states],
                [state.last_sequence for state in states],
                len(new),
            ),
            prepare=True,
        )

    async def sizes(self) -> Sizes:
        """How far the log is. Raises StoreUnavailable."""
        rows = await self._fetch(
            "select state.size, published.size from log_state state, log_published published", ()
        )
        return Sizes(*rows[0])

    async def call(self, tenant_id: str, trace_id: str) -> list[tuple[int, bytes]]:
        """(index, leaf) of one call of one tenant, in log order. Raises StoreUnavailable."""
        return await self._fetch(_CALL, (tenant_id, trace_id, CALL_ENTRIES_MAX))

    async def entries(
        self, start: int, *, limit: int, tenant_id: str = ""
    ) -> tuple[list[tuple[int, bytes]], int]:
        """(index, leaf) from ``start`` on, and where to go on. Raises StoreUnavailable."""
        size = (await self.sizes()).sequenced
        end = min(size, start + (SCAN_ENTRIES_MAX if tenant_id else limit))
        if start >= end:
            return [], size
        rows = await self._fetch(_RANGE, (start, end, tenant_id, tenant_id, limit))
        return rows, rows[-1][0] + 1 if len(rows) == limit else end

    async def subject_key(self, tenant_id: str) -> str | None:
        """The tenant's sealed subject key. Raises StoreUnavailable."""
        rows = await self._fetch(
            "select sealed from subject_key where tenant_id = %s", (tenant_id,)
        )
        return rows[0][0] if rows else None

    async def add_subject_key(self, tenant_id: str, sealed: str) -> str:
        """The tenant's sealed subject key: this one, unless another was first."""
        await self._run(
            "insert into subject_key (tenant_id, sealed) values (%s, %s) on conflict do nothing",
            (tenant_id, sealed),
        )
        return await self.subject_key(tenant_id) or sealed

    async def _fetch(self, query: str, parameters: tuple[object, ...]) -> list[tuple]:  # type: ignore[type-arg] # rows differ by query
        try:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(query.encode(), parameters)
                return await cursor.fetchall()
        except (psycopg.Error, PoolTimeout) as error:
            raise StoreUnavailable(type(error).__name__) from error

    async def _run(self, query: str, parameters: tuple[object, ...]) -> None:
        try:
            async with self._pool.connection() as connection:
                await connection.execute(query.encode(), parameters)
        except (psycopg.Error, PoolTimeout) as error:
            raise StoreUnavailable(type(error).__name__) from error
