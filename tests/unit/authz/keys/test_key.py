"""Proof of a presented key: only the stored key is proven, and each try is the same work."""

import hmac
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_authz.keys.key import Peppers, UnknownPepper, hmac_sha256
from tollgate_authz.tenants.directory import KeyMac
from tollgate_kit.secret import Secret
from tollgate_kit.virtual_key import VirtualKey

BASE62 = string.digits + string.ascii_letters
keys = st.builds(
    VirtualKey,
    environment=st.sampled_from(["live", "test", "dev"]),
    public_id=st.text(BASE62, min_size=12, max_size=12),
    secret=st.text(BASE62, min_size=32, max_size=32).map(Secret),
)
PEPPERS = {1: Secret(b"p" * 32), 2: Secret(b"q" * 32)}


class CountingMac:
    """HMAC-SHA256 that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, key: bytes, message: bytes) -> bytes:
        self.calls += 1
        return hmac_sha256(key, message)


@given(keys)
def test_a_stored_key_is_proven(key):
    """The stored key is proven, and what is stored holds no part of its secret."""
    peppers = Peppers(PEPPERS)
    stored = peppers.mac(key)
    assert peppers.proves(key, stored) is True
    assert 32 == len(stored.mac)
    assert key.secret.reveal_bytes()[:8] not in stored.mac


@given(keys, st.data())
def test_any_other_key_is_refused(key, data):
    """One other character in any part, or another part, and the key is not proven."""
    peppers = Peppers(PEPPERS)
    stored = peppers.mac(key)
    other = data.draw(keys.filter(lambda k: k != key))
    mixed = [
        VirtualKey(other.environment, key.public_id, key.secret),
        VirtualKey(key.environment, other.public_id, key.secret),
        VirtualKey(key.environment, key.public_id, other.secret),
    ]
    assert [m == key for m in mixed] == [peppers.proves(m, stored) for m in mixed]


def test_an_unknown_key_costs_the_same_work():
    """One HMAC whether the key exists, is wrong, or does not exist."""
    mac = CountingMac()
    peppers = Peppers(PEPPERS, mac=mac)
    key = VirtualKey("live", "A" * 12, Secret("b" * 32))
    wrong = VirtualKey("live", "A" * 12, Secret("c" * 32))
    stored = peppers.mac(key)
    for presented, kept, proven in (
        (key, stored, True),
        (wrong, stored, False),
        (key, None, False),
    ):
        mac.calls = 0
        assert proven == peppers.proves(presented, kept)
        assert 1 == mac.calls


def test_nobody_is_never_proven():
    """Even a key whose MAC is the dummy's is refused when nothing is stored."""
    peppers = Peppers(PEPPERS, mac=lambda _key, _message: bytes(32))
    assert peppers.proves(VirtualKey("live", "A" * 12, Secret("b" * 32)), None) is False


def test_peppers_rotate():
    """New keys go under the newest pepper; a key under an older one is still proven."""
    key = VirtualKey("live", "A" * 12, Secret("b" * 32))
    old = Peppers({1: PEPPERS[1]}).mac(key)
    both = Peppers(PEPPERS)
    assert both.proves(key, old) is True
    assert 2 == both.mac(key).pepper_version
    assert both.mac(key).mac != old.mac


def test_a_pepper_that_is_not_there_is_not_a_denial():
    """A key under a pepper this process lacks: it cannot answer, and says so."""
    key = VirtualKey("live", "A" * 12, Secret("b" * 32))
    with pytest.raises(UnknownPepper):
        Peppers({1: PEPPERS[1]}).proves(key, KeyMac(mac=bytes(32), pepper_version=9))
    with pytest.raises(ValueError, match="pepper"):
        Peppers({})


def test_the_stored_mac_is_fixed():
    """Keys that were issued stay valid: the MAC's input never changes."""
    key = VirtualKey("live", "AbCdEfGh1234", Secret("0123456789abcdefghijklmnopqrstuv"))
    text = b"tollgate virtual key 1\0live\0AbCdEfGh1234\x000123456789abcdefghijklmnopqrstuv"
    assert hmac.digest(b"p" * 32, text, "sha256") == Peppers({1: PEPPERS[1]}).mac(key).mac
