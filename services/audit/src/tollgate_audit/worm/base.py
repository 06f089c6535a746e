"""The seam to write-once storage: what the publisher needs of a directory or a bucket.

Promises of an implementation: put_once() is durable when it returns and can never be undone or
changed through this seam; a second put_once() of the same bytes succeeds, of other bytes raises
WormConflict. Only what C2SP tlog-tiles calls partial, and the newest ``checkpoint``, is mutable.
"""

from __future__ import annotations

from typing import Protocol

from tollgate_tlog import checkpoint, tiles
from tollgate_tlog.tiles import Tile


class WormFault(Exception):  # noqa: N818 - the base of a tree
    """The storage did not answer; a write may or may not have happened."""


class WormConflict(WormFault):
    """A write-once path holds other bytes: evidence was altered or forked. Alarm and stop."""


class Worm(Protocol):
    """Write-once storage of one log. Raises WormFault."""

    async def put_once(self, path: str, data: bytes) -> None:
        """Write a locked path, or find these very bytes there."""
        ...

    async def put_mutable(self, path: str, data: bytes) -> None:
        """Write, or replace, a path outside the lock, atomically."""
        ...

    async def get(self, path: str) -> bytes | None:
        """The stored bytes, or None."""
        ...

    async def paths(self, folder: str) -> list[str]:
        """The paths of the files in a folder, sorted."""
        ...

    async def drop_partials(self, tile: Tile) -> None:
        """Remove the partial forms of a full tile, which no reader needs any more."""
        ...


def is_locked(path: str) -> bool:
    """Whether a path of the log is write-once. ValueError when it is no path of a log."""
    if path == checkpoint.LATEST_PATH:
        return False
    folder, _, name = path.partition("/")
    if folder == checkpoint.HISTORY_DIRECTORY:
        if not name.isdecimal() or str(int(name)) != name:
            raise ValueError(f"not a checkpoint path: {path}")
        return True
    return tiles.parse_path(path).full
