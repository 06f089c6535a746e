"""The one connection that commits batches: durable by assertion, cut by a watchdog.

Promises: a batch's outcomes are returned only after its COMMIT was acknowledged. What became of a
COMMIT whose answer was lost, late or came with a notice is read back, on a fresh connection, under
the same row locks: a transaction of ours that is still under way is waited for, not overlooked.
Never does: cancel a COMMIT at the server, assume an outcome, retry without bound.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence

import psycopg
from psycopg.errors import Diagnostic

from tollgate_budget.ledger import postgres_batch
from tollgate_budget.ledger.ledger import DenialReason, Denied, Reserved, Step, StepOutcome
from tollgate_budget.ledger.month import Month, month_of
from tollgate_budget.ledger.store import OutcomeUnknown, StoreUnavailable, WriteRefused
from tollgate_kit.postgres.durability import connect_durable
from tollgate_kit.postgres.pipe import Command, Connection, Pipe, refusal
from tollgate_kit.secret import Secret

TRIES_MAX = 3
WATCHDOG_S = 3.0
CONNECT_TIMEOUT_S = 3
# How long a batch waits for another program's row locks before it gives up and tries again.
LOCK_TIMEOUT_MS = 2000
# Between two tries; together with the tries this bounds how long a caller waits.
PAUSE_S = 0.05

# SQLSTATE classes with which a COMMIT says that it rolled back: a deferred constraint, a conflict.
_ROLLED_BACK = ("23", "40001", "40P01", "P0")
# What a repeat on the same connection may cure: conflicts, an id inserted meanwhile, a row lock.
_TRY_AGAIN = ("40001", "40P01", "23505", "55P03")
# What no repeat cures: data, integrity, names and rights, exceptions raised in the schema.
_REFUSED = ("22", "23", "42", "P0")

_STATEMENTS = {
    b"begin": "BEGIN",
    b"lock": postgres_batch.LOCK_WINDOWS,
    b"read": postgres_batch.READ_TRANSFERS,
    b"write": postgres_batch.WRITE,
    b"commit": "COMMIT",
    b"rollback": "ROLLBACK",
    b"open": postgres_batch.OPEN_MONTH,
}
_BEGIN: Command = (b"begin", ())
_COMMIT: Command = (b"commit", ())
_ROLLBACK: Command = (b"rollback", ())

Connect = Callable[[], Awaitable[Connection]]


async def connect(dsn: Secret, *, standby_required: bool = False) -> Connection:
    """A fresh connection for commits. Raises NotDurable or psycopg.OperationalError."""
    return await connect_durable(
        dsn,
        standby_required=standby_required,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name="tollgate_budget_writer",
        options=f"-c lock_timeout={LOCK_TIMEOUT_MS}",
    )


class _Unknown(Exception):  # noqa: N818
    """A COMMIT was sent and its answer was not a plain success."""

    def __init__(self, outcomes: list[StepOutcome]) -> None:
        super().__init__()
        self.outcomes = outcomes


class _MonthNotOpen(Exception):  # noqa: N818
    """Accounts have no row in this month yet."""


class PostgresWriter:
    """Commits batches one at a time; the caller sees to it that there is only one at a time."""

    def __init__(
        self,
        connect: Connect,
        *,
        watchdog_s: float = WATCHDOG_S,
        on_unknown: Callable[[], None] = lambda: None,
    ) -> None:
        self._connect = connect
        self._watchdog_s = watchdog_s
        self._on_unknown = on_unknown
        self._pipe: Pipe | None = None
        self._notices = 0
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        async with self._lock:
            await self._drop()

    async def apply(self, steps: Sequence[Step], *, now_ms: int) -> list[StepOutcome]:
        """See LedgerStore.apply."""
        async with self._lock:
            return await self._apply(steps, now_ms)

    async def _apply(self, steps: Sequence[Step], now_ms: int) -> list[StepOutcome]:
        month = month_of(now_ms)
        expected: list[StepOutcome] | None = None
        opened = False
        tries = 0
        while tries < TRIES_MAX:
            if tries:
                await asyncio.sleep(PAUSE_S * tries)
            try:
                outcomes = await self._attempt(steps, month, now_ms, opened=opened)
                return outcomes if expected is None else _first_told(expected, outcomes)
            except _MonthNotOpen:
                opened = True
                continue
            except _Unknown as unknown:
                self._on_unknown()
                expected = expected or unknown.outcomes
                await self._drop()
            except psycopg.Error as error:
                await self._drop_or_refuse(error)
            tries += 1
        if expected is not None:
            raise OutcomeUnknown
        raise StoreUnavailable

    async def _drop_or_refuse(self, error: psycopg.Error) -> None:
        """Nothing was committed. Raise if trying again cannot help."""
        state = error.sqlstate or ""
        if state.startswith(_TRY_AGAIN):
            await self._roll_back()
        elif state.startswith(_REFUSED):
            await self._roll_back()
            raise WriteRefused(state) from error
        else:
            await self._drop()

    async def _attempt(
        self, steps: Sequence[Step], month: Month, now_ms: int, *, opened: bool
    ) -> list[StepOutcome]:
        pipe = self._pipe or await self._open()
        watchdog = asyncio.get_running_loop().call_later(self._watchdog_s, _cut, pipe.connection)
        try:
            return await self._transact(pipe, steps, month, now_ms, opened=opened)
        except (psycopg.Error, _Unknown, _MonthNotOpen):
            raise
        except BaseException:
            # A bug, half-way through a transaction: its locks must not outlive it.
            await self._drop()
            raise
        finally:
            watchdog.cancel()

    async def _transact(
        self,
        pipe: Pipe,
        steps: Sequence[Step],
        month: Month,
        now_ms: int,
        *,
        opened: bool,
    ) -> list[StepOutcome]:
        locks, ids = postgres_batch.reads(steps, month)
        _, windows, transfers = await pipe.trip(_BEGIN, (b"lock", locks), (b"read", ids))
        book = postgres_batch.book(pipe.rows(windows), pipe.rows(transfers))
        absent = set() if opened else postgres_batch.missing(steps, book, month)
        if absent:
            await pipe.trip(_ROLLBACK)
            await pipe.trip((b"open", postgres_batch.opens(absent, month)))
            raise _MonthNotOpen
        outcomes = book.apply(steps, month=month, now_ms=now_ms)
        book.check()
        if not (book.new_transfers or book.changed_transfers):
            await pipe.trip(_ROLLBACK)
            return outcomes
        self._notices = 0
        try:
            written, committed = await pipe.results(
                (b"write", postgres_batch.writes(book)), _COMMIT
            )
        except (psycopg.Error, ValueError) as error:
            raise _Unknown(outcomes) from error
        # The server skips COMMIT after a refused write: then, and only then, nothing happened.
        refused = refusal(written) or refusal(committed)
        if refused is not None and (refusal(written) or _rolled_back(refused)):
            raise refused
        if self._notices or committed.command_status != b"COMMIT":
            raise _Unknown(outcomes)
        return outcomes

    async def _open(self) -> Pipe:
        try:
            connection = await self._connect()
            self._pipe = Pipe(connection)
        except OSError as error:
            raise psycopg.OperationalError(type(error).__name__) from None
        connection.add_notice_handler(self._notice)
        watchdog = asyncio.get_running_loop().call_later(self._watchdog_s, _cut, connection)
        try:
            await self._pipe.prepare(_STATEMENTS)
        finally:
            watchdog.cancel()
        return self._pipe

    def _notice(self, diagnostic: Diagnostic) -> None:
        """A warning at COMMIT says "committed here, perhaps nowhere else": no acknowledgement."""
        if (diagnostic.sqlstate or "").startswith("01"):
            self._notices += 1

    async def _roll_back(self) -> None:
        try:
            if self._pipe is not None:
                await self._pipe.trip(_ROLLBACK)
        except psycopg.Error:
            await self._drop()

    async def _drop(self) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            await pipe.close()


def _first_told(expected: list[StepOutcome], again: list[StepOutcome]) -> list[StepOutcome]:
    """The outcomes of a batch whose commit had to be read back.

    What that commit itself reserved is found as a replay, or as ended if the same batch settled
    it; to the caller it is the first answer.
    """
    return [
        then if _was_reserved_by(then, now) else now
        for then, now in zip(expected, again, strict=True)
    ]


def _was_reserved_by(then: StepOutcome, now: StepOutcome) -> bool:
    if not isinstance(then, Reserved) or then.replayed:
        return False
    if isinstance(now, Denied):
        return now.reason is DenialReason.RESERVATION_ENDED
    return isinstance(now, Reserved) and now.replayed


def _rolled_back(error: psycopg.Error) -> bool:
    return (error.sqlstate or "").startswith(_ROLLED_BACK)


def _cut(connection: Connection) -> None:
    """Break the connection under a transaction that takes too long.

    The server is not told to cancel: a COMMIT that was cancelled may still have happened.
    """
    try:
        duplicate = os.dup(connection.fileno())
    except (OSError, psycopg.Error):
        return
    with socket.socket(fileno=duplicate) as link:
        link.shutdown(socket.SHUT_RDWR)
