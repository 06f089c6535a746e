"""The C2SP tlog-tiles layout: paths, tiles of 256 hashes, bundles of 256 entries.

Promises: a path has one spelling, a bundle one reading; what is not exactly that is a TileError.
Never touches a disk: bytes come in and go out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tollgate_tlog import merkle

WIDTH = 256
ENTRY_BYTES_MAX = 65_535

_HEIGHT = 8  # levels of the tree that one tile spans: 2 ** 8 == WIDTH
_LEVEL_MAX = 63
_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/"
    r"(?P<index>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


class TileError(ValueError):
    """Bytes or a path that are not what the layout says."""


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """Where a tile or an entry bundle (level None) stands, and how many items it has."""

    level: int | None
    index: int
    width: int = WIDTH

    @property
    def full(self) -> bool:
        return self.width == WIDTH

    @property
    def path(self) -> str:
        level = "entries" if self.level is None else str(self.level)
        suffix = "" if self.full else f".p/{self.width}"
        return f"tile/{level}/{_index_path(self.index)}{suffix}"


def parse_path(path: str) -> Tile:
    """The tile that this path names; a path with another spelling than Tile.path is refused."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise TileError("not a tile path")
    level = None if match["level"] == "entries" else int(match["level"])
    index = int(match["index"].replace("x", "").replace("/", ""))
    tile = Tile(level, index, int(match["width"] or WIDTH))
    if (level or 0) > _LEVEL_MAX or (match["width"] and tile.width >= WIDTH) or tile.path != path:
        raise TileError("not a tile path")
    return tile


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile of a tree of ``size`` leaves, level by level, partial ones last."""
    level, hashes = 0, size
    while hashes:
        for index in range(hashes // WIDTH):
            yield Tile(level, index)
        if hashes % WIDTH:
            yield Tile(level, hashes // WIDTH, hashes % WIDTH)
        level, hashes = level + 1, hashes // WIDTH


def right_edge(size: int) -> list[Tile]:
    """The last tile of each level of a tree of ``size`` leaves: they hold its whole frontier."""
    edge: list[Tile] = []
    level, hashes = 0, size
    while hashes:
        last = (hashes - 1) // WIDTH
        edge.append(Tile(level, last, hashes - last * WIDTH))
        level, hashes = level + 1, hashes // WIDTH
    return edge


def bundle_of(start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Cut entries [start, end) at bundle borders: (bundle index, first entry, past the last)."""
    while start < end:
        stop = min(end, (start // WIDTH + 1) * WIDTH)
        yield start // WIDTH, start, stop
        start = stop


def grow(
    old_size: int, leaves: Sequence[bytes], stored: Callable[[Tile], bytes]
) -> Iterator[tuple[Tile, bytes]]:
    """The tiles that change when ``leaves`` (hashes) are added to a tree of ``old_size``.

    ``stored`` reads the partial tile that the old tree ended with at a level.
    """
    level, count, added = 0, old_size, list(leaves)
    while added:
        first, partial = divmod(count, WIDTH)
        if partial:
            added[:0] = split_hashes(stored(Tile(level, first, partial)), partial)
        above: list[bytes] = []
        for offset in range(0, len(added), WIDTH):
            row = added[offset : offset + WIDTH]
            yield Tile(level, first + offset // WIDTH, len(row)), b"".join(row)
            if len(row) == WIDTH:
                above.append(merkle.subtree_root(row))
        level, count, added = level + 1, count // WIDTH, above


def node_reader(size: int, stored: Callable[[Tile], bytes]) -> merkle.NodeAt:
    """Perfect subtrees of a stored tree of ``size`` leaves, each read from its tile."""

    def node(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, _HEIGHT)
        first = index << height  # in hashes of that tile level
        tile_index, offset = divmod(first, WIDTH)
        width = min(WIDTH, (size >> tile_level * _HEIGHT) - tile_index * WIDTH)
        hashes = split_hashes(stored(Tile(tile_level, tile_index, width)), width)
        return merkle.subtree_root(hashes[offset : offset + (1 << height)])

    return node


def split_hashes(data: bytes, width: int) -> list[bytes]:
    if len(data) != width * merkle.HASH_BYTES:
        raise TileError("a tile has not its width")
    step = merkle.HASH_BYTES
    return [data[at : at + step] for at in range(0, len(data), step)]


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    assert 0 < len(entries) <= WIDTH, "a bundle holds 1 to 256 entries"
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > ENTRY_BYTES_MAX:
            raise TileError("an entry is longer than a bundle can say")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """Exactly ``width`` entries and nothing after them."""
    entries: list[bytes] = []
    at = 0
    for _ in range(width):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        entries.append(data[start:at])
    if at != len(data):
        raise TileError("a bundle has not its entries")
    return entries


def _index_path(index: int) -> str:
    assert index >= 0, "an index is not negative"
    parts = [f"{index % 1000:03d}"]
    while index := index // 1000:
        parts.append(f"x{index % 1000:03d}")
    return "/".join(reversed(parts))
