"""The sequenced log in Postgres: one statement a batch, no update of entries.

Promises: when append() returns, the entries are committed by a server that flushes; indices have
no gap, whatever number of replicas append. The log's size is the version of the whole sequencing
state, for nothing of it changes without an entry: a batch is decided on what this process knows,
and the one statement that writes it does so only if the size is still the one it was decided on.
An unknown commit is said to be unknown (CommitUnknown), never guessed: the same batch, appended
again, is answered from what is stored. Never decides: sequencer.py does.

Appends have a connection of the pool to themselves, for as long as it does what it is told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg.errors import Diagnostic
from psycopg.pq import Format
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tollgate_audit.log import sequencer
from tollgate_audit.log.entry_mac import EntryMac, Row
from tollgate_audit.log.sequencer import AppendOutcome, Producer, Refused, Stored, Submission
from tollgate_kit.postgres.arrays import binaries, plain, texts
from tollgate_kit.postgres.pipe import Pipe

_STATE = """
select state.size, published.size, producer.name, producer.first_index, producer.last_sequence
from log_state state cross join log_published published
left join producer on producer.name = any($1::text[])"""
_REPEATED = """
select asked.producer, entry.sequence, entry.log_index, entry.leaf
from unnest($1::text[], $2::bigint[], $3::bigint[]) as asked (producer, low, high)
join producer on producer.name = asked.producer
join entry on entry.producer_index = producer.first_index
    and entry.sequence between asked.low and asked.high"""
_ADD = """
with moved as (
    update log_state set size = size + $1::bigint where size = $2::bigint returning size
), added as (
    insert into entry (log_index, producer_index, sequence, tenant_id, trace_id, leaf, mac)
    select $2::bigint + place - 1, producer_index, sequence, tenant_id, trace_id, leaf, mac
    from unnest(
        $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bytea[], $8::bytea[]
    ) with ordinality as new (producer_index, sequence, tenant_id, trace_id, leaf, mac, place)
    where exists (select from moved)
), advanced as (
    insert into producer (name, first_index, last_sequence)
    select name, first_index, last_sequence
    from unnest($9::text[], $10::bigint[], $11::bigint[]) as new (name, first_index, last_sequence)
    where exists (select from moved)
    on conflict (name) do update set last_sequence = excluded.last_sequence
)
select (select size from moved), size from log_published"""
_CALL = """
select log_index, leaf, mac from entry
where tenant_id = %s and trace_id = %s and trace_id <> '' order by log_index limit %s"""
_RANGE = """
select log_index, leaf, mac from entry
where log_index >= %s and log_index < %s and (%s = '' or tenant_id = %s)
order by log_index limit %s"""
_STATEMENTS = {b"state": _STATE, b"repeated": _REPEATED, b"add": _ADD}
_ADD_FORMATS = [Format.TEXT] * 6 + [Format.BINARY] * 2 + [Format.TEXT] * 3
CALL_ENTRIES_MAX = 100
_ATTEMPTS_MAX = 100  # another replica was faster that often: give up, nothing was changed
_PRODUCERS_MAX = 10_000  # remembered; more are read again
_CANCEL_SECONDS = 1.0  # how long a statement that took too long is asked to end
SCAN_ENTRIES_MAX = 20_000  # how far one ListEntries looks for a tenant's entries


class StoreUnavailable(Exception):  # noqa: N818 - it is what happened
    """Postgres did not answer; nothing was changed."""


class CommitUnknown(Exception):  # noqa: N818 - it is what happened
    """The commit was sent and its answer is missing or doubtful."""


@dataclass(slots=True)
class _Known:
    """The sequencing state as of ``size``; None stands for a producer that has no entry yet."""

    size: int
    published: int
    producers: dict[str, Producer | None]


class PostgresStore:
    """The log's store. Its pool is owned by the composition root; to be closed before that."""

    def __init__(self, pool: AsyncConnectionPool, *, mac: EntryMac, unpublished_max: int) -> None:
        self._pool = pool
        self._mac = mac
        self._unpublished_max = unpublished_max
        self._known = _Known(0, 0, {})
        self._pipe: Pipe | None = None
        self._doubts = 0
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        """Give the connection of the appends back."""
        async with self._lock:
            pipe, self._pipe = self._pipe, None
            if pipe is not None:
                connection = pipe.connection
                connection.remove_notice_handler(self._doubt)
                with contextlib.suppress(psycopg.Error):  # broken: the pool sees to it
                    pipe.release()
                    await connection.execute("deallocate all")
                await self._pool.putconn(connection)

    async def append(self, submissions: Sequence[Submission]) -> list[AppendOutcome]:
        """Append a batch; an outcome for each submission. Raises StoreUnavailable, CommitUnknown.

        One batch at a time; cancelling it leaves the outcome unknown.
        """
        async with self._lock:
            try:
                return await self._append(self._pipe or await self._open(), submissions)
            except (psycopg.Error, PoolTimeout) as error:
                await self._drop()
                raise StoreUnavailable(type(error).__name__) from error
            except asyncio.CancelledError:
                await self._drop(cancel=True)
                raise
            except BaseException:
                await self._drop()
                raise

    async def _append(self, pipe: Pipe, submissions: Sequence[Submission]) -> list[AppendOutcome]:
        names = list({submission.producer for submission in submissions})
        fresh = False
        for _ in range(_ATTEMPTS_MAX):
            if fresh or not self._known.producers.keys() >= set(names):
                await self._refresh(pipe, names)
                fresh = True
            decision = await self._decide(pipe, submissions)
            if decision.new and await self._add(pipe, decision):
                return decision.outcomes
            refused = any(isinstance(o, Refused) for o in decision.outcomes)
            if not decision.new and (fresh or not refused):
                return decision.outcomes
            fresh = True  # what was known is old: read it, decide again
        raise StoreUnavailable("contention")

    async def _open(self) -> Pipe:
        connection = await self._pool.getconn()
        try:
            pipe = self._pipe = Pipe(connection)
        except BaseException:
            await connection.close()
            await self._pool.putconn(connection)
            raise
        connection.add_notice_handler(self._doubt)
        await pipe.prepare(_STATEMENTS)
        return pipe

    async def _drop(self, *, cancel: bool = False) -> None:
        """Let the connection go, which is in no state for others; the pool makes another."""
        pipe, self._pipe = self._pipe, None
        # What became of it is read again, not guessed from what was known before.
        self._known = _Known(0, 0, {})
        if pipe is None:
            return
        try:
            if cancel:
                # Else it goes on at the server, and the next append waits for its lock.
                with contextlib.suppress(psycopg.Error):
                    await pipe.connection.cancel_safe(timeout=_CANCEL_SECONDS)
        finally:
            await pipe.close()
            await self._pool.putconn(pipe.connection)

    def _doubt(self, _diagnostic: Diagnostic) -> None:
        self._doubts += 1

    async def _refresh(self, pipe: Pipe, names: list[str]) -> None:
        (result,) = await pipe.trip((b"state", (texts(names),)))
        rows = pipe.rows(result)
        size, published = rows[0][:2]
        if size != self._known.size or len(self._known.producers) > _PRODUCERS_MAX:
            self._known = _Known(size, published, {})
        self._known.published = published
        self._known.producers |= dict.fromkeys(names)
        for _, _, name, first_index, last_sequence in rows:
            if name is not None:
                self._known.producers[name] = Producer(first_index, last_sequence)

    async def _decide(self, pipe: Pipe, submissions: Sequence[Submission]) -> sequencer.Decision:
        state = self._known
        producers = {name: known for name, known in state.producers.items() if known}
        asked = sequencer.repeated(submissions, producers)
        return sequencer.decide(
            submissions,
            size=state.size,
            room=max(0, state.published + self._unpublished_max - state.size),
            producers=producers,
            stored=await self._stored(pipe, asked) if asked else {},
        )

    async def _stored(
        self, pipe: Pipe, asked: list[tuple[str, int, int]]
    ) -> dict[tuple[str, int], Stored]:
        names, lows, highs = (list(column) for column in zip(*asked, strict=True))
        (result,) = await pipe.trip((b"repeated", (texts(names), plain(lows), plain(highs))))
        return {
            (producer, sequence): Stored(log_index, leaf)
            for producer, sequence, log_index, leaf in pipe.rows(result)
        }

    async def _add(self, pipe: Pipe, decision: sequencer.Decision) -> bool:
        """Write a decision; False when the log moved meanwhile. Raises CommitUnknown."""
        self._doubts = 0
        parameters = self._parameters(decision, self._known.size)
        try:
            (result,) = await pipe.trip((b"add", parameters, _ADD_FORMATS))
        except psycopg.Error as error:
            raise CommitUnknown(type(error).__name__) from error
        if self._doubts:
            raise CommitUnknown(f"the commit came with {self._doubts} notices")
        ((size, published),) = pipe.rows(result)
        if size is None:
            return False
        self._known.size = size
        self._known.published = published
        self._known.producers |= decision.producers
        return True

    def _parameters(self, decision: sequencer.Decision, size: int) -> tuple[bytes, ...]:
        new, states = decision.new, decision.producers.values()
        mark = self._mac.mark
        return (
            b"%d" % len(new),
            b"%d" % size,
            plain([producer_index for producer_index, _, _ in new]),
            plain([sequence for _, sequence, _ in new]),
            texts([entry.tenant_id for _, _, entry in new]),
            texts([entry.trace_id for _, _, entry in new]),
            binaries([entry.leaf for _, _, entry in new]),
            binaries([mark(size + place, entry.leaf) for place, (_, _, entry) in enumerate(new)]),
            texts(list(decision.producers)),
            plain([state.first_index for state in states]),
            plain([state.last_sequence for state in states]),
        )

    async def size(self) -> int:
        """How many entries are sequenced. Raises StoreUnavailable."""
        rows = await self._fetch("select size from log_state", ())
        return int(rows[0][0])

    async def call(self, tenant_id: str, trace_id: str) -> list[Row]:
        """The entries of one call of one tenant, in log order. Raises StoreUnavailable."""
        rows = await self._fetch(_CALL, (tenant_id, trace_id, CALL_ENTRIES_MAX))
        return [Row(*row) for row in rows]

    async def entries(
        self, start: int, *, limit: int, tenant_id: str = ""
    ) -> tuple[list[Row], int]:
        """Entries from ``start`` on, and where to go on. Raises StoreUnavailable."""
        size = await self.size()
        end = min(size, start + (SCAN_ENTRIES_MAX if tenant_id else limit))
        if start >= end:
            return [], size
        rows = await self._fetch(_RANGE, (start, end, tenant_id, tenant_id, limit))
        return [Row(*row) for row in rows], rows[-1][0] + 1 if len(rows) == limit else end

    async def subject_key(self, tenant_id: str) -> str | None:
        """The tenant's encrypted subject key. Raises StoreUnavailable."""
        # The column's name is an older word for encrypted.
        rows = await self._fetch(
            "select sealed from subject_key where tenant_id = %s", (tenant_id,)
        )
        return rows[0][0] if rows else None

    async def add_subject_key(self, tenant_id: str, encrypted: str) -> str:
        """The tenant's encrypted subject key: this one, unless another was first."""
        await self._run(
            "insert into subject_key (tenant_id, sealed) values (%s, %s) on conflict do nothing",
            (tenant_id, encrypted),
        )
        return await self.subject_key(tenant_id) or encrypted

    async def _fetch(self, query: str, parameters: tuple[object, ...]) -> list[tuple]:  # type: ignore[type-arg] # rows differ by query
        try:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(query.encode(), parameters, binary=True)
                return await cursor.fetchall()
        except (psycopg.Error, PoolTimeout) as error:
            raise StoreUnavailable(type(error).__name__) from error

    async def _run(self, query: str, parameters: tuple[object, ...]) -> None:
        try:
            async with self._pool.connection() as connection:
                await connection.execute(query.encode(), parameters)
        except (psycopg.Error, PoolTimeout) as error:
            raise StoreUnavailable(type(error).__name__) from error
