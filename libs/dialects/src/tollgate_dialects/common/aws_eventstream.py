"""AWS's binary event streams (application/vnd.amazon.eventstream), taken apart.

Promises that the messages given back are the same however their bytes were chunked; that a message
whose checksums do not hold is a fault and not a message; and that no more than one message of 1 MiB
waits for its end.
"""

import struct
import zlib
from typing import Final, NamedTuple

from tollgate_dialects.common import sse

# Its size, that of its headers, the checksum of the two; behind the payload, the message's own.
_PRELUDE = struct.Struct(">III")
_CHECKSUM = struct.Struct(">I")
_LEAST_BYTES: Final = _PRELUDE.size + _CHECKSUM.size
# Bytes of a header's value, by its kind; two kinds say theirs themselves.
_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_BYTES: Final = 6
_TEXT: Final = 7
_LENGTH = struct.Struct(">H")


class BrokenMessageError(sse.FrameError):
    """Bytes that are no message, or not the one that was sent."""


class Message(NamedTuple):
    """One message: its headers that are texts, and what it carries."""

    headers: dict[str, str]
    payload: bytes


class MessageBuffer:
    """Collects chunks and gives back whole messages."""

    def __init__(self) -> None:
        self._held = bytearray()

    def push(self, chunk: bytes) -> list[Message]:
        """All messages that are whole now. Raises BrokenMessageError, FrameTooLongError.

        What came before a fault is given back; the fault is raised by the next push.
        """
        held = self._held
        held += chunk
        messages: list[Message] = []
        position = 0
        try:
            while len(held) - position >= _PRELUDE.size:
                size, headers_size = _prelude(held, position)
                end = position + size
                if len(held) < end:
                    break
                messages.append(_message(bytes(held[position:end]), headers_size))
                position = end
        except sse.FrameError:
            if not messages:
                raise
        del held[:position]
        return messages

    @property
    def is_empty(self) -> bool:
        """True when no part of a message waits for its rest."""
        return not self._held


def _prelude(held: bytearray, at: int) -> tuple[int, int]:
    """The size of the message that begins here, and of its headers."""
    size, headers_size, checksum = _PRELUDE.unpack_from(held, at)
    if zlib.crc32(held[at : at + _PRELUDE.size - _CHECKSUM.size]) != checksum:
        raise BrokenMessageError
    if headers_size > size - _LEAST_BYTES:
        raise BrokenMessageError
    if size > sse.MAX_FRAME_BYTES:
        raise sse.FrameTooLongError
    return size, headers_size


def _message(data: bytes, headers_size: int) -> Message:
    checked = len(data) - _CHECKSUM.size
    (checksum,) = _CHECKSUM.unpack_from(data, checked)
    if zlib.crc32(data[:checked]) != checksum:
        raise BrokenMessageError
    end = _PRELUDE.size + headers_size
    try:
        headers = _headers(data[_PRELUDE.size : end])
    except (IndexError, struct.error, UnicodeDecodeError, KeyError):
        raise BrokenMessageError from None
    return Message(headers, data[end:checked])


def _headers(data: bytes) -> dict[str, str]:
    """Those that are texts; the others are read over. A name that comes twice is a fault."""
    texts: dict[str, str] = {}
    seen: set[str] = set()
    position = 0
    while position < len(data):
        start = position + 1
        position = start + data[position]
        name = data[start:position].decode()
        kind = data[position]
        position += 1
        if kind in (_BYTES, _TEXT):
            (size,) = _LENGTH.unpack_from(data, position)
            position += _LENGTH.size
        else:
            size = _SIZES[kind]
        value = data[position : position + size]
        position += size
        if position > len(data) or name in seen:
            raise BrokenMessageError
        seen.add(name)
        if kind == _TEXT:
            texts[name] = value.decode()
    return texts
