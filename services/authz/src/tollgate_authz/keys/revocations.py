"""The fan-out of the revision log: one reader a process, any number of watchers.

Promises: a change is sent within READ_SECONDS of its commit by whichever process; a heartbeat every
HEARTBEAT_SECONDS, but only out of a read of the log that succeeded, never from a timer alone, so
that a watcher of a process that cannot read its store goes stale and says so. A watcher that does
not keep up is dropped, not waited for. Never decides anything.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from tollgate_authz.tenants.directory import Revocations
from tollgate_authz.tenants.store import Store
from tollgate_kit.clock import Clock
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.failure import Failure, draining, overloaded, store_unavailable

# The contract with the edge, which stops trusting its cache after 1.5 s of silence.
READ_SECONDS: Final = 0.2
HEARTBEAT_SECONDS: Final = 0.5
# A read that takes longer has failed: what it says may be old by then.
READ_TIMEOUT_SECONDS: Final = 1.0
REVISIONS_PER_READ: Final = 1_000
WATCHERS_MAX: Final = 500
# About ten seconds of messages.
WAITING_MAX: Final = 64


class _Watcher:
    """One stream's messages, bounded."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[Revocations | Failure] = asyncio.Queue(WAITING_MAX)

    def end(self, why: Failure) -> None:
        """Whatever waits is void: the watcher resumes from its cursor elsewhere."""
        while not self.waiting.empty():
            self.waiting.get_nowait()
        self.waiting.put_nowait(why)


class RevocationFeed:
    """Reads the log for this process and hands what it finds to every watcher."""

    def __init__(self, store: Store, *, clock: Clock, metrics: Metrics, log: Log) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._cursor = 0
        self._sent_at = clock.monotonic() - HEARTBEAT_SECONDS
        self._failing = False
        self._closed = False
        self._changed = asyncio.Event()
        self._watchers: set[_Watcher] = set()
        self._watching = metrics.gauge("watchers", "Open revocation streams.")
        self._reads = metrics.counter(
            "revision_reads_total", "Reads of the revision log.", ("outcome",)
        )
        self._dropped = metrics.counter(
            "watchers_dropped_total", "Watchers dropped because they did not keep up."
        )

    def changed(self) -> None:
        """Told of a change by this process: read now instead of at the next turn."""
        self._changed.set()

    async def run(self) -> None:
        """Read and send until cancelled. A store that cannot answer is asked again, silently."""
        while True:
            self._changed.clear()
            more = await self._read_once()
            if not more:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(READ_SECONDS):
                        await self._changed.wait()

    async def watch(self, *, after: int) -> AsyncIterator[Revocations]:
        """What follows the cursor (0: the current one), then each change and heartbeat."""
        if self._closed:
            raise draining()
        if len(self._watchers) >= WATCHERS_MAX:
            raise overloaded("watchers")
        # Registered before its own first read, so that nothing falls between the two.
        watcher = _Watcher()
        self._watchers.add(watcher)
        self._watching.set(len(self._watchers))
        try:
            while True:
                found = await self._read(after)
                yield found
                after = found.through_revision
                if len(found.key_ids) + len(found.tenant_ids) < REVISIONS_PER_READ:
                    break
            while True:
                message = await watcher.waiting.get()
                if isinstance(message, Failure):
                    raise message
                # Older than the first read: sent already; the same may be told twice, which is
                # harmless. A log that was reset starts lower.
                if message.through_revision >= after or not message.resumable:
                    after = message.through_revision
                    yield message
        finally:
            self._watchers.discard(watcher)
            self._watching.set(len(self._watchers))

    async def close(self) -> None:
        """End every stream, so that its watcher goes to another replica at once."""
        self._closed = True
        for watcher in tuple(self._watchers):
            watcher.end(draining())

    async def _read(self, after: int) -> Revocations:
        try:
            async with asyncio.timeout(READ_TIMEOUT_SECONDS):
                return await self._store.revocations(after=after, limit=REVISIONS_PER_READ)
        except TimeoutError:
            raise store_unavailable("authz") from None

    async def _read_once(self) -> bool:
        """One read and what follows from it; whether more is waiting in the log."""
        try:
            found = await self._read(self._cursor)
        except Failure as failure:
            self._reads.labels("failed").inc()
            if not self._failing:
                self._log.warning("authz.revisions_unreadable", reason=failure.reason)
            self._failing = True
            return False
        self._reads.labels("ok").inc()
        if self._failing:
            self._log.info("authz.revisions_readable", revision=found.through_revision)
        self._failing = False
        self._cursor = found.through_revision
        taken = len(found.key_ids) + len(found.tenant_ids)
        now = self._clock.monotonic()
        # Half a turn early rather than half a turn late.
        due = now - self._sent_at >= HEARTBEAT_SECONDS - READ_SECONDS / 2
        if taken or not found.resumable or due:
            self._sent_at = now
            self._send(found)
        return taken == REVISIONS_PER_READ

    def _send(self, message: Revocations) -> None:
        for watcher in tuple(self._watchers):
            try:
                watcher.waiting.put_nowait(message)
            except asyncio.QueueFull:
                self._watchers.discard(watcher)
                self._dropped.inc()
                watcher.end(overloaded("watcher"))
