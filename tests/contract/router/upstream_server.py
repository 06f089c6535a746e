"""A client to providers, and a server on loopback that says what it is told to."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tollgate_router.providers.request_head import RequestHead
from tollgate_router.upstream.fault import Fault, UpstreamFault
from tollgate_router.upstream.upstream import Upstream, UpstreamConfig

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
FAST = UpstreamConfig(connect_ms=2_000, first_byte_ms=1_000, idle_ms=500, total_ms=5_000)


class Peer:
    """One connection, as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """The next request, whole; raises IncompleteReadError when there is none."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return head + await self.reader.readexactly(length)

    async def say(self, *pieces: bytes) -> None:
        """Send pieces, each in a packet of its own as far as one can tell."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            if len(pieces) > 1:
                await asyncio.sleep(0.001)


Script = Callable[[Peer], Awaitable[None]]


class Server:
    """Runs a script for each connection."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.connections = 0
        self.closed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; the end of the script is its end."""
        self.connections += 1
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._script(Peer(reader, writer))
        finally:
            self.closed.set()
            writer.close()


def always(*pieces: bytes) -> Script:
    """Answers every request with the pieces."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.say(*pieces)

    return script


def once(*pieces: bytes) -> Script:
    """Answers one request with the pieces, then closes."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(*pieces)

    return script


@contextlib.asynccontextmanager
async def running(
    script: Script, *, config: UpstreamConfig = FAST, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Upstream, RequestHead, Server]]:
    """A client, the head of a request to a server, and the server."""
    server = Server(script)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    port = listener.sockets[0].getsockname()[1]
    upstream = Upstream(config, allow_private=True)
    scheme = "https" if tls else "http"
    try:
        yield upstream, RequestHead.post(f"{scheme}://127.0.0.1:{port}/v1/x", {"A": "b"}), server
    finally:
        await upstream.close()
        listener.close()


async def body_of(upstream: Upstream, head: RequestHead, body: bytes = b"{}") -> bytes:
    """The whole answer to a request."""
    return await (await upstream.send(head, body)).read_all(1 << 30)


async def fault_of(upstream: Upstream, head: RequestHead, body: bytes = b"{}") -> Fault:
    """What a request fails with, in its head or in its body."""
    with pytest.raises(UpstreamFault) as raised:
        await body_of(upstream, head, body)
    assert raised.value.__context__ is None
    return raised.value.fault
