"""Whether an entry stands in the published tree, proven up to a signed checkpoint.

Pure. Promises: believes no stored hash: the proof made of stored tiles must lead to the root that
was signed. Never reads a store: tiles come in.
"""

from __future__ import annotations

from collections.abc import Mapping

from tollgate_tlog import merkle, tiles
from tollgate_tlog.checkpoint import Checkpoint
from tollgate_tlog.tiles import Tile


class TileMissing(Exception):  # noqa: N818 - it is what happened
    """A tile of the tree is not stored: replaced by a fuller one a moment ago, or lost."""


def tiles_needed(index: int, size: int) -> list[Tile]:
    """The tiles that the proof for entry ``index`` in a tree of ``size`` reads."""
    needed = dict.fromkeys(tiles.right_edge(size))
    level, place, hashes = 0, index // tiles.WIDTH, size
    while hashes:
        if place * tiles.WIDTH < hashes:
            width = min(tiles.WIDTH, hashes - place * tiles.WIDTH)
            needed[Tile(level, place, width)] = None
        level, place, hashes = level + 1, place // tiles.WIDTH, hashes // tiles.WIDTH
    return list(needed)


def included(head: Checkpoint, index: int, leaf: bytes, stored: Mapping[Tile, bytes]) -> bool:
    """Whether ``leaf`` is entry ``index`` under ``head``. Raises TileMissing."""

    def read(tile: Tile) -> bytes:
        data = stored.get(tile)
        if data is None:
            raise TileMissing(tile.path)
        return data

    try:
        proof = merkle.inclusion_proof(index, head.size, tiles.node_reader(head.size, read))
    except tiles.TileError:
        return False
    return merkle.verify_inclusion(
        leaf=merkle.leaf_hash(leaf), index=index, size=head.size, proof=proof, root=head.root
    )
