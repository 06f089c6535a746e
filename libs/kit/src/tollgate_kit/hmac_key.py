"""HMAC-SHA256 (RFC 2104) under one key, for whoever makes one for every call.

The key's two blocks are hashed once: hmac.digest() looks its algorithm up anew for every message,
which is half the time of a short one.
"""

import hashlib
import hmac
from collections.abc import Mapping

from tollgate_kit.secret import Secret

_BLOCK_BYTES = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class HmacKey:
    """Makes and checks the codes of one key; the key itself is not kept."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK_BYTES:
            key = hashlib.sha256(key).digest()
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER))
        self._outer = hashlib.sha256(block.translate(_OUTER))

    def digest(self, message: bytes) -> bytes:
        """The 32 bytes that hmac.digest(key, message, "sha256") gives."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()

    def matches(self, message: bytes, code: bytes) -> bool:
        """Compare a code with the message's own, all 32 bytes, in constant time."""
        return hmac.compare_digest(self.digest(message), code)


class HmacKeys:
    """The versions of a key whose codes are accepted: two while it is rotated."""

    def __init__(self, by_version: Mapping[int, Secret]) -> None:
        self.take(by_version)

    def take(self, by_version: Mapping[int, Secret]) -> None:
        """Accept what these keys signed, from now on."""
        newest_first = sorted(by_version.items(), reverse=True)
        self._keys = [HmacKey(key.reveal_bytes()) for _, key in newest_first]

    def match(self, message: bytes, code: bytes) -> bool:
        """Whether one of them made this code."""
        for key in self._keys:  # noqa: SIM110 - a generator costs as much as what it asks
            if key.matches(message, code):
                return True
        return False
