"""Enters responses into the store, many with one commit, while their clients' last bytes wait.

Promises: what is answered within the bound is durable, so that the next turn finds it; a store that
is slow or away holds an answer up for no longer than that, and is counted and logged; what has
expired is swept.
"""

import asyncio
from typing import NamedTuple, Protocol

from tollgate_kit.clock import Clock
from tollgate_kit.lifecycle import core_task
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.work_queue import Full, WorkQueue, resolve
from tollgate_router.stored.response import StoredResponse
from tollgate_router.stored.store_postgres import SWEEP_ROWS_MAX, PostgresStoredResponses

# What an answer waits at most, and a batch may take.
WAIT_SECONDS = 0.25
WRITE_SECONDS = 2.0
QUEUE_MAX = 4_096
BATCH_MAX = 128
SWEEP_SECONDS = 600.0
STOP_SECONDS = 3.0


class Records(Protocol):
    """Where a response is entered: the recorder, or who stands in its place."""

    async def record(self, response: StoredResponse) -> None:
        """Enter a response; returns when it is durable, or when that takes too long."""
        ...


class _Waiting(NamedTuple):
    response: StoredResponse
    is_stored: "asyncio.Future[bool]"


class Recorder:
    """Takes responses in, and sweeps."""

    def __init__(
        self, store: PostgresStoredResponses, *, clock: Clock, log: Log, metrics: Metrics
    ) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._queue: WorkQueue[_Waiting] = WorkQueue(
            "stored responses", self._write, units_max=QUEUE_MAX, batch_units_max=BATCH_MAX
        )
        self._results = metrics.counter(
            "stored_responses_total",
            "Responses that an upstream keeps: entered, entered or not after the answer, not.",
            ("result",),
        )
        self._sweeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to enter and to sweep."""
        self._queue.start()
        self._sweeping = core_task("stored responses sweep", self._sweep())

    async def close(self) -> None:
        """Enter what waits, for a while, and stop."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        await self._queue.close(STOP_SECONDS)

    async def record(self, response: StoredResponse) -> None:
        """Enter a response; returns when it is durable, or when that takes too long."""
        waiting = _Waiting(response, asyncio.get_running_loop().create_future())
        try:
            self._queue.put(waiting)
        except Full:
            self._results.labels("lost").inc()
            self._log.warning("stored_response.not_entered", why="queue_full", responses=1)
            return
        await asyncio.wait((waiting.is_stored,), timeout=WAIT_SECONDS)
        if not waiting.is_stored.done():
            self._results.labels("late").inc()
        else:
            self._results.labels("entered" if waiting.is_stored.result() else "lost").inc()

    async def _write(self, batch: list[_Waiting]) -> None:
        why = ""
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self._put([waiting.response for waiting in batch])
        except Failure as failure:
            why = failure.reason
        except TimeoutError:
            why = "timeout"
        except Exception as error:  # noqa: BLE001 - one bad row must not end the process
            why = type(error).__name__
        if why:
            self._log.warning("stored_response.not_entered", why=why, responses=len(batch))
        for waiting in batch:
            resolve(waiting.is_stored, not why)

    async def _put(self, responses: list[StoredResponse]) -> None:
        try:
            await self._store.put(responses)
        except Exception:  # noqa: BLE001 - whatever it was may be over; it entered all or none
            await self._store.put(responses)

    async def _sweep(self) -> None:
        while True:
            try:
                while await self._store.sweep(now_ms=self._clock.unix_ms()) == SWEEP_ROWS_MAX:
                    pass
            except Failure as failure:
                self._log.warning("stored_response.not_swept", why=failure.reason)
            await asyncio.sleep(SWEEP_SECONDS)
