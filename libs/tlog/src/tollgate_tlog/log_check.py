"""Checks a stored log's shape: checkpoints, bundles, tiles, and that one explains the other.

Promises: every checkpoint's signature is verified and its root recomputed from the entries, so
each checkpoint is a prefix of the next, and one that another names as the one before it is there;
a checkpoint that an auditor kept is a prefix of the log, or the log was rolled back or rewritten;
every stored tile and bundle, partial ones included, is compared byte for byte. Never trusts a
stored hash.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tollgate_tlog import checkpoint, merkle, note, tiles
from tollgate_tlog.findings import Report

_SCRATCH = ".tmp"  # where a directory store writes before it links; never part of the log


class LogCheck:
    """Reads one published log from its directory, once, and checks each file against the others."""

    def __init__(
        self,
        root: Path,
        keys: Sequence[note.VerifierKey],
        verify: note.Verify,
        report: Report,
        kept: Sequence[tuple[str, checkpoint.Checkpoint]] = (),
    ) -> None:
        """`keys`: the one that signs now, then those that did before the log's key was changed.

        `kept`: checkpoints that the caller has from elsewhere, each with where it is from.
        """
        self._root = root
        self._keys = keys
        self._verify = verify
        self._report = report
        self._heads: dict[int, checkpoint.Checkpoint] = {}
        self._kept = kept
        self._roots: set[int] = set()  # the sizes at which a root is compared
        self._rows: list[list[bytes]] = []  # the hashes of the unfinished tile of each level
        self._indices: list[int] = []

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """Check everything; yield (index, entry) of each entry on the way."""
        self._read_checkpoints()
        size = max(self._heads, default=0)
        self._report.facts["entries"] = size
        self._check_kept(size)
        empty = merkle.Frontier()
        self._check_root(empty)
        frontier: merkle.Frontier | None = empty
        for index, start, end in tiles.bundle_of(0, size):
            bundle = tiles.Tile(None, index, end - start)
            entries = self._read_bundle(bundle)
            yield from enumerate(entries or (), start)
            frontier = self._extend(frontier, bundle, entries)
        for level, row in enumerate(self._rows):
            if row and frontier is not None:
                self._check_tile(level, row)
        self._check_names(size)

    # ---- checkpoints -----------------------------------------------------------------------------

    def _read_checkpoints(self) -> None:
        newest_bytes = b""
        for name in self._names(checkpoint.HISTORY_DIRECTORY):
            path = f"{checkpoint.HISTORY_DIRECTORY}/{name}"
            data = self._read(path) or b""
            head = self._open(path, data)
            if head is None:
                continue
            if head.path != path:
                self._fault("checkpoint", path, f"it says {head.size} entries")
                continue
            if head.size >= max(self._heads, default=0):
                newest_bytes = data
            self._heads[head.size] = head
        self._report.facts["checkpoints"] = len(self._heads)
        origins = sorted({head.origin for head in self._heads.values()})
        if len(origins) > 1:
            self._fault("checkpoint", checkpoint.HISTORY_DIRECTORY, "checkpoints of several logs")
        if self._heads:
            head = self._heads[max(self._heads)]
            self._report.facts["origin"] = head.origin
            self._report.facts["root"] = head.root.hex()
            self._check_signed_now(head.path, newest_bytes)
        self._check_chain()
        self._read_latest(newest_bytes)

    def _read_latest(self, newest: bytes) -> None:
        data = self._read(checkpoint.LATEST_PATH)
        if data is None:
            self._fault("checkpoint", checkpoint.LATEST_PATH, "there is none")
            return
        head = self._open(checkpoint.LATEST_PATH, data)
        if head is None or data == newest:
            return
        if self._read(head.path) != data:
            self._fault("checkpoint", checkpoint.LATEST_PATH, f"it is not the one at {head.path}")
        else:
            self._observe(
                "checkpoint_behind", checkpoint.LATEST_PATH, f"it is older than {max(self._heads)}"
            )

    def _open(self, path: str, data: bytes) -> checkpoint.Checkpoint | None:
        try:
            head, _ = checkpoint.open_checkpoint(data, self._keys, self._verify)
        except checkpoint.CheckpointError as error:
            self._fault("checkpoint", path, str(error))
            return None
        return head

    def _check_signed_now(self, path: str, newest: bytes) -> None:
        """Former keys sign what was: whoever has a copy of one must not be able to add to it."""
        try:
            checkpoint.open_checkpoint(newest, self._keys[:1], self._verify)
        except checkpoint.CheckpointError:
            told = "only a former key signed it; the key that signs now must be given first"
            self._fault("former_key", path, told)

    def _check_chain(self) -> None:
        """Each checkpoint names the one before it: that one was deleted if it is not there."""
        for head in self._heads.values():
            if head.previous is not None and head.previous not in self._heads:
                where = f"{checkpoint.HISTORY_DIRECTORY}/{head.previous}"
                self._fault("checkpoint_missing", where, f"it is missing: {head.path} names it")

    def _check_kept(self, size: int) -> None:
        for where, head in self._kept:
            if head.size > size:
                self._fault(
                    "rolled_back",
                    where,
                    f"the log has {size} entries and this checkpoint {head.size}: "
                    "the log was rolled back",
                )
            origins = {known.origin for known in self._heads.values()}
            if origins and head.origin not in origins:
                self._fault("kept_checkpoint", where, f"it is of another log: {head.origin}")
        if self._kept:
            self._report.facts["kept_checkpoints"] = len(self._kept)
        self._roots = self._heads.keys() | {head.size for _, head in self._kept}

    def _check_root(self, frontier: merkle.Frontier) -> None:
        root = frontier.root()
        head = self._heads.get(frontier.size)
        if head is not None and head.root != root:
            self._fault("root", head.path, "its root is not the root of the entries up to it")
        for where, kept in self._kept:
            if kept.size == frontier.size and kept.root != root:
                self._fault(
                    "kept_checkpoint", where, "the log is no extension of it: it was rewritten"
                )

    # ---- bundles and tiles -----------------------------------------------------------------------

    def _read_bundle(self, bundle: tiles.Tile) -> list[bytes] | None:
        data = self._read(bundle.path)
        if data is None:
            self._fault("bundle", bundle.path, "it is missing")
            return None
        try:
            entries = tiles.decode_bundle(data, bundle.width)
        except tiles.TileError as error:
            self._fault("bundle", bundle.path, str(error))
            return None
        for width, partial in self._partials(bundle):
            if width > bundle.width:
                self._observe("unpublished", f"{bundle.path}", "newer than the newest checkpoint")
            elif partial != tiles.encode_bundle(entries[:width]):
                self._fault("bundle", tiles.Tile(None, bundle.index, width).path, "other entries")
        return entries

    def _extend(
        self, frontier: merkle.Frontier | None, bundle: tiles.Tile, entries: list[bytes] | None
    ) -> merkle.Frontier | None:
        """Add a bundle's hashes to the tree; those of a lost bundle from its tile, if left."""
        if frontier is None:
            return None
        if entries is not None:
            leaves = [merkle.leaf_hash(entry) for entry in entries]
        else:
            try:
                data = self._read(tiles.Tile(0, bundle.index, bundle.width).path)
                leaves = tiles.split_hashes(data or b"", bundle.width)
            except tiles.TileError:
                self._fault("tree", bundle.path, "nothing is left to check the tree after it")
                return None
        for leaf in leaves:
            frontier.append(leaf)
            if frontier.size in self._roots:
                self._check_root(frontier)
        self._push(0, leaves)
        return frontier

    def _push(self, level: int, hashes: list[bytes]) -> None:
        if level == len(self._rows):
            self._rows.append([])
            self._indices.append(0)
        row = self._rows[level]
        row += hashes
        if len(row) == tiles.WIDTH:
            self._check_tile(level, row)
            self._rows[level] = []
            self._indices[level] += 1
            self._push(level + 1, [merkle.subtree_root(row)])

    def _check_tile(self, level: int, row: list[bytes]) -> None:
        tile = tiles.Tile(level, self._indices[level], len(row))
        stored = self._read(tile.path)
        if stored is None:
            self._fault("tile", tile.path, "it is missing")
        elif stored != b"".join(row):
            self._fault("tile", tile.path, "its hashes are not those of the entries")
        for width, partial in self._partials(tile):
            if width > tile.width:
                self._observe("unpublished", tile.path, "newer than the newest checkpoint")
            elif partial != b"".join(row[:width]):
                self._fault("tile", tiles.Tile(level, tile.index, width).path, "other hashes")

    def _partials(self, tile: tiles.Tile) -> Iterator[tuple[int, bytes]]:
        """The stored partial tiles at this place, other than ``tile`` itself."""
        directory = f"{tiles.Tile(tile.level, tile.index).path}.p"
        for name in self._names(directory):
            path = f"{directory}/{name}"
            try:
                found = tiles.parse_path(path)
            except tiles.TileError:
                continue  # named by _check_names
            if found != tile:
                yield found.width, self._read(path) or b""

    # ---- names -----------------------------------------------------------------------------------

    def _check_names(self, size: int) -> None:
        """Anything that is no part of the log, or lies past its newest checkpoint."""
        count = 0
        for path in self._walk():
            count += 1
            if path == checkpoint.LATEST_PATH or path.startswith(
                f"{checkpoint.HISTORY_DIRECTORY}/"
            ):
                continue
            try:
                tile = tiles.parse_path(path)
            except tiles.TileError:
                self._observe("stray", path, "not a name that a log has")
                continue
            hashes = size >> 8 * (tile.level or 0)
            if tile.index * tiles.WIDTH >= hashes or (
                tile.full and (tile.index + 1) * tiles.WIDTH > hashes
            ):
                self._observe("unpublished", path, "newer than the newest checkpoint")
        self._report.facts["files"] = count

    def _walk(self) -> Iterator[str]:
        for directory, names, files in os.walk(self._root):
            if Path(directory) == self._root:
                names[:] = [name for name in names if name != _SCRATCH]
            names.sort()
            for name in sorted(files):
                yield (Path(directory) / name).relative_to(self._root).as_posix()

    def _names(self, directory: str) -> list[str]:
        try:
            return sorted(path.name for path in (self._root / directory).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _read(self, path: str) -> bytes | None:
        try:
            return (self._root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def _fault(self, kind: str, where: str, message: str) -> None:
        self._report.faults.add(kind, where, message)

    def _observe(self, kind: str, where: str, message: str) -> None:
        self._report.observations.add(kind, where, message)
