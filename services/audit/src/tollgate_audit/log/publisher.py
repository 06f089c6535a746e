"""Publishes the log: bundles, tiles, signed checkpoint, in that order, every second and at stop.

Promises: one publisher at a time (an advisory lock of Postgres); signs only a root recomputed from
stored bytes that extends the previous checkpoint; the locked copy of a checkpoint is stored before
the mutable one. A conflict halts publishing for good, loudly; appends then stop at the backlog's
bound. A fault of the storage is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

import psycopg
from psycopg_pool import PoolTimeout

from tollgate_audit.log import publication
from tollgate_audit.log.publication import Inconsistent
from tollgate_audit.log.publish_right import PublishRight, PublishRights
from tollgate_audit.log.signer import Signer
from tollgate_audit.worm.base import Worm, WormConflict, WormFault
from tollgate_kit.clock import Clock
from tollgate_kit.keyring.base import KeyringFault
from tollgate_kit.lifecycle import core_task
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_tlog import checkpoint, ed25519, merkle, tiles
from tollgate_tlog.checkpoint import Checkpoint
from tollgate_tlog.tiles import Tile

PUBLICATION_ENTRIES_MAX = 16_384  # a backlog is published in steps, so that memory stays bounded
RETRY_SECONDS_MAX = 1.0  # after a fault, however long the interval is


class Publisher:
    """Publishes one log."""

    def __init__(
        self,
        rights: PublishRights,
        worm: Worm,
        signer: Signer,
        *,
        interval_s: float,
        clock: Clock,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._rights = rights
        self._worm = worm
        self._signer = signer
        self._interval_s = interval_s
        self._clock = clock
        self._log = log
        self._head: Checkpoint | None = None
        self._tail: list[bytes] = []
        self._behind_since: float | None = None
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.halted = False
        self._unpublished = metrics.gauge("unpublished_entries", "Sequenced, not yet published.")
        self._lag = metrics.gauge("publish_lag_seconds", "Since when entries wait to be published.")
        self._halted = metrics.gauge("publish_halted", "1: evidence conflicts; publishing stopped.")
        self._published = metrics.counter("published_entries_total", "Entries published here.")
        self._failed = metrics.counter("publish_failed_total", "Publications that failed.")
        self._seconds = metrics.histogram("publish_seconds", "Time of a publication.")

    def start(self) -> None:
        self._task = core_task("publisher", self._run())

    async def stop(self) -> None:
        """Publish what is sequenced, then end."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while not self.halted:
            last = self._stopping.is_set()
            try:
                async with self._rights.acquire() as right:
                    if right is not None:
                        await self._serve(right)
                        return
            except (WormConflict, Inconsistent) as error:
                self._halt(error)
            except (WormFault, KeyringFault, psycopg.Error, PoolTimeout, TimeoutError) as error:
                self._failed.inc()
                self._log.warning("publish.failed", error=error)
            except Exception as error:  # noqa: BLE001 - a bug must not end publishing unseen
                self._failed.inc()
                self._log.exception("publish.bug", error)
            if last:
                return
            if not self.halted:
                await self._pause(min(self._interval_s, RETRY_SECONDS_MAX))
        # The process goes on: appends up to the backlog's bound, receipts, and the alarm.
        await self._stopping.wait()

    async def _serve(self, right: PublishRight) -> None:
        """Publish for as long as this process is the one that does, until the stop."""
        self._head = None
        await self._load(right)
        while True:
            last = self._stopping.is_set()
            while await self.publish(right):
                pass
            if last:
                return
            await self._pause(self._interval_s)

    async def _load(self, right: PublishRight) -> None:
        """Find the newest signed checkpoint and check that the stored log and Postgres hold it."""
        names = await self._worm.paths(checkpoint.HISTORY_DIRECTORY)
        sizes = [int(name.rpartition("/")[2]) for name in names]
        published = await right.published()
        if not sizes and published:
            raise Inconsistent(f"{published} entries were published and none is stored")
        if not sizes:
            empty = Checkpoint(self._signer.verifier_key.name, 0, merkle.EMPTY_ROOT)
            await self._store_checkpoint(empty)
            self._head, self._tail = empty, []
            return
        path = f"{checkpoint.HISTORY_DIRECTORY}/{max(sizes)}"
        data = await self._worm.get(path) or b""
        head = self._open(data)
        if not published <= head.size <= await right.sequenced():
            raise Inconsistent(f"the log is published to {head.size}, Postgres differs")
        stored = await self._stored(tiles.right_edge(head.size))
        publication.frontier_of(head, stored)
        self._tail = await self._stored_tail(head.size)
        start = head.size - len(self._tail)
        if await right.entries(start, head.size, published=True) != self._tail:
            raise Inconsistent("Postgres has not the entries that are published: restored?")
        if await self._worm.get(checkpoint.LATEST_PATH) != data:
            await self._worm.put_mutable(checkpoint.LATEST_PATH, data)
        await right.set_published(head.size)
        self._head = head
        self._log.info("publish.begun", size=head.size)

    async def publish(self, right: PublishRight) -> bool:
        """Publish one step; whether more is waiting."""
        head = self._head
        assert head is not None, "loaded first"
        size = await right.sequenced()
        self._measure(size - head.size)
        if size == head.size:
            return False
        began = self._clock.monotonic()
        target = min(size, head.size + PUBLICATION_ENTRIES_MAX)
        entries = await right.entries(head.size, target)
        edge = await self._stored(tiles.right_edge(head.size))
        planned = await asyncio.to_thread(publication.plan, head.size, self._tail, entries, edge)
        for tile, data in planned.objects.items():
            put = self._worm.put_once if tile.full else self._worm.put_mutable
            await put(tile.path, data)
        stored = edge | await self._stored([*planned.objects, *tiles.right_edge(target)])
        root = await asyncio.to_thread(publication.verified_root, head, planned, stored)
        grown = Checkpoint(head.origin, target, root, previous=head.size)
        await right.check_still_held()
        await self._store_checkpoint(grown)
        await right.set_published(target)
        rows = [*self._tail, *entries]
        self._tail = rows[len(rows) - target % tiles.WIDTH :]
        self._head = grown
        for tile in planned.completed:
            await self._worm.drop_partials(tile)
        self._published.inc(target - head.size)
        self._seconds.observe(self._clock.monotonic() - began)
        self._measure(size - target)
        return target < size

    async def _store_checkpoint(self, head: Checkpoint) -> None:
        data = await self._signer.sign(head)
        await self._worm.put_once(head.path, data)
        await self._worm.put_mutable(checkpoint.LATEST_PATH, data)

    def _open(self, data: bytes) -> Checkpoint:
        key = self._signer.verifier_key
        try:
            head, _ = checkpoint.open_checkpoint(data, self._signer.known_keys, ed25519.verify)
        except checkpoint.CheckpointError as error:
            raise Inconsistent(f"the newest checkpoint is not ours: {error}") from None
        if head.origin != key.name:
            raise Inconsistent(f"the directory holds the log of {head.origin}")
        return head

    async def _stored(self, wanted: Iterable[Tile]) -> dict[Tile, bytes]:
        stored: dict[Tile, bytes] = {}
        for tile in wanted:
            data = await self._worm.get(tile.path)
            if data is not None:
                stored[tile] = data
        return stored

    async def _stored_tail(self, size: int) -> list[bytes]:
        index, width = divmod(size, tiles.WIDTH)
        if not width:
            return []
        data = await self._worm.get(Tile(None, index, width).path)
        try:
            return tiles.decode_bundle(data or b"", width)
        except tiles.TileError:
            raise Inconsistent(f"the bundle that ends at {size} is not stored") from None

    def _measure(self, unpublished: int) -> None:
        self._unpublished.set(unpublished)
        now = self._clock.monotonic()
        if not unpublished:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = now
        self._lag.set(0 if self._behind_since is None else now - self._behind_since)

    def _halt(self, error: Exception) -> None:
        self.halted = True
        self._halted.set(1)
        self._log.error("publish.halted", error=error, why=str(error))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
