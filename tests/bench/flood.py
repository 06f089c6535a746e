"""One key that takes all it can get: the other side of tests/bench/neighbour.py.

`python -m tests.bench.flood MODE PORT KEY MODEL SECONDS`. Loopback only, bounded in count and time.
"""

import asyncio
import contextlib
import json
import resource
import sys
import time

import uvloop

HOST = "127.0.0.1"
HALF_BODIES = 2000
IDLE_SOCKETS = 5000
LARGE_BYTES = 32_000_000
LARGE_LINES = 8
CALL_LINES = 1250
STORM_LINES = 16
# A line that was refused is not opened again sooner.
PAUSE_SECONDS = 0.05


class Flood:
    """Repeats one kind of abuse on many lines until its time is over."""

    def __init__(self, port: int, key: str, model: str, seconds: float) -> None:
        self._port = port
        self._key = key
        self._model = model
        self._until = time.monotonic() + seconds
        self.sent = 0

    async def run(self, mode: str) -> None:
        """One of the modes."""
        lines = {
            "half": lambda: [self._line(self._head(1000) + b"{") for _ in range(HALF_BODIES)],
            "idle": lambda: [self._line(b"") for _ in range(IDLE_SOCKETS)],
            "large": lambda: [
                self._line(self._head(LARGE_BYTES), b"x" * LARGE_BYTES) for _ in range(LARGE_LINES)
            ],
            "calls": lambda: [self._calls() for _ in range(CALL_LINES)],
            "storm": lambda: [self._storm() for _ in range(STORM_LINES)],
        }
        await asyncio.gather(*lines[mode]())

    def _head(self, length: int) -> bytes:
        return (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self._key}"
            f"\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        ).encode()

    async def _line(self, head: bytes, body: bytes = b"") -> None:
        """Open, send, wait until it is closed, again."""
        while time.monotonic() < self._until:
            with contextlib.suppress(OSError, TimeoutError):
                reader, writer = await asyncio.open_connection(HOST, self._port)
                self.sent += 1
                try:
                    async with asyncio.timeout_at(
                        asyncio.get_running_loop().time() + self._until - time.monotonic()
                    ):
                        writer.write(head)
                        writer.write(body)
                        await reader.read()
                finally:
                    writer.transport.abort()
            await asyncio.sleep(PAUSE_SECONDS)

    def _call(self) -> bytes:
        body = json.dumps(
            {"model": self._model, "max_tokens": 16, "messages": [{"role": "user", "content": "x"}]}
        ).encode()
        return self._head(len(body)) + body

    async def _storm(self) -> None:
        """Open, call, go away without waiting for the answer, again without a pause."""
        text = self._call()
        while time.monotonic() < self._until:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, self._port)
                writer.write(text)
                self.sent += 1
                await asyncio.sleep(0)
                writer.transport.abort()

    async def _calls(self) -> None:
        """Call, read the answer, call again on the same line."""
        text = self._call()
        while time.monotonic() < self._until:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
                reader, writer = await asyncio.open_connection(HOST, self._port)
                try:
                    while time.monotonic() < self._until:
                        writer.write(text)
                        self.sent += 1
                        head = await reader.readuntil(b"\r\n\r\n")
                        length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
                        await reader.readexactly(int(length))
                finally:
                    writer.transport.abort()
            await asyncio.sleep(PAUSE_SECONDS)


async def main(mode: str, port: str, key: str, model: str, seconds: str) -> None:
    """Flood, and say how much was sent."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    flood = Flood(int(port), key, model, float(seconds))
    await flood.run(mode)
    sys.stdout.write(f"{flood.sent}\n")


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
