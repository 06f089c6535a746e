"""Ids and randomness, injected. UUIDv7 as in RFC 9562 section 5.7."""

import os
from collections.abc import Callable

from tollgate_kit.clock import Clock

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Bytes from this value on are thrown away, so that every letter is equally likely.
_FAIR_BYTES = 256 - 256 % 62


class Ids:
    """Makes ids from a clock and a source of random bytes."""

    def __init__(self, clock: Clock, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._random_bytes = random_bytes

    def uuid7(self) -> str:
        """A UUIDv7 in its canonical text form, 36 characters. Sorts by time of creation."""
        value = bytearray(self._clock.unix_ms().to_bytes(6, "big") + self._random_bytes(10))
        value[6] = 0x70 | value[6] & 0x0F
        value[8] = 0x80 | value[8] & 0x3F
        text = value.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def base62(self, length: int) -> str:
        """A random text of letters and digits; each character holds 5.95 bits."""
        text = ""
        while len(text) < length:
            fair = (b for b in self._random_bytes(2 * length) if b < _FAIR_BYTES)
            text += "".join(BASE62[b % 62] for b in fair)
        return text[:length]

    def random(self, count: int) -> bytes:
        """Random bytes, for keys and nonces."""
        return self._random_bytes(count)
