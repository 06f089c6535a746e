"""Group commit: many Append calls share one transaction, one commit is in flight at a time.

Promises: an idle log commits at once, a busy one as much as has come meanwhile, up to the bounds;
the queue is bounded (Full); an unknown commit is resolved by appending the same batch again, which
is answered from what is stored. A caller that goes away changes nothing for the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tollgate_audit.log.sequencer import AppendOutcome, Submission
from tollgate_audit.log.store_postgres import CommitUnknown, StoreUnavailable
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.work_queue import Full, WorkQueue, fail, resolve

BATCH_ENTRIES_MAX = 1024
BATCH_BYTES_MAX = 4 * 1024 * 1024
COMMIT_SECONDS_MAX = 10.0
RESOLVE_ATTEMPTS = 20
RESOLVE_PAUSE_SECONDS = 0.25
DRAIN_SECONDS = 25.0  # within what a stop hook has


@dataclass(slots=True, eq=False)
class _Waiting:
    submission: Submission
    outcome: asyncio.Future[AppendOutcome]


Append = Callable[[Sequence[Submission]], Awaitable[list[AppendOutcome]]]


class Batcher:
    """Queues submissions for the store's append."""

    def __init__(
        self, append: Append, *, queue_entries_max: int, metrics: Metrics, log: Log
    ) -> None:
        self._append = append
        self._log = log
        # What is in a transaction has left the queue: its bound is on what waits for one.
        self._queue: WorkQueue[_Waiting] = WorkQueue(
            "append batches",
            self._work,
            units_max=queue_entries_max,
            batch_units_max=BATCH_ENTRIES_MAX,
            batch_bytes_max=BATCH_BYTES_MAX,
            flight_counts=False,
        )
        depth = metrics.gauge("append_queue_entries", "Entries not yet committed.")
        depth.set_function(lambda: self._queue.units)
        self._batch = metrics.histogram(
            "append_batch_entries", "Entries a commit.", buckets=(1, 2, 4, 8, 16, 32, 64, 256, 1024)
        )
        self._seconds = metrics.histogram("append_commit_seconds", "Time of a commit.")
        self._unknown = metrics.counter("append_unknown_total", "Commits whose answer was lost.")

    def start(self) -> None:
        self._queue.start()

    async def stop(self) -> None:
        """Take nothing new, commit what is queued, within a bound."""
        left = await self._queue.close(DRAIN_SECONDS)
        if left:
            self._log.error("append.not_drained", entries=left)

    def submit(self, submission: Submission) -> asyncio.Future[AppendOutcome]:
        """Queue a submission; its outcome once it is durable or refused. Raises Full.

        The outcome raises StoreUnavailable (nothing changed) or CommitUnknown.
        """
        if self._queue.closing:
            raise Full
        outcome: asyncio.Future[AppendOutcome] = asyncio.get_running_loop().create_future()
        size_bytes = sum(len(entry.leaf) for entry in submission.entries)
        self._queue.put(_Waiting(submission, outcome), len(submission.entries), size_bytes)
        return outcome

    async def _work(self, batch: list[_Waiting]) -> None:
        self._batch.observe(sum(len(waiting.submission.entries) for waiting in batch))
        began = asyncio.get_running_loop().time()
        try:
            outcomes = await self._commit([waiting.submission for waiting in batch])
        except (StoreUnavailable, CommitUnknown) as error:
            self._log.warning("append.failed", error=error, calls=len(batch))
            for waiting in batch:
                fail(waiting.outcome, type(error)())
        except Exception as error:  # noqa: BLE001 - a bug must not leave callers waiting
            self._log.exception("append.bug", error, calls=len(batch))
            for waiting in batch:
                fail(waiting.outcome, CommitUnknown())
        else:
            self._seconds.observe(asyncio.get_running_loop().time() - began)
            for waiting, outcome in zip(batch, outcomes, strict=True):
                resolve(waiting.outcome, outcome)

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
