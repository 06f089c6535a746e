"""The outgoing half of a session's end: frames coalesced per turn of the event loop, bounded."""

import asyncio
from collections.abc import Iterable
from typing import Any

from tollgate_kit.rpc.failure import overloaded

BATCH_FRAMES_MAX = 256
BATCH_BYTES_MAX = 1024 * 1024
# A peer that does not read: calls on its session are refused rather than frames piled up.
WAITING_BYTES_MAX = 64 * 1024 * 1024


class Outbox:
    """Frames on their way out; everything queued in one turn of the loop leaves in one write."""

    def __init__(self) -> None:
        self._frames: list[Any] = []
        self._sizes: list[int] = []
        self._bytes = 0
        self._wake = asyncio.Event()
        self.closed = False

    def put(self, frame: Any, size: int = 0) -> None:
        """Queue a frame; size is that of its payload, which reading it would copy.

        Raises Failure OVERLOADED when too much waits already; a frame without payload always fits,
        so that every call can be told its end.
        """
        if size and self._bytes + size > WAITING_BYTES_MAX:
            raise overloaded("session")
        self._frames.append(frame)
        self._sizes.append(size)
        self._bytes += size
        self._wake.set()

    def holds_last(self, frame: Any) -> bool:
        """Return True while this frame is queued last: it may still be changed."""
        return bool(self._frames) and self._frames[-1] is frame

    def waiting(self) -> Iterable[Any]:
        """The frames that open calls and were not taken: no peer has seen them."""
        return (frame for frame in self._frames if frame.method)

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def take(self) -> list[Any]:
        """The next batch; empty when the outbox was closed."""
        while not self._frames:
            if self.closed:
                return []
            self._wake.clear()
            await self._wake.wait()
            # Let everything else that is ready in this turn of the loop put its frames, too.
            await asyncio.sleep(0)
        if len(self._frames) <= BATCH_FRAMES_MAX and self._bytes <= BATCH_BYTES_MAX:
            batch, self._frames, self._sizes, self._bytes = self._frames, [], [], 0
            return batch
        count = total = 0
        for size in self._sizes[:BATCH_FRAMES_MAX]:
            count += 1
            total += size
            if total >= BATCH_BYTES_MAX:
                break
        batch, self._frames = self._frames[:count], self._frames[count:]
        self._sizes = self._sizes[count:]
        self._bytes -= total
        return batch
