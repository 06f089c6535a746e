"""Joins what is written to a client in one turn of the event loop into one write.

uvicorn writes an answer's head, its body and each part of a stream apart, and uvloop sends each of
them at once: a system call, and a segment on the wire, each. Promises: the order of the bytes; that
they leave before anything that was scheduled later, and before a close; that no more wait than one
write may hold.
"""

import asyncio
from typing import Any

WAITING_BYTES_MAX = 64 * 1024


class TurnTransport:
    """Joins the writes of one turn of the loop; everything else is the wrapped transport's."""

    __slots__ = ("_bytes", "_loop", "_parts", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._bytes += len(data)
        if self._bytes > WAITING_BYTES_MAX:
            self._flush()

    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._parts, self._bytes = [], 0
        self._transport.abort()

    def get_write_buffer_size(self) -> int:
        return self._bytes + self._transport.get_write_buffer_size()

    def _flush(self) -> None:
        parts, self._parts, self._bytes = self._parts, [], 0
        # The client may have gone since: nobody is there to be written to.
        if parts and not self._transport.is_closing():
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))
