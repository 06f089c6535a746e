"""Publications: what is written is a function of the entries, and only stored bytes are signed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tlog import build
from tollgate_audit.log import publication
from tollgate_audit.log.publication import Inconsistent
from tollgate_tlog import fsck, merkle
from tollgate_tlog.checkpoint import Checkpoint
from tollgate_tlog.tiles import Tile


def publish(entries, steps):
    """Publish entries in steps; the stored tiles and the last checkpoint."""
    head = Checkpoint(build.ORIGIN, 0, merkle.EMPTY_ROOT)
    stored: dict[Tile, bytes] = {}
    heads = []
    for size in steps:
        tail = entries[head.size - head.size % 256 : head.size]
        planned = publication.plan(head.size, tail, entries[head.size : size], stored)
        stored |= planned.objects
        head = Checkpoint(head.origin, size, publication.verified_root(head, planned, stored))
        heads.append(head)
    return stored, heads


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=6))
def test_any_steps_give_the_tree_of_the_entries(counts):
    """Whatever the pace of publishing, each root is the root of the entries up to it."""
    steps = [sum(counts[: i + 1]) for i in range(len(counts))]
    entries = [str(i).encode() for i in range(steps[-1])]
    _, heads = publish(entries, steps)
    leaves = [merkle.leaf_hash(leaf) for leaf in entries]
    assert [head.root for head in heads] == [merkle.root(leaves[:size]) for size in steps]


def test_a_published_log_passes_the_verifier(tmp_path):
    """What publications write is what the offline verifier accepts."""
    entries = build.calls(400)
    stored, heads = publish(entries, [1, 300, 512, 800])
    for tile, data in stored.items():
        build.write(tmp_path, tile.path, data)
    for head in heads:
        build.write(tmp_path, head.path, build.sign(head))
    build.write(tmp_path, "checkpoint", build.sign(heads[-1]))
    report = fsck.check(tmp_path, [build.KEY], now_unix_ms=build.NOW_UNIX_MS)
    assert (report.faults.total, report.observations.total) == (0, 0)


def test_nothing_is_signed_over_altered_storage():
    """A flipped bit in any stored object that the publication touches stops the signature."""
    entries = [str(i).encode() for i in range(600)]
    stored, heads = publish(entries, [300])
    planned = publication.plan(300, entries[256:300], entries[300:600], stored)
    good = stored | planned.objects
    assert publication.verified_root(heads[0], planned, good)
    for tile in [*planned.objects, Tile(0, 1, 44), Tile(1, 0, 1)]:
        bad = bytearray(good[tile])
        bad[-1] ^= 1
        with pytest.raises(Inconsistent):
            publication.verified_root(heads[0], planned, good | {tile: bytes(bad)})
    forked = Checkpoint(build.ORIGIN, 300, merkle.root([merkle.leaf_hash(b"x")]))
    with pytest.raises(Inconsistent):
        publication.verified_root(forked, planned, good)
    with pytest.raises(Inconsistent):
        publication.plan(300, entries[256:300], entries[300:600], {})


def test_a_full_tile_above_the_leaves_is_read_back_too():
    """A wrong byte in a full tile of a higher level, which no root touches, stops the signature."""
    entries = [str(i).encode() for i in range(65_540)]
    stored, heads = publish(entries, [65_530])
    planned = publication.plan(65_530, entries[65_280:65_530], entries[65_530:], stored)
    good = stored | planned.objects
    assert publication.verified_root(heads[0], planned, good)
    bad = good | {Tile(1, 0): bytes(8192)}
    with pytest.raises(Inconsistent):
        publication.verified_root(heads[0], planned, bad)
