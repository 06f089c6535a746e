"""Write-once storage in a directory: what makes evidence durable on one machine.

Promises: bytes are flushed, file and directory, before a path appears; a locked path appears at
once and whole (link(2) refuses to replace), is read-only, and no code here can remove or rewrite
it. What is removed is only partial tiles and scratch files. It cannot keep out an administrator
of the host: the signatures and the receipts show what he does.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tollgate_audit.worm.base import WormConflict, WormFault, is_locked
from tollgate_tlog import tiles
from tollgate_tlog.tiles import Tile

_SCRATCH = ".tmp"
_READ_ONLY = 0o444
T = TypeVar("T")


class LocalWorm:
    """A Worm in one directory, which is this log's alone."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._scratch = root / _SCRATCH
        self._numbers = itertools.count()

    async def open(self) -> None:
        """Make the directory, and clear the scratch files of a process that was killed."""
        await self._off_loop(self._open)

    async def put_once(self, path: str, data: bytes) -> None:
        if not is_locked(path):
            raise ValueError(f"not a locked path: {path}")
        await self._off_loop(lambda: self._put_once(path, data))

    async def put_mutable(self, path: str, data: bytes) -> None:
        if is_locked(path):
            raise ValueError(f"a locked path: {path}")
        await self._off_loop(lambda: self._put_mutable(path, data))

    async def get(self, path: str) -> bytes | None:
        is_locked(path)
        return await self._off_loop(lambda: self._get(self._root / path))

    async def paths(self, folder: str) -> list[str]:
        return await self._off_loop(lambda: self._paths(folder))

    async def drop_partials(self, tile: Tile) -> None:
        await self._off_loop(lambda: self._drop_partials(tile))

    async def _off_loop(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise WormFault(f"{type(error).__name__} {error.errno}") from error

    def _open(self) -> None:
        self._make(self._scratch)
        for left in self._scratch.iterdir():
            left.unlink()

    def _put_once(self, path: str, data: bytes) -> None:
        final = self._root / path
        if self._get(final) is None:
            scratch = self._write_scratch(data, _READ_ONLY)
            try:
                self._make(final.parent)
                final.hardlink_to(scratch)
            except FileExistsError:
                pass  # another process was first: its bytes are compared below
            finally:
                scratch.unlink()
        if self._get(final) != data:
            raise WormConflict(f"{path} holds other bytes")
        # Also when it was there: whoever wrote it may have died before this.
        _sync_directory(final.parent)

    def _put_mutable(self, path: str, data: bytes) -> None:
        final = self._root / path
        scratch = self._write_scratch(data, 0o644)
        try:
            self._make(final.parent)
            scratch.replace(final)
        finally:
            scratch.unlink(missing_ok=True)
        _sync_directory(final.parent)

    def _write_scratch(self, data: bytes, mode: int) -> Path:
        scratch = self._scratch / f"{os.getpid()}-{next(self._numbers)}"
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(descriptor, mode)
                os.fsync(descriptor)
        except OSError:
            scratch.unlink(missing_ok=True)  # a full disk is tried again: it must not fill further
            raise
        return scratch

    def _make(self, directory: Path) -> None:
        """Make a directory and those above it, each durable before it is used."""
        if directory.is_dir():
            return
        self._make(directory.parent)
        directory.mkdir(exist_ok=True)
        _sync_directory(directory.parent)

    def _get(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            self._check_present()
            return None

    def _paths(self, folder: str) -> list[str]:
        try:
            return sorted(f"{folder}/{entry.name}" for entry in (self._root / folder).iterdir())
        except FileNotFoundError:
            self._check_present()
            return []

    def _check_present(self) -> None:
        """A directory that is away (a file system that was unmounted) is no empty log."""
        if not self._scratch.is_dir():
            raise OSError(errno.ENODEV, "the log's directory is away")

    def _drop_partials(self, tile: Tile) -> None:
        folder = f"{Tile(tile.level, tile.index).path}.p"
        for path in self._paths(folder):
            with contextlib.suppress(tiles.TileError):  # what is no tile is not ours to remove
                if not tiles.parse_path(path).full:
                    (self._root / path).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # there was none, or something else is left in it
            (self._root / folder).rmdir()


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
