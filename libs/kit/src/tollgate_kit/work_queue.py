"""A bounded queue whose items are worked on in batches, one batch at a time, in order of arrival.

Promises: what does not fit is refused at once. A batch is what waits, up to its limits; its first
item always fits. Who waits for an item and goes changes nothing. close() waits as long as told, and
says what was not done. Work that raises ends the process: the next batch would skip this one.
"""

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from tollgate_kit.lifecycle import core_task

T = TypeVar("T")


class Full(Exception):  # noqa: N818 - it is what happened
    """The queue is at its bound; nothing was taken."""


class WorkQueue(Generic[T]):
    """Hands what was put to `work`, in batches.

    An item counts as its units against `units_max` until it is done; without `flight_counts`, until
    it is in a batch. `gather` is awaited before each batch, so that more may come.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[list[T]], Awaitable[None]],
        *,
        units_max: int,
        batch_units_max: int,
        batch_bytes_max: int = sys.maxsize,
        flight_counts: bool = True,
        gather: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._name = name
        self._work = work
        self._units_max = units_max
        self._batch_units_max = batch_units_max
        self._batch_bytes_max = batch_bytes_max
        self._flight_counts = flight_counts
        self._gather = gather
        self._waiting: deque[tuple[T, int, int]] = deque()
        self._flight: list[T] = []
        self._wake = asyncio.Event()
        self._done = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # Accepted and not done; of these, what does not count against the bound.
        self.units = 0
        self._uncounted = 0
        # Set by close(). What comes is still taken: who wants nothing new refuses it by this.
        self.closing = False

    def start(self) -> None:
        """Begin to work, until close()."""
        self._task = core_task(self._name, self._run())
        self._task.add_done_callback(lambda _: self._done.set())

    async def close(self, seconds: float) -> int:
        """Wait for all that was accepted, at most that long, then stop; the units not done."""
        self.closing = True
        if self._task is None:
            return self.units
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (self.units or self._waiting or self._flight) and not self._task.done():
                    self._done.clear()
                    await self._done.wait()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return self.units

    def put(self, item: T, units: int = 1, size_bytes: int = 0) -> None:
        """Accept an item and queue it: both, written out for the hot path. Raises Full."""
        if self.units - self._uncounted + units > self._units_max:
            raise Full
        self.units += units
        if not self._waiting:
            self._wake.set()
        self._waiting.append((item, units, size_bytes))

    def expect(self, units: int = 1) -> None:
        """Accept an item that comes later, by put_expected(), or never, by forgo(). Raises Full."""
        if self.units - self._uncounted + units > self._units_max:
            raise Full
        self.units += units

    def put_expected(self, item: T, units: int = 1, size_bytes: int = 0) -> None:
        """Queue an item that was accepted."""
        if not self._waiting:
            self._wake.set()
        self._waiting.append((item, units, size_bytes))

    def forgo(self, units: int = 1) -> None:
        """Count an item that was expected as done."""
        self.units -= units
        self._done.set()

    @property
    def waiting(self) -> int:
        """How many items are in no batch yet."""
        return len(self._waiting)

    @property
    def oldest(self) -> T | None:
        """The first item that is not done."""
        if self._flight:
            return self._flight[0]
        return self._waiting[0][0] if self._waiting else None

    async def _run(self) -> None:
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                # What comes in the same turn of the loop shares the batch.
                await asyncio.sleep(0)
            if self._gather is not None:
                await self._gather()
            self._flight, units = self._next_batch()
            self._uncounted = 0 if self._flight_counts else units
            await self._work(self._flight)
            self._flight, self._uncounted = [], 0
            self.units -= units
            self._done.set()

    def _next_batch(self) -> tuple[list[T], int]:
        """What waits longest, one item at least, and its units."""
        batch: list[T] = []
        batch_units = batch_bytes = 0
        units_max, bytes_max = self._batch_units_max, self._batch_bytes_max
        for item, units, size_bytes in self._waiting:
            batch_units += units
            batch_bytes += size_bytes
            if (batch_units > units_max or batch_bytes > bytes_max) and batch:
                batch_units -= units
                break
            batch.append(item)
        for _ in batch:
            self._waiting.popleft()
        return batch, batch_units


def resolve(answer: asyncio.Future[T], value: T) -> None:
    """Answer who waits, if it still does."""
    if not answer.done():
        answer.set_result(value)


def fail(answer: asyncio.Future[T], error: Exception) -> None:
    """Tell who waits, if it still does, that there is no answer."""
    if not answer.done():
        answer.set_exception(error)
