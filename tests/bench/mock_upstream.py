"""The bench's upstream: canned OpenAI and Anthropic answers, plain and streamed, from one process.

`python -m tests.bench.mock_upstream --port N`. It does as little as it can, so that what is
measured is the gateway. A prompt with `pace_ms=5` has the chunks of its stream sent 5 ms apart;
else they follow one another at once, each in a write of its own.
"""

import argparse
import asyncio
import re
from collections.abc import Iterator
from typing import cast

import httptools
import uvloop

from tests.bench import canned
from tests.bench.canned import Dialect

_STREAM = re.compile(rb'"stream"\s*:\s*true')
_PACE = re.compile(rb"pace_ms=(\d+)")
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\nx-request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n"
)


def _plain(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\n"
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


def _stream_writes(events: list[bytes]) -> tuple[bytes, ...]:
    chunks = [b"%x\r\n" % len(event) + event + b"\r\n" for event in events]
    # As real upstreams do: the head goes out with the first event, the end with the last one.
    return (_STREAM_HEAD + chunks[0], *chunks[1:-1], chunks[-1] + b"0\r\n\r\n")


_PLAIN = {dialect.path.encode(): _plain(canned.answer_body(dialect)) for dialect in Dialect}
_STREAMS = {
    dialect.path.encode(): _stream_writes(canned.answer_events(dialect)) for dialect in Dialect
}


class Upstream(asyncio.Protocol):
    """One connection of a gateway: requests in turn, each answered from memory."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._body: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_url(self, url: bytes) -> None:
        self._path = url
        self._body.clear()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        if self._path not in _PLAIN:
            self._transport.write(_NOT_FOUND)
        elif _STREAM.search(body):
            pace = _PACE.search(body)
            pace_s = int(pace[1]) / 1000 if pace else 0.0
            self._send_next(iter(_STREAMS[self._path]), pace_s)
        else:
            self._transport.write(_PLAIN[self._path])

    def _send_next(self, writes: Iterator[bytes], pace_s: float) -> None:
        part = next(writes, None)
        if part is None or self._transport.is_closing():
            return
        self._transport.write(part)
        # The next turn of the loop at the earliest: each part is a segment of its own.
        if pace_s:
            self._loop.call_later(pace_s, self._send_next, writes, pace_s)
        else:
            self._loop.call_soon(self._send_next, writes, pace_s)


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    uvloop.run(_serve(arguments.parse_args().port))
