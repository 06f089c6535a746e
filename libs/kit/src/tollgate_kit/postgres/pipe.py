"""Round trips on one Postgres connection: several prepared statements sent, then all results read.

psycopg's own pipeline wakes the event loop for each statement and makes a cursor for each; at a
thousand commits a second that is most of the ledger's time. This is the same protocol with one
wait a trip. Promises: results in order; the first error of a trip is raised after the server has
said that the trip is over, so that the connection's state is known again.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, PipelineStatus
from psycopg.pq.abc import PGresult
from psycopg.waiting import Ready, Wait

Connection = AsyncConnection[tuple[Any, ...]]
Row = tuple[Any, ...]
# A statement's name, and its parameters as text.
Command = tuple[bytes, Sequence[bytes]]

_ERRORS = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE)


class Pipe:
    """One Postgres connection: a trip sends several prepared statements, then reads all results."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._pgconn = connection.pgconn
        self._transformer = Transformer(connection)

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
        for name, parameters in commands:
            self._pgconn.send_query_prepared(name, parameters)
        return await self._finish()

    def rows(self, result: PGresult) -> list[Row]:
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    async def close(self) -> None:
        await self.connection.close()

    async def _finish(self) -> list[PGresult]:
        if self._pgconn.pipeline_status == PipelineStatus.OFF:
            raise psycopg.OperationalError("the connection is not in pipeline mode")
        self._pgconn.pipeline_sync()
        return await self.connection.wait(self._results())

    def _results(self) -> Generator[Wait, Ready | int, list[PGresult]]:
        pgconn = self._pgconn
        while pgconn.flush():
            if (yield Wait.RW) & Ready.R:
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
                    return results
                results.append(result)
            yield Wait.R
            pgconn.consume_input()


def refusal(result: PGresult) -> psycopg.Error | None:
    """What the server said against a command; None if it did it, or if the link broke."""
    if result.status not in _ERRORS or not result.error_field(DiagnosticField.SQLSTATE):
        return None
    return error_from_result(result)


def _raise_first(results: Sequence[PGresult]) -> None:
    for result in results:
        if result.status in _ERRORS:
            raise error_from_result(result)
