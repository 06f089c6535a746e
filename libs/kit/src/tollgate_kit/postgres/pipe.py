"""Round trips on one Postgres connection: several prepared statements sent, then all results read.

psycopg's own pipeline wakes the event loop for each statement and makes a cursor for each, and
tells the loop of its socket anew for each wait; at a thousand commits a second that is most of a
store's time. This is the same protocol with one wait a trip, on a socket that the loop knows.
Promises: results in order; the first error of a trip is raised after the server has said that the
trip is over, so that the connection's state is known again. After a trip that was cut short (its
task was cancelled) the state is not known: no other begins.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, Format, PipelineStatus
from psycopg.pq.abc import PGresult

Connection = AsyncConnection[tuple[Any, ...]]
Row = tuple[Any, ...]
# A statement's name and its parameters, as text; or these and the format of each.
Command = tuple[bytes, Sequence[bytes]] | tuple[bytes, Sequence[bytes], Sequence[Format]]

# How long a wait may last before libpq is asked without an event.
LOOK_SECONDS = 0.1
_ERRORS = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE)


class Pipe:
    """One Postgres connection: a trip sends several prepared statements, then reads all results.

    To be made where the event loop runs, and closed.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._pgconn = connection.pgconn
        self._transformer = Transformer(connection)
        self._loop = asyncio.get_running_loop()
        # A descriptor of our own for the same socket: libpq closes its own when the link breaks,
        # and the loop must not watch a number that is given to another file by then.
        self._socket = os.dup(connection.fileno())
        self._watched = False
        self._waiter: asyncio.Future[None] | None = None
        self._look: asyncio.TimerHandle | None = None
        self._under_way = False

    async def prepare(self, statements: Mapping[bytes, str]) -> None:
        """Enter pipeline mode and prepare every statement that trips will name."""
        self._pgconn.enter_pipeline_mode()
        for name, sql in statements.items():
            self._pgconn.send_prepare(name, sql.encode())
        _raise_first(await self._finish())

    async def trip(self, *commands: Command) -> list[PGresult]:
        """Send the commands, wait for all results. Raises psycopg.Error."""
        results = await self.results(*commands)
        _raise_first(results)
        return results

    async def results(self, *commands: Command) -> list[PGresult]:
        """As trip(); but what the server refused is returned. Raises if the link broke."""
        for command in commands:
            self._pgconn.send_query_prepared(*command)
        return await self._finish()

    def rows(self, result: PGresult) -> list[Row]:
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    async def close(self) -> None:
        """End the connection; a trip that is under way raises OperationalError."""
        self._let_go()
        await self.connection.close()

    def release(self) -> None:
        """Give the connection back to whoever made it, out of pipeline mode. No trip is under way.

        Its statements stay prepared. Raises OperationalError if the link broke.
        """
        self._let_go()
        self._pgconn.exit_pipeline_mode()

    def _let_go(self) -> None:
        self._unwatch()
        self._wake()
        if self._look is not None:
            self._look.cancel()
        if self._socket >= 0:
            # A trip may wait for room to write; libuv aborts over a watched number that is closed.
            self._loop.remove_writer(self._socket)
            os.close(self._socket)
            self._socket = -1

    async def _finish(self) -> list[PGresult]:
        """Send what was queued, read all results. Raises OperationalError if the link broke."""
        pgconn = self._pgconn
        if pgconn.pipeline_status == PipelineStatus.OFF or self._under_way:
            raise psycopg.OperationalError("the connection is in no state for a trip")
        self._under_way = True
        pgconn.pipeline_sync()
        while pgconn.flush():
            await self._writable()
            pgconn.consume_input()
        results: list[PGresult] = []
        while True:
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    # The end of one command's results; of all there will be, if the link broke.
                    if pgconn.status != ConnStatus.OK:
                        raise psycopg.OperationalError("the connection was lost")
                    continue
                if result.status == ExecStatus.PIPELINE_SYNC:
                    self._under_way = False
                    return results
                results.append(result)
            await self._readable()
            pgconn.consume_input()

    async def _readable(self) -> None:
        """Wait until there is something to read, or the link broke."""
        if not self._watched:
            self._loop.add_reader(self._socket, self._wake)
            self._watched = True
        if self._look is None:
            self._look = self._loop.call_later(LOOK_SECONDS, self._look_again)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def _writable(self) -> None:
        """Wait until there is room to write, or something to read: the server may wait for that."""
        self._loop.add_writer(self._socket, self._wake)
        try:
            await self._readable()
        finally:
            if self._socket >= 0:
                self._loop.remove_writer(self._socket)

    def _wake(self) -> None:
        if self._waiter is None:
            self._unwatch()  # nobody reads now, and the loop would tell of it again and again
        elif not self._waiter.done():
            self._waiter.set_result(None)

    def _look_again(self) -> None:
        """Let a trip that waits look for itself, and the loop begin anew to watch.

        uvloop tells of an error on a socket once and of nothing afterwards, however long one waits.
        """
        self._look = None
        if self._waiter is not None:
            self._unwatch()
            self._wake()

    def _unwatch(self) -> None:
        if self._watched:
            self._loop.remove_reader(self._socket)
            self._watched = False


def refusal(result: PGresult) -> psycopg.Error | None:
    """Return the error with which the server refused a command; None without such an answer."""
    if result.status not in _ERRORS or not result.error_field(DiagnosticField.SQLSTATE):
        return None
    return error_from_result(result)


def _raise_first(results: Sequence[PGresult]) -> None:
    for result in results:
        if result.status in _ERRORS:
            raise error_from_result(result)
