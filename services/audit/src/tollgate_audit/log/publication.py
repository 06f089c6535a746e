"""What one publication writes, and the proof that what is stored is what is signed.

Pure. Promises: plan() is a function of the entries alone, so a publication that was cut off and
made again writes the same bytes; verified_root() believes only stored bytes, and gives a root only
when the stored tree extends the previous checkpoint's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tollgate_tlog import merkle, tiles
from tollgate_tlog.checkpoint import Checkpoint
from tollgate_tlog.tiles import Tile


class Inconsistent(Exception):  # noqa: N818 - it is what happened
    """Stored evidence and the sequenced log disagree: nothing may be signed. Alarm and stop."""


@dataclass(frozen=True, slots=True)
class Publication:
    """The objects of one publication, and the tiles that it made full."""

    size: int
    objects: Mapping[Tile, bytes]

    @property
    def completed(self) -> list[Tile]:
        return [tile for tile in self.objects if tile.full]


def plan(
    old_size: int,
    tail: Sequence[bytes],
    entries: Sequence[bytes],
    stored: Mapping[Tile, bytes],
) -> Publication:
    """Add ``entries`` to the log of ``old_size``, whose unfinished bundle holds ``tail``.

    ``stored`` holds the partial tiles that the old tree ends with. Raises Inconsistent.
    """
    assert len(tail) == old_size % tiles.WIDTH, "the tail is the unfinished bundle"
    size = old_size + len(entries)
    first = old_size - len(tail)
    rows = [*tail, *entries]
    objects: dict[Tile, bytes] = {}
    for index, start, end in tiles.bundle_of(first, size):
        objects[Tile(None, index, end - start)] = tiles.encode_bundle(
            rows[start - first : end - first]
        )
    leaves = [merkle.leaf_hash(leaf) for leaf in entries]
    objects.update(tiles.grow(old_size, leaves, _reader(stored)))
    return Publication(size, objects)


def frontier_of(head: Checkpoint, stored: Mapping[Tile, bytes]) -> merkle.Frontier:
    """The frontier of the stored tree at ``head``. Raises Inconsistent."""
    frontier = merkle.Frontier.at(head.size, tiles.node_reader(head.size, _reader(stored)))
    if frontier.root() != head.root:
        raise Inconsistent(f"the stored tiles have not the root signed at {head.size}")
    return frontier


def verified_root(head: Checkpoint, planned: Publication, stored: Mapping[Tile, bytes]) -> bytes:
    """The root to sign after ``head``, from ``stored`` bytes. Raises Inconsistent."""
    if {tile: stored.get(tile) for tile in planned.objects} != planned.objects:
        raise Inconsistent("what was stored is not what was written")
    frontier = frontier_of(head, stored)
    for tile in sorted(t for t in planned.objects if t.level is None):
        entries = tiles.decode_bundle(stored[tile], tile.width)
        leaves = [merkle.leaf_hash(entry) for entry in entries]
        if b"".join(leaves) != stored.get(Tile(0, tile.index, tile.width)):
            raise Inconsistent(f"{tile.path} and its tile disagree")
        for leaf in leaves[frontier.size - tile.index * tiles.WIDTH :]:
            frontier.append(leaf)
    grown = Checkpoint(head.origin, planned.size, frontier.root())
    frontier_of(grown, stored)
    return grown.root


def _reader(stored: Mapping[Tile, bytes]) -> Callable[[Tile], bytes]:
    def read(tile: Tile) -> bytes:
        data = stored.get(tile, b"")
        if len(data) != tile.width * merkle.HASH_BYTES:
            raise Inconsistent(f"{tile.path} is not stored, or has not its width")
        return data

    return read
