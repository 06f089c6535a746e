"""HMAC-SHA256 under one key."""

import hmac

from hypothesis import given
from hypothesis import strategies as st

from tollgate_kit.hmac_key import HmacKey


@given(st.binary(max_size=200), st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_every_code_is_the_standard_librarys(key, messages):
    """For keys shorter and longer than a block, and however often the key was used before."""
    codes = HmacKey(key)
    for message in messages:
        assert codes.digest(message) == hmac.digest(key, message, "sha256")


@given(st.binary(), st.binary(), st.binary(min_size=1))
def test_only_the_key_makes_the_code(key, message, other):
    """A code matches its own message as it stands, whole; nothing else passes."""
    codes = HmacKey(key)
    code = hmac.digest(key, message, "sha256")
    assert codes.matches(message, code)
    assert not codes.matches(message + other, code)
    assert not codes.matches(message, code[:-1])
    assert not codes.matches(message, other)
    assert not HmacKey(key + b"k").matches(message, code)
