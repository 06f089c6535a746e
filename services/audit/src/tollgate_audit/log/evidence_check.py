"""Checks what Postgres says before it is shown: against the published tree, else its mark.

Promises: an entry under the newest checkpoint is shown only with a proof up to its signature, one
that is not published yet only with its mark; anything else raises Altered, is counted and logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import grpc

from tollgate_audit.log import inclusion
from tollgate_audit.log.entry_mac import Altered, EntryMac, Row
from tollgate_audit.log.signer import Signer
from tollgate_audit.log.store_postgres import StoreUnavailable
from tollgate_audit.worm.base import Worm, WormFault
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.failure import Failure, store_unavailable
from tollgate_tlog import checkpoint, ed25519, merkle
from tollgate_tlog.checkpoint import Checkpoint
from tollgate_tlog.tiles import Tile

# A partial tile goes when its full one is published: then the newer checkpoint is read.
_TRIES = 3


@contextmanager
def told_as_failures() -> Iterator[None]:
    """What a reader is told instead of an answer: a store is away, or an entry was changed."""
    try:
        yield
    except StoreUnavailable:
        raise store_unavailable("postgres") from None
    except WormFault:
        raise store_unavailable("worm") from None
    except Altered as altered:
        index = str(altered.index)
        raise Failure(grpc.StatusCode.DATA_LOSS, "INTERNAL", entry=index) from None


class EvidenceCheck:
    """Between the store and those who read."""

    def __init__(
        self,
        worm: Worm,
        signer: Signer,
        mac: EntryMac,
        *,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._worm = worm
        self._signer = signer
        self._mac = mac
        self._log = log
        empty = Checkpoint(signer.verifier_key.name, 0, merkle.EMPTY_ROOT)
        self._head: tuple[bytes, Checkpoint] = (b"", empty)
        self._altered = metrics.counter(
            "evidence_altered_total", "Entries read that are not what was sequenced: an alarm."
        )

    async def proven(self, rows: Sequence[Row]) -> None:
        """Raise Altered unless each row is in the tree, or marked. Raises WormFault."""
        await self._check(rows)

    async def marked(self, rows: Iterable[Row]) -> None:
        """As proven(), for many rows: the tree is asked only for those whose mark says nothing.

        It is another's where the log's key was changed after the row was published.
        """
        unmarked = [row for row in rows if not self._mac.holds(row)]
        if unmarked:
            await self._check(unmarked)

    async def _check(self, rows: Sequence[Row]) -> None:
        for _ in range(_TRIES):
            head = await self._newest()
            try:
                for row in rows:
                    if not await self._holds(head, row):
                        raise self.alarm(row)
            except inclusion.TileMissing:
                continue
            return
        self._log.error("evidence.tiles_missing", size=head.size)
        raise WormFault("a tile of the published tree is missing")

    async def _holds(self, head: Checkpoint, row: Row) -> bool:
        if row.log_index >= head.size:
            return self._mac.holds(row)
        stored: dict[Tile, bytes] = {}
        for tile in inclusion.tiles_needed(row.log_index, head.size):
            data = await self._worm.get(tile.path)
            if data is not None:
                stored[tile] = data
        return inclusion.included(head, row.log_index, row.leaf, stored)

    async def _newest(self) -> Checkpoint:
        data = await self._worm.get(checkpoint.LATEST_PATH)
        known, head = self._head
        if data is None or data == known:
            return head
        try:
            head, _ = await asyncio.to_thread(
                checkpoint.open_checkpoint, data, self._signer.signing_keys, ed25519.verify
            )
        except checkpoint.CheckpointError as error:
            self._log.error("evidence.checkpoint_refused", why=str(error))
            raise WormFault("the newest checkpoint is not ours") from None
        self._head = (data, head)
        return head

    def alarm(self, row: Row) -> Altered:
        """Count and log an entry that is not what it should be; what to raise."""
        self._altered.inc()
        self._log.error("evidence.altered", index=row.log_index)
        return Altered(row.log_index)
