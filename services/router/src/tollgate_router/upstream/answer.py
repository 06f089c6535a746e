"""One upstream answer as it arrives: its head, its body, how it ended."""

import asyncio
from typing import Protocol

from tollgate_router.upstream.fault import Fault, UpstreamFault

# Unread bytes of an answer above which its connection is not read for a while.
READ_BUFFER_BYTES = 64 * 1024


class Source(Protocol):
    """The connection that an answer comes from."""

    def expect(self, until: float) -> None:
        """Fail the answer with TIMEOUT at that time of the loop, unless something comes before."""

    def hold(self, *, held: bool) -> None:
        """Stop or go on reading."""

    def abort(self) -> None:
        """Close at once."""

    def discard_rest(self, seconds: float, bytes_max: int) -> None:
        """Use the connection again if the rest of the answer comes soon and is short."""


class Answer:
    """An upstream's answer: its head is here, its body is read on request."""

    __slots__ = ("_fault", "_loop", "_parts", "_source", "_unread", "_until", "_waiter",
                 "headers", "idle_s", "is_whole", "status")  # fmt: skip

    def __init__(
        self, source: Source, loop: asyncio.AbstractEventLoop, *, until: float, idle_s: float
    ) -> None:
        self._source = source
        self._loop = loop
        self._until = until
        # How long nothing may come, in seconds.
        self.idle_s = idle_s
        self._parts: list[bytes] = []
        self._unread = 0
        self._fault: Fault | None = None
        self._waiter: asyncio.Future[None] | None = None
        # 0 until the head is here.
        self.status = 0
        # Names in lower case; of fields that come twice, the first.
        self.headers: dict[str, str] = {}
        # Every byte of it has arrived.
        self.is_whole = False

    # ---- for those who read it ---------------------------------------------------------------

    async def read(self) -> bytes:
        """What has arrived, waiting for something; empty at the end. Raises UpstreamFault.

        Safe to cancel: what was not returned is returned by the next read.
        """
        while not self._parts:
            if self.is_whole:
                return b""
            await self.change(min(self._until, self._loop.time() + self.idle_s))
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        if self._unread > READ_BUFFER_BYTES and not self.is_whole and self._fault is None:
            self._source.hold(held=False)
        self._unread = 0
        return data

    async def read_all(self, limit: int) -> bytes:
        """The whole body. Raises UpstreamFault, OVERSIZE when it is larger than limit.

        Whatever keeps it from the end closes the answer: nobody reads the rest of it.
        """
        try:
            return await self._read_all(limit)
        except BaseException:
            self.close()
            raise

    async def _read_all(self, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while part := await self.read():
            size += len(part)
            if size > limit:
                raise UpstreamFault(Fault.OVERSIZE)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def read_start(self, limit: int) -> bytes:
        """The beginning of the body, as far as it can be had: for an error's message."""
        start = b""
        try:
            while len(start) < limit and (part := await self.read()):
                start += part
        except UpstreamFault:
            self.close()
        return start[:limit]

    def close(self) -> None:
        """Give the answer up. The connection is used again only if all of it has arrived."""
        if not self.is_whole and self._fault is None:
            self.fail(Fault.BROKEN)
            self._source.abort()

    def discard_rest(self, seconds: float, bytes_max: int) -> None:
        """Give the answer up, with some patience for its last bytes: to keep the connection."""
        if not self.is_whole and self._fault is None:
            self._source.discard_rest(seconds, bytes_max)

    # ---- for the connection ------------------------------------------------------------------

    async def change(self, until: float) -> None:
        """Wait until something has come. Raises UpstreamFault."""
        if self._fault is not None:
            raise UpstreamFault(self._fault)
        self._waiter = self._loop.create_future()
        self._source.expect(until)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def due(self, awaited_until: float) -> float:
        """When it has taken too long: at the end of a wait, or of its time in all."""
        return self._until if self._waiter is None else awaited_until

    def wake(self) -> None:
        """Tell who waits that something has come."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def add(self, data: bytes) -> None:
        """A piece of the body."""
        self._parts.append(data)
        before = self._unread
        self._unread = before + len(data)
        if before <= READ_BUFFER_BYTES < self._unread:
            self._source.hold(held=True)

    def fail(self, fault: Fault) -> None:
        """It ends here, and not well; what has arrived can still be read."""
        if self._fault is None and not self.is_whole:
            self._fault = fault
            self.wake()
