"""Proof of a presented key: HMAC-SHA256 of its text under a pepper that the database never sees.

Owns the MAC and the comparison. Promises one HMAC and one constant-time comparison per presented
key, whether the key exists or not. Never looks anything up; never keeps the text.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final

from tollgate_authz.tenants.directory import KeyMac
from tollgate_kit.secret import Secret
from tollgate_kit.virtual_key import VirtualKey

MacFunction = Callable[[bytes, bytes], bytes]

# Compared with when there is no such key; no HMAC-SHA256 is known to give it.
_NOBODY: Final = bytes(32)
# Tells these MACs from any other made under the same pepper.
_PURPOSE: Final = b"tollgate virtual key 1"


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)


class UnknownPepper(Exception):  # noqa: N818 - what happened, not an error of the caller
    """A key is stored under a pepper that this process was not given: it cannot answer."""


class Peppers:
    """The peppers by version. New keys go under the newest; older keys keep theirs."""

    def __init__(self, by_version: Mapping[int, Secret], mac: MacFunction = hmac_sha256) -> None:
        self._mac = mac
        self.take(by_version)

    def take(self, by_version: Mapping[int, Secret]) -> None:
        """Work with these peppers from now on. Raises ValueError for none."""
        if not by_version:
            raise ValueError("at least one pepper is needed")
        self._by_version = dict(by_version)
        self._newest = max(by_version)

    def mac(self, key: VirtualKey) -> KeyMac:
        """What to store of a new key."""
        return KeyMac(mac=self._digest(key, self._newest), pepper_version=self._newest)

    def known(self, stored: KeyMac | None) -> KeyMac | None:
        """What is stored of a key, if its pepper is here."""
        return stored if stored and stored.pepper_version in self._by_version else None

    def proves(self, key: VirtualKey, stored: KeyMac | None) -> bool:
        """Whether `key` is the one stored. The same work is done when nothing is stored."""
        version = self._newest if stored is None else stored.pepper_version
        expected = _NOBODY if stored is None else stored.mac
        same = hmac.compare_digest(self._digest(key, version), expected)
        return same and stored is not None

    def _digest(self, key: VirtualKey, version: int) -> bytes:
        pepper = self._by_version.get(version)
        if pepper is None:
            raise UnknownPepper
        parts = (_PURPOSE, key.environment.encode(), key.public_id.encode())
        message = b"\0".join((*parts, key.secret.reveal_bytes()))
        return self._mac(pepper.reveal_bytes(), message)
