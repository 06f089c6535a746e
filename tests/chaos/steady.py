"""Calls at an even rate on a suite from a thread of its own, each remembered by how it ended."""

import asyncio
import itertools
import json
import re
import threading
import time
from collections import Counter

from tests.live import OPENAI, PATHS

_CONNECTIONS = 24
_TIMEOUT_S = 20
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Steady:
    """Whole answers, 200 a second, over kept connections; until the block is left."""

    def __init__(self, address: str, key: str, model: str, *, per_second: int = 200) -> None:
        self._address = address
        body = json.dumps(
            {"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}]}
        )
        head = (
            f"POST {PATHS[OPENAI]} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n"
        )
        kind = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self._request = (head + kind + body).encode()
        self._every_s = 1 / per_second
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.ends: Counter[str] = Counter()
        self.seconds = 0.0

    def __enter__(self) -> "Steady":  # noqa: PYI034 - not meant to be subclassed
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "a call never ended"

    @property
    def rate(self) -> float:
        """Calls a second that ended."""
        return sum(self.ends.values()) / self.seconds

    async def _run(self) -> None:
        began = time.monotonic()
        turns = itertools.count()
        await asyncio.gather(*(self._connection(began, turns) for _ in range(_CONNECTIONS)))
        self.seconds = time.monotonic() - began

    async def _connection(self, began: float, turns: "itertools.count[int]") -> None:
        host, _, port = self._address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            while not self._stop.is_set():
                due = began + next(turns) * self._every_s
                await asyncio.sleep(due - time.monotonic())
                async with asyncio.timeout(_TIMEOUT_S):
                    self.ends[await self._call(reader, writer)] += 1
        finally:
            writer.close()

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """The status; with the body, where it is not 200."""
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        assert length is not None, head
        body = await reader.readexactly(int(length[1]))
        status = head[9:12].decode()
        return status if status == "200" else f"{status} {body[:200].decode()}"
