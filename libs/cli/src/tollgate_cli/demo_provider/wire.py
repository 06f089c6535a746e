"""HTTP/1.1 by hand: a test upstream must be able to break every rule of it."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Self

_MAX_HEAD_BYTES = 256 * 1024
_MAX_BODY_BYTES = 64 * 1024 * 1024


class PeerGoneError(Exception):
    """The other side closed the connection before it had its answer."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def keeps_alive(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"


class Exchange:
    """One request being answered; notices when the peer goes away meanwhile."""

    def __init__(self, request: Request, connection: "Connection") -> None:
        self.request = request
        self.closes = not request.keeps_alive
        # The last status that was sent.
        self.status = 0
        self._connection = connection

    async def pause(self, seconds: float) -> None:
        """Sleeps; raises PeerGoneError as soon as the peer is gone."""
        try:
            async with asyncio.timeout(seconds):
                await self._connection.wait_gone()
        except TimeoutError:
            return
        raise PeerGoneError

    async def hang(self) -> None:
        """Answers nothing more, for as long as the peer stays."""
        await self._connection.wait_gone()
        raise PeerGoneError

    async def head(
        self, status: int, reason: str = "", *, headers: dict[str, str] | None = None
    ) -> None:
        self.status = status
        lines = [f"HTTP/1.1 {status} {reason or 'Demo'}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        await self.raw("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))

    async def send(
        self,
        status: int,
        body: bytes,
        *,
        reason: str = "",
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:
        """A whole answer."""
        own = {"content-type": content_type, "content-length": str(len(body))}
        await self.head(status, reason, headers={**own, **(headers or {})})
        await self.raw(body)

    async def begin_stream(self, content_type: str) -> None:
        await self.head(
            200,
            "OK",
            headers={
                "content-type": content_type,
                "cache-control": "no-cache",
                "transfer-encoding": "chunked",
            },
        )

    async def chunk(self, data: bytes) -> None:
        # An empty chunk would be the last one.
        if data:
            await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def end_stream(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def raw(self, data: bytes) -> None:
        if self._connection.is_gone:
            raise PeerGoneError
        try:
            await self._connection.write(data)
        except ConnectionError:
            raise PeerGoneError from None

    def reset(self) -> None:
        """Closes with RST instead of FIN."""
        self.closes = True
        self._connection.reset()


class Connection:
    """A client's connection: requests one after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        # A byte of the next request that the watch for the peer's end has read.
        self._early = b""
        self._gone = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    @property
    def is_gone(self) -> bool:
        return self._gone.is_set() or self._writer.transport.is_closing()

    async def wait_gone(self) -> None:
        await self._gone.wait()

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        raw_socket = self._writer.get_extra_info("socket")
        raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()

    async def read(self) -> Request | None:
        """The next request; None when there is none."""
        try:
            head = self._early + await self._reader.readuntil(b"\r\n\r\n")
            self._early = b""
            lines = head.decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split(" ", 2)
            headers = {}
            for line in filter(None, lines[1:]):
                name, _, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
            body = await self._body(headers)
        except (
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            ValueError,
            ConnectionError,
        ):
            return None
        path, _, query = target.partition("?")
        return Request(method, path, query, headers, body)

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            size = int(headers.get("content-length", "0"))
            if size > _MAX_BODY_BYTES:
                raise ValueError("body too large")
            return await self._reader.readexactly(size)
        pieces: list[bytes] = []
        while size := int((await self._reader.readline()).split(b";")[0], 16):
            pieces.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readline()
        return b"".join(pieces)

    async def __aenter__(self) -> Self:
        """Watches for the peer's end while a request is answered."""
        self._watch = asyncio.get_running_loop().create_task(self._watch_peer())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._watch
        self._watch.cancel()
        await asyncio.wait([self._watch])

    async def _watch_peer(self) -> None:
        try:
            self._early = await self._reader.read(1)
        except ConnectionError:
            self._early = b""
        if not self._early:
            self._gone.set()

    @staticmethod
    def limit_bytes() -> int:
        return _MAX_HEAD_BYTES
