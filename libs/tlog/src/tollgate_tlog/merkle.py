"""The Merkle tree of RFC 6962: hashes, roots, proofs and their verification.

Promises: pure functions of bytes; a proof that verifies cannot be made for another tree short of
a SHA-256 collision. Never reads a file and never decides what a leaf means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

_LEAF = b"\x00"
_NODE = b"\x01"

# The hash of the perfect subtree over leaves [index << level, (index + 1) << level).
NodeAt = Callable[[int, int], bytes]


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(_LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()


def subtree_root(hashes: Sequence[bytes]) -> bytes:
    """The root over a non-empty run of sibling hashes whose count is a power of two."""
    row = list(hashes)
    assert row, "a subtree has at least one hash"
    assert len(row) & (len(row) - 1) == 0, "a perfect subtree has a power of two of hashes"
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


class Frontier:
    """The right edge of a growing tree: enough to append and to know the root at each size.

    Invariant: one perfect subtree per one bit of ``size``, largest first, so O(log size) memory.
    """

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []
        for leaf in leaves:
            self.append(leaf)

    @classmethod
    def at(cls, size: int, node: NodeAt) -> Frontier:
        """The frontier of a stored tree of ``size`` leaves, from its perfect subtrees."""
        frontier = cls()
        frontier.size = size
        frontier._subtrees = [node(level, index) for level, index in _perfect(0, size)]
        return frontier

    def append(self, leaf: bytes) -> None:
        """Add one leaf *hash*."""
        carry, size = leaf, self.size
        while size & 1:
            carry = node_hash(self._subtrees.pop(), carry)
            size >>= 1
        self._subtrees.append(carry)
        self.size += 1

    def root(self) -> bytes:
        if not self._subtrees:
            return EMPTY_ROOT
        return _fold(self._subtrees)


def root(leaves: Iterable[bytes]) -> bytes:
    """The tree's root over leaf hashes."""
    return Frontier(leaves).root()


def range_root(start: int, end: int, node: NodeAt) -> bytes:
    """The Merkle tree hash over leaves [start, end); ``start`` is where a subtree may begin."""
    return _fold([node(level, index) for level, index in _perfect(start, end)])


def inclusion_proof(index: int, size: int, node: NodeAt) -> list[bytes]:
    """The audit path of leaf ``index`` in the tree of ``size`` leaves, from the leaf upwards."""
    assert 0 <= index < size, "the leaf must be in the tree"
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(range_root(middle, end, node))
            end = middle
        else:
            path.append(range_root(start, middle, node))
            start = middle
    path.reverse()
    return path


def consistency_proof(old_size: int, new_size: int, node: NodeAt) -> list[bytes]:
    """The proof that the tree of ``old_size`` is a prefix of the tree of ``new_size``."""
    assert 0 <= old_size <= new_size, "a tree only grows"
    if old_size in {0, new_size}:
        return []
    path: list[bytes] = []
    start, end = 0, new_size
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            path.append(range_root(middle, end, node))
            end = middle
        else:
            path.append(range_root(start, middle, node))
            start = middle
    if start:  # the old tree's last subtree is not the whole old tree: the verifier needs it
        path.append(range_root(start, end, node))
    path.reverse()
    return path


def verify_inclusion(
    *, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether ``leaf`` (a leaf hash) is at ``index`` of the tree with this size and root."""
    if not 0 <= index < size or not _hashes(proof):
        return False
    node, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            computed = node_hash(sibling, computed)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            computed = node_hash(computed, sibling)
        node >>= 1
        last >>= 1
    return last == 0 and computed == root


def verify_consistency(
    *, old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the old tree is a prefix of the new one."""
    if not 0 <= old_size <= new_size or not _hashes(proof):
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    path = list(proof)
    if old_size & (old_size - 1) == 0:  # the old tree is itself a node of the new one
        path.insert(0, old_root)
    if not path:
        return False
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old = node_hash(sibling, old)
            new = node_hash(sibling, new)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        node >>= 1
        last >>= 1
    return last == 0 and old == old_root and new == new_root


def _split(count: int) -> int:
    """The largest power of two below ``count``."""
    return 1 << (count - 1).bit_length() - 1


def _perfect(start: int, end: int) -> list[tuple[int, int]]:
    """The perfect subtrees (level, index) that make up [start, end), left to right."""
    found: list[tuple[int, int]] = []
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        found.append((level, start >> level))
        start += 1 << level
    return found


def _fold(subtrees: Sequence[bytes]) -> bytes:
    folded = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        folded = node_hash(left, folded)
    return folded


def _hashes(proof: Sequence[bytes]) -> bool:
    return all(len(item) == HASH_BYTES for item in proof)
