"""Receipts are proven by the published tiles up to the signed root."""

import pytest

from tollgate_audit.log import inclusion
from tollgate_tlog import merkle, tiles
from tollgate_tlog.checkpoint import Checkpoint

SIZES = (1, 2, 255, 256, 257, 512, 700, 65_536, 65_537, 66_000)


def _tree(size: int):
    leaves = [b"%d" % n for n in range(size)]
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    stored = dict(tiles.grow(0, hashes, stored=lambda tile: b""))
    return leaves, Checkpoint("t", size, merkle.root(hashes)), stored


@pytest.mark.parametrize("size", SIZES)
def test_case_R4_the_tiles_that_are_read_prove_every_entry(size):
    """Entries at the edges of tiles, first and last: proven, and no other bytes are."""
    leaves, head, stored = _tree(size)
    for index in {0, 1, 254, 255, 256, 511, 65_535, 65_536, size // 2, size - 1}:
        if index < size:
            read = {tile: stored[tile] for tile in inclusion.tiles_needed(index, size)}
            assert inclusion.included(head, index, leaves[index], read)
            assert not inclusion.included(head, index, b"false", read)
            assert not inclusion.included(Checkpoint("t", size, bytes(32)), index, leaves[index], read)  # fmt: skip


def test_case_R4_a_tile_that_is_missing_or_false_proves_nothing():
    """A lost tile is said to be missing; one with other hashes or another width proves nothing."""
    leaves, head, stored = _tree(700)
    needed = inclusion.tiles_needed(300, 700)
    for lost in needed:
        with pytest.raises(inclusion.TileMissing):
            inclusion.included(head, 300, leaves[300], {t: stored[t] for t in needed if t != lost})
        for false in (bytes(len(stored[lost])), stored[lost][:-1], b""):
            assert not inclusion.included(head, 300, leaves[300], stored | {lost: false})
