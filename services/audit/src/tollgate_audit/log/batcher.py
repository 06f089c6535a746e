"""Group commit: many Append calls share one transaction, one commit is in flight at a time.

Promises: an idle log commits at once, a busy one as much as has come meanwhile, up to the bounds;
the queue is bounded (Full); an unknown commit is resolved by appending the same batch again, which
is answered from what is stored. A caller that goes away changes nothing for the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tollgate_audit.log.sequencer import AppendOutcome, Submission
from tollgate_audit.log.store_postgres import CommitUnknown, StoreUnavailable
from tollgate_kit.lifecycle import core_task
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics

BATCH_ENTRIES_MAX = 1024
BATCH_BYTES_MAX = 4 * 1024 * 1024
COMMIT_SECONDS_MAX = 10.0
RESOLVE_ATTEMPTS = 20
RESOLVE_PAUSE_SECONDS = 0.25


class Full(Exception):  # noqa: N818 - it is what happened
    """The queue is at its bound; nothing was taken."""


@dataclass(slots=True, eq=False)
class _Waiting:
    submission: Submission
    size_bytes: int
    outcome: asyncio.Future[AppendOutcome]


Append = Callable[[Sequence[Submission]], Awaitable[list[AppendOutcome]]]


class Batcher:
    """Queues submissions for the store's append."""

    def __init__(
        self, append: Append, *, queue_entries_max: int, metrics: Metrics, log: Log
    ) -> None:
        self._append = append
        self._queue_entries_max = queue_entries_max
        self._log = log
        self._queue: deque[_Waiting] = deque()
        self._queued_entries = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._depth = metrics.gauge("append_queue_entries", "Entries waiting for a commit.")
        self._batch = metrics.histogram(
            "append_batch_entries", "Entries a commit.", buckets=(1, 2, 4, 8, 16, 32, 64, 256, 1024)
        )
        self._seconds = metrics.histogram("append_commit_seconds", "Time of a commit.")
        self._unknown = metrics.counter("append_unknown_total", "Commits whose answer was lost.")

    def start(self) -> None:
        self._task = core_task("append batches", self._run())

    async def stop(self) -> None:
        """Commit what is queued, then end."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task

    def submit(self, submission: Submission) -> asyncio.Future[AppendOutcome]:
        """Queue a submission; its outcome once it is durable or refused. Raises Full.

        The outcome raises StoreUnavailable (nothing changed) or CommitUnknown.
        """
        count = len(submission.entries)
        if self._stopping or self._queued_entries + count > self._queue_entries_max:
            raise Full
        future: asyncio.Future[AppendOutcome] = asyncio.get_running_loop().create_future()
        size_bytes = sum(len(entry.leaf) for entry in submission.entries)
        self._queue.append(_Waiting(submission, size_bytes, future))
        self._queued_entries += count
        self._wake.set()
        return future

    async def _run(self) -> None:
        while True:
            while not self._queue:
                if self._stopping:
                    return
                self._wake.clear()
                await self._wake.wait()
                # Calls that arrived in the same turn of the loop share the batch.
                await asyncio.sleep(0)
            batch = self._take()
            began = asyncio.get_running_loop().time()
            try:
                outcomes = await self._commit([waiting.submission for waiting in batch])
            except (StoreUnavailable, CommitUnknown) as error:
                self._log.warning("append.failed", error=error, calls=len(batch))
                for waiting in batch:
                    if not waiting.outcome.done():
                        waiting.outcome.set_exception(type(error)())
                continue
            except Exception as error:  # noqa: BLE001 - a bug must not leave callers waiting
                self._log.exception("append.bug", error, calls=len(batch))
                for waiting in batch:
                    if not waiting.outcome.done():
                        waiting.outcome.set_exception(CommitUnknown())
                continue
            self._seconds.observe(asyncio.get_running_loop().time() - began)
            for waiting, outcome in zip(batch, outcomes, strict=True):
                if not waiting.outcome.done():
                    waiting.outcome.set_result(outcome)

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        entries = size_bytes = 0
        while self._queue:
            waiting = self._queue[0]
            entries += len(waiting.submission.entries)
            size_bytes += waiting.size_bytes
            if batch and (entries > BATCH_ENTRIES_MAX or size_bytes > BATCH_BYTES_MAX):
                break
            batch.append(self._queue.popleft())
            self._queued_entries -= len(waiting.submission.entries)
        self._batch.observe(sum(len(waiting.submission.entries) for waiting in batch))
        self._depth.set(self._queued_entries)
        return batch

    async def _commit(self, submissions: list[Submission]) -> list[AppendOutcome]:
        """Append, and while the outcome is unknown append again: the log answers once for all."""
        unknown = False
        for _ in range(RESOLVE_ATTEMPTS):
            try:
                async with asyncio.timeout(COMMIT_SECONDS_MAX):
                    return await self._append(submissions)
            except (CommitUnknown, TimeoutError) as error:
                unknown = True
                self._unknown.inc()
                self._log.warning("append.commit_unknown", error=error, calls=len(submissions))
            except StoreUnavailable:
                if not unknown:
                    raise
            await asyncio.sleep(RESOLVE_PAUSE_SECONDS)
        raise CommitUnknown
