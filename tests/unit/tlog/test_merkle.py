"""tollgate_tlog.merkle against the definition of RFC 6962."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_tlog import merkle

SIZE_MAX = 40


def reference_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = reference_root(leaves[:split]), reference_root(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


LEAVES = [merkle.leaf_hash(str(i).encode()) for i in range(300)]


def node(level: int, index: int) -> bytes:
    return reference_root(LEAVES[index << level : (index + 1) << level])


def test_known_roots():
    """The roots of the Certificate Transparency reference tree come out."""
    inputs = [b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31"]
    leaves = [merkle.leaf_hash(data) for data in inputs]
    assert merkle.root([]).hex() == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    assert merkle.root(leaves[:1]).hex() == (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    )
    assert merkle.root(leaves[:3]).hex() == (
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
    )


@pytest.mark.parametrize("size", range(SIZE_MAX))
def test_frontier_is_the_recursive_definition(size):
    """The incremental root equals the recursive definition at every size, grown or loaded."""
    assert reference_root(LEAVES[:size]) == merkle.root(LEAVES[:size])
    loaded = merkle.Frontier.at(size, node)
    assert reference_root(LEAVES[:size]) == loaded.root()
    for leaf in LEAVES[size : size + 5]:
        loaded.append(leaf)
    assert reference_root(LEAVES[: size + 5]) == loaded.root()


@pytest.mark.parametrize("size", range(1, SIZE_MAX))
def test_every_inclusion_proof_verifies_only_itself(size):
    """Every (index, size) proof verifies; another leaf, index or root does not."""
    root = reference_root(LEAVES[:size])
    for index in range(size):
        proof = merkle.inclusion_proof(index, size, node)
        leaf = LEAVES[index]
        good = {"leaf": leaf, "index": index, "size": size, "proof": proof, "root": root}
        assert merkle.verify_inclusion(**good)
        assert not merkle.verify_inclusion(**good | {"leaf": LEAVES[index + 1]})
        assert not merkle.verify_inclusion(**good | {"index": size})
        assert not merkle.verify_inclusion(**good | {"root": LEAVES[0] + b"x"})
        assert not merkle.verify_inclusion(**good | {"proof": [*proof, leaf]})
        if size > 1:
            assert not merkle.verify_inclusion(**good | {"index": (index + 1) % size})
            assert not merkle.verify_inclusion(**good | {"proof": proof[:-1]})


@pytest.mark.parametrize("new_size", range(SIZE_MAX))
def test_every_consistency_proof_verifies_only_itself(new_size):
    """Every (old, new) proof verifies; a forged old tree does not."""
    new_root = reference_root(LEAVES[:new_size])
    for old_size in range(new_size + 1):
        proof = merkle.consistency_proof(old_size, new_size, node)
        good = {
            "old_size": old_size,
            "old_root": reference_root(LEAVES[:old_size]),
            "new_size": new_size,
            "new_root": new_root,
            "proof": proof,
        }
        assert merkle.verify_consistency(**good)
        assert not merkle.verify_consistency(**good | {"old_root": LEAVES[299]})
        assert not merkle.verify_consistency(**good | {"proof": [*proof, LEAVES[0]]})
        if 0 < old_size < new_size:
            assert not merkle.verify_consistency(**good | {"new_root": LEAVES[299]})
            assert not merkle.verify_consistency(**good | {"proof": proof[:-1]})
            forged = reference_root([LEAVES[200], *LEAVES[1:old_size]])
            assert not merkle.verify_consistency(**good | {"old_root": forged})


@given(st.integers(1, 300), st.integers(0, 299), st.integers(0, 300), st.data())
def test_larger_trees(size, index, old_size, data):
    """Sizes across a tile border verify as well, and no flipped proof bit does."""
    index, old_size = index % size, old_size % (size + 1)
    root = reference_root(LEAVES[:size])
    proof = merkle.inclusion_proof(index, size, node)
    good = {"leaf": LEAVES[index], "index": index, "size": size, "root": root}
    assert merkle.verify_inclusion(**good, proof=proof)
    consistency = merkle.consistency_proof(old_size, size, node)
    assert merkle.verify_consistency(
        old_size=old_size,
        old_root=reference_root(LEAVES[:old_size]),
        new_size=size,
        new_root=root,
        proof=consistency,
    )
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        bit = data.draw(st.integers(0, 255))
        flipped = int.from_bytes(proof[at]) ^ 1 << bit
        proof[at] = flipped.to_bytes(32)
        assert not merkle.verify_inclusion(**good, proof=proof)
