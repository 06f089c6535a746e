"""Bytes in base64, of which a few are looked at."""

import binascii


class Encoded:
    """Bytes in base64, decoded where they are looked at."""

    def __init__(self, text: str, start: int) -> None:
        self._text, self._start = text, start

    def at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes; fewer at the end."""
        first = offset // 3
        start = self._start + first * 4
        end = self._start + -(-(offset + length) // 3) * 4
        data = binascii.a2b_base64(self._text[start:end])
        return data[offset - first * 3 :][:length]


def big(data: bytes) -> int:
    """A number, its highest byte first."""
    return int.from_bytes(data, "big")


def little(data: bytes) -> int:
    """A number, its lowest byte first."""
    return int.from_bytes(data, "little")
