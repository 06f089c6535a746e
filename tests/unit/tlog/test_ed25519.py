"""tollgate_tlog.ed25519 against RFC 8032 and against the cryptography package."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tollgate_tlog import ed25519

ORDER = 2**252 + 27742317777372353535851937790883648493

# RFC 8032, section 7.1, tests 1 to 3: public key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
            "4a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_rfc_8032(key, message, signature):
    """The RFC's signatures verify; a changed message does not."""
    args = [bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)]
    assert ed25519.verify(*args)
    assert not ed25519.verify(args[0], args[1] + b"x", args[2])


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.integers(0, 511))
def test_agrees_with_cryptography(seed, message, bit):
    """What cryptography signs verifies here, and no flipped bit of the signature does."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key().public_bytes_raw()
    signature = private.sign(message)
    assert ed25519.verify(public, message, signature)
    flipped = (int.from_bytes(signature, "little") ^ 1 << bit).to_bytes(64, "little")
    assert not ed25519.verify(public, message, flipped)


def test_malleable_and_degenerate_inputs_are_refused():
    """S + L, a key of small order, a non-canonical key and wrong lengths are refused."""
    key, message, signature = (bytes.fromhex(part) for part in VECTORS[1])
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    assert not ed25519.verify(key, message, signature[:32] + scalar.to_bytes(32, "little"))
    neutral = (1).to_bytes(32, "little")
    forged = neutral + bytes(32)  # R = neutral, S = 0: holds for a key of order 1
    assert not ed25519.verify(neutral, message, forged)
    assert not ed25519.verify((2**255 - 18).to_bytes(32, "little"), message, forged)
    assert not ed25519.verify(b"\xff" * 32, message, signature)
    assert not ed25519.verify(key[:31], message, signature)
    assert not ed25519.verify(key, message, signature[:63])
