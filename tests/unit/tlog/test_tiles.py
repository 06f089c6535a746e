"""tollgate_tlog.tiles against the examples of the C2SP tlog-tiles specification."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_tlog import merkle, tiles
from tollgate_tlog.tiles import Tile


def test_paths_of_the_specification():
    """An index is written in groups of three digits, all but the last with an x."""
    assert Tile(0, 1234067).path == "tile/0/x001/x234/067"
    assert Tile(None, 1234067, 3).path == "tile/entries/x001/x234/067.p/3"
    assert Tile(2, 0, 1).path == "tile/2/000.p/1"
    assert Tile(1, 1000).path == "tile/1/x001/000"


def test_tiles_of_the_specification():
    """70,000 entries are 273 full tiles and partial ones of 112, 17 and 1; 256 are 1 and 1."""
    found = list(tiles.tiles_of(70_000))
    assert sum(tile.full and tile.level == 0 for tile in found) == 273
    assert [tile for tile in found if not tile.full] == [
        Tile(0, 273, 112),
        Tile(1, 1, 17),
        Tile(2, 0, 1),
    ]
    assert list(tiles.tiles_of(256)) == [Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles.tiles_of(0)) == []
    assert tiles.right_edge(70_000) == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert tiles.right_edge(256) == [Tile(0, 0), Tile(1, 0, 1)]


@given(st.none() | st.integers(0, 63), st.integers(0, 10**12), st.integers(1, 256))
def test_a_path_reads_back(level, index, width):
    """Every tile's path names that tile."""
    tile = Tile(level, index, width)
    assert tile == tiles.parse_path(tile.path)


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/67",
        "tile/00/067",
        "tile/64/067",
        "tile/0/x000/067",
        "tile/0/001/067",
        "tile/0/067.p/256",
        "tile/0/067.p/0",
        "tile/0/067.p/05",
        "tile/0/../067",
        "tile/0/067/",
        "/tile/0/067",
        "tile/0/067\n",
        "checkpoint",
    ],
)
def test_another_spelling_is_refused(path):
    """A path has one spelling: what is close to one is not one."""
    with pytest.raises(tiles.TileError):
        tiles.parse_path(path)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=256))
def test_a_bundle_reads_back(entries):
    """Entries come out as they went in, and no prefix or extension of a bundle is one."""
    data = tiles.encode_bundle(entries)
    assert entries == tiles.decode_bundle(data, len(entries))
    for other in (data[:-1], data + b"\x00"):
        with pytest.raises(tiles.TileError):
            tiles.decode_bundle(other, len(entries))


def test_an_entry_too_long_is_refused():
    """A leaf longer than 65,535 bytes cannot be said, so it is refused."""
    assert len(tiles.encode_bundle([bytes(65_535)])) == 65_537
    with pytest.raises(tiles.TileError):
        tiles.encode_bundle([bytes(65_536)])


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(str(i).encode()) for i in range(count)]


@pytest.mark.parametrize(
    "sizes", [[1, 2, 255, 256, 257], [300, 512, 513, 70_000], [65_536, 65_537]]
)
def test_growing_by_steps_is_growing_at_once(sizes):
    """Whatever the steps, the tiles of the final size are the same, and hold the root."""
    hashes = leaves(sizes[-1])
    stored: dict[str, bytes] = {}
    size = 0
    for target in sizes:
        for tile, data in tiles.grow(size, hashes[size:target], lambda t: stored[t.path]):
            stored[tile.path] = data
        size = target
        node = tiles.node_reader(size, lambda t: stored[t.path])
        assert merkle.root(hashes[:size]) == merkle.Frontier.at(size, node).root()
    at_once = {t.path: data for t, data in tiles.grow(0, hashes, lambda _: b"")}
    assert {tile.path for tile in tiles.tiles_of(size)} == at_once.keys()
    assert at_once == {path: stored[path] for path in at_once}


def test_proofs_from_tiles():
    """A proof can be made from stored tiles alone, across tile levels."""
    size = 66_000
    hashes = leaves(size)
    stored = {tile.path: data for tile, data in tiles.grow(0, hashes, lambda _: b"")}
    node = tiles.node_reader(size, lambda t: stored[t.path])
    root = merkle.root(hashes)
    for index in (0, 255, 256, 65_535, 65_536, size - 1):
        proof = merkle.inclusion_proof(index, size, node)
        assert merkle.verify_inclusion(
            leaf=hashes[index], index=index, size=size, proof=proof, root=root
        )
