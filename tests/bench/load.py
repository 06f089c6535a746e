"""The load: closed-loop clients on keep-alive connections, one call in flight on each.

Promises: every answer counted was 200, whole, and held the expected text; one that was not is
reported and never timed; a round ends, whatever the gateway does.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools

from tests.bench import canned
from tests.bench.canned import Dialect, Shape

_ANSWER_TIMEOUT_S = 10.0
_SHOWN_BYTES = 300


@dataclass(frozen=True)
class Endpoint:
    """Where to call, and with which key."""

    port: int
    key: str


@dataclass
class Tally:
    """What the answers of one round were."""

    deadline: float
    latencies_ms: list[float] = field(default_factory=list)
    first_chunks_ms: list[float] = field(default_factory=list)
    # From the first request to the last answer, those in flight at the deadline included.
    seconds: float = 0.0
    wrong: int = 0
    first_wrong: str = ""
    last_body: bytes | bytearray = b""

    def reject(self, why: str) -> None:
        self.wrong += 1
        self.first_wrong = self.first_wrong or why


class Connection(asyncio.Protocol):
    """One client. It sends the next request when the answer to the last one is complete."""

    def __init__(self, shape: Shape, request: bytes, on_end: Callable[[], None]) -> None:
        self._shape = shape
        self._request = request
        self._on_end = on_end
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def start(self, tally: Tally) -> None:
        """Calls until the tally's deadline."""
        self._tally = tally
        self._busy = True
        self._send()

    def stop_waiting(self) -> None:
        """Gives the call in flight up."""
        if self._busy:
            self._fail(f"no whole answer within {_ANSWER_TIMEOUT_S:g} s")

    def close(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"no HTTP answer: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._busy:
            self._fail("the connection was closed before the answer was complete")

    def on_body(self, body: bytes) -> None:
        self._body += body
        # The first event, not the first byte: a comment ahead of it is no answer.
        if not self._first_at and self._shape.stream and b"data:" in self._body:
            self._first_at = time.perf_counter()

    def on_message_complete(self) -> None:
        if not self._busy:
            return
        now = time.perf_counter()
        status = self._parser.get_status_code()
        if status != 200 or not canned.looks_whole(self._shape, self._body):
            text = bytes(self._body[:_SHOWN_BYTES]).decode(errors="replace")
            self._fail(f"status {status}, {len(self._body)} bytes: {text}")
            return
        tally = self._tally
        tally.last_body = self._body
        tally.latencies_ms.append((now - self._sent_at) * 1e3)
        if self._first_at:
            tally.first_chunks_ms.append((self._first_at - self._sent_at) * 1e3)
        if now < tally.deadline:
            self._send()
        else:
            self._end()

    def _send(self) -> None:
        # A parser of its own: the answer is read from its first byte, whatever came before.
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._first_at = 0.0
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)

    def _fail(self, why: str) -> None:
        self._tally.reject(why)
        # A client that got a wrong answer is out of the round: the round is void anyway.
        self._end()
        self._transport.abort()

    def _end(self) -> None:
        self._busy = False
        self._on_end()


class Clients:
    """The open connections of one round."""

    def __init__(self, endpoint: Endpoint, shape: Shape) -> None:
        self._endpoint = endpoint
        self._shape = shape
        self._request = request_bytes(endpoint, shape)
        self._connections: list[Connection] = []
        self._running = 0
        self._all_ended = asyncio.Event()

    async def open(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, connection = await loop.create_connection(
                lambda: Connection(self._shape, self._request, self._ended),
                "127.0.0.1",
                self._endpoint.port,
            )
            self._connections.append(connection)

    async def run(self, seconds: float) -> Tally:
        """Calls for that long; returns when the calls in flight at the end are answered too."""
        began = time.perf_counter()
        tally = Tally(deadline=began + seconds)
        self._running = len(self._connections)
        self._all_ended.clear()
        for connection in self._connections:
            connection.start(tally)
        try:
            async with asyncio.timeout(seconds + _ANSWER_TIMEOUT_S):
                await self._all_ended.wait()
        except TimeoutError:
            for connection in self._connections:
                connection.stop_waiting()
        tally.seconds = time.perf_counter() - began
        return tally

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def _ended(self) -> None:
        self._running -= 1
        if self._running == 0:
            self._all_ended.set()


def request_bytes(endpoint: Endpoint, shape: Shape) -> bytes:
    """One whole HTTP request."""
    body = canned.request_body(shape)
    lines = (
        f"POST {shape.dialect.path} HTTP/1.1",
        f"host: 127.0.0.1:{endpoint.port}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *(f"{name}: {text}" for name, text in credentials(endpoint.key, shape.dialect).items()),
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def credentials(key: str, dialect: Dialect) -> dict[str, str]:
    """Headers as the SDK of each protocol sends them."""
    if dialect is Dialect.MESSAGES:
        return {"x-api-key": key, "anthropic-version": "2023-06-01"}
    return {"authorization": f"Bearer {key}"}
