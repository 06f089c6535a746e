"""The public HTTP/1.1 listener: uvicorn with httptools, and the time limits it does not have.

Owns sockets and connections. Promises: a client that sends its head or body too slowly, or does
not read its answer, is cut off; what is not HTTP gets one answer and the connection ends; an
answer in flight at the stop is finished, for as long as the stop may last.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tollgate_edge import public_errors
from tollgate_edge.config import ListenConfig
from tollgate_edge.connections import Connections
from tollgate_edge.exchange import CONNECTION, Connection
from tollgate_kit.lifecycle import core_task

BACKLOG = 2048
# After the application's own limit on a body, which answers 408.
BODY_GRACE_SECONDS = 5


class ListenRefused(Exception):  # noqa: N818 - it is what happened
    """The listener cannot be started."""


class LimitedProtocol(HttpToolsProtocol):
    """A connection: arms a timer while a request is incomplete, and while a client does not read.

    uvicorn makes connections itself, so what they need stands on a class made by `limited`.
    """

    http: ClassVar[ListenConfig]
    body_seconds: ClassVar[int]
    malformed: ClassVar[bytes]
    open_connections: ClassVar[Connections]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._connection = Connection()
        self._incomplete: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._seconds: int | None = self.http.header_seconds
        self._head_bytes = 0
        self._watch()
        if not self.open_connections.opened(self, self.client[0] if self.client else ""):
            self.abort()

    def abort(self) -> None:
        """Close the connection now."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._incomplete, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self.open_connections.closed(self)
        self._connection.lost()

    def data_received(self, data: bytes) -> None:
        before = self._seconds
        super().data_received(data)
        if self._seconds != before or self._incomplete is None:
            self._watch()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        self._connection.whole = False
        self._seconds = self.http.header_seconds
        self.scope[CONNECTION] = self._connection  # type: ignore[literal-required]

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name)
        self._count(value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._seconds = self.body_seconds + BODY_GRACE_SECONDS
        self.open_connections.busy(self)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._seconds = None
        self._connection.whole = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:  # and no pipelined request after it
            self.open_connections.idle(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self.http.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words
        self.transport.write(self.malformed)
        self.transport.close()

    def _count(self, part: bytes) -> None:
        self._head_bytes += len(part)
        if self._head_bytes > self.http.header_bytes_max:
            raise ValueError("head too large")

    def _watch(self) -> None:
        if self._incomplete is not None:
            self._incomplete.cancel()
            self._incomplete = None
        if self._seconds is not None and not self.transport.is_closing():
            self._incomplete = self.loop.call_later(self._seconds, self.transport.abort)


def limited(
    config: ListenConfig, *, body_seconds: int, malformed: bytes, connections: Connections
) -> type[LimitedProtocol]:
    """The connection class of a listener. `malformed` is the whole answer to what is not HTTP."""
    bound = {
        "http": config,
        "body_seconds": body_seconds,
        "malformed": malformed,
        "open_connections": connections,
    }
    return type("BoundProtocol", (LimitedProtocol,), bound)


class _Server(uvicorn.Server):
    """Signals belong to the process's lifecycle."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpListener:
    """Serves one ASGI application."""

    def __init__(
        self,
        app: Any,
        config: ListenConfig,
        *,
        body_seconds: int,
        malformed: bytes,
        connections: Connections,
    ) -> None:
        self._config = config
        protocol = limited(
            config, body_seconds=body_seconds, malformed=malformed, connections=connections
        )
        self._server = _Server(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=config.keep_alive_seconds,
                timeout_graceful_shutdown=config.stop_seconds,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Listen; the bound port. Raises ListenRefused."""
        host, _, port = self._config.listen.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host.strip("[]"), int(port)))
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            raise ListenRefused(
                f"cannot listen on {self._config.listen}: {error.strerror}"
            ) from None
        listening.setblocking(False)
        bound: int = listening.getsockname()[1]
        self._serving = core_task("listener", self._server.serve(sockets=[listening]))
        while not self._server.started and not self._serving.done():  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
        return bound

    async def stop(self) -> None:
        """Accept nothing more, finish what is in flight within the stop's time, cut the rest."""
        self._server.should_exit = True
        if self._serving is not None:
            await asyncio.gather(self._serving, return_exceptions=True)
        cut = self._server.server_state.tasks
        if cut:
            await asyncio.wait(cut, timeout=1)


def malformed_answer(body: bytes) -> bytes:
    """The whole answer to bytes that are not HTTP/1.1."""
    status = public_errors.OWN["HTTP_MALFORMED"].status
    return (
        b"HTTP/1.1 %d Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
        b"content-length: %d\r\n\r\n" % (status, len(body))
    ) + body
