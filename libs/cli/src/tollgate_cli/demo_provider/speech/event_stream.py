"""AWS's binary frames of events, `application/vnd.amazon.eventstream`."""

import struct
import zlib
from collections.abc import Mapping
from typing import Final

# The type of a header's value: a text.
_TEXT: Final = 7
# Length of all, length of the headers and their checksum; the checksum of all.
_PRELUDE: Final = struct.Struct(">II")
_CHECKSUM: Final = struct.Struct(">I")
_VALUE: Final = struct.Struct(">BH")


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One event, with both checksums."""
    told = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    size = _PRELUDE.size + 2 * _CHECKSUM.size + len(told) + len(payload)
    prelude = _PRELUDE.pack(size, len(told))
    begun = prelude + _CHECKSUM.pack(zlib.crc32(prelude)) + told + payload
    return begun + _CHECKSUM.pack(zlib.crc32(begun))


def _header(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + _VALUE.pack(_TEXT, len(value)) + value
