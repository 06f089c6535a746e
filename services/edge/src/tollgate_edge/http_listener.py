"""The public HTTP/1.1 listener: uvicorn with httptools, and the time limits it does not have.

Owns sockets and connections. Promises: one request, one answer, whatever the client offers or
however its bytes are cut; a client that has sent its request and half-closed is answered in full;
a client that sends its head or body too slowly, or does not read its answer, is cut off; what is
not HTTP gets one answer and the connection ends; an answer in flight at the stop is finished, for
as long as the stop may last. ADR 0020 says why this server and what it lacks.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import Iterator
from typing import Any, ClassVar

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tollgate_edge import public_errors
from tollgate_edge.config import ListenConfig
from tollgate_edge.connections import Connections
from tollgate_edge.exchange import CONNECTION, LINGER_BYTES_MAX, LINGER_SECONDS, Connection
from tollgate_kit.lifecycle import core_task

BACKLOG = 2048
# uri-host [":" port], or nothing: RFC 9110 section 7.2.
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
# After the application's own limit on a body, which answers 408.
BODY_GRACE_SECONDS = 5
# Requests behind the one that is answered, on one connection; RFC 9112 section 9.3.2 has no number.
PIPELINED_MAX = 64
# What a byte of body may cost in framing: chunks of one byte take five.
_FRAMING_PER_BODY_BYTE = 8


class ListenRefused(Exception):  # noqa: N818 - it is what happened
    """The listener cannot be started."""


class NotHttpError(ValueError):
    """What the parser lets through and RFC 9112 does not."""


class CloseDelimitedCycle(RequestResponseCycle):
    """The answer to an HTTP/1.0 client: it knows no chunks, its body ends with the connection.

    RFC 9112 section 6.1. Answers with a content-length keep it.
    """

    async def send(self, message: Any) -> None:
        """Pass on, without the framing that uvicorn would choose."""
        if message["type"] == "http.response.start":
            self.chunked_encoding = False
        else:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


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
        # Received of an incomplete request and not paid for by its body: the parser keeps a line
        # until its end, and skips chunk extensions.
        self._framing_bytes = 0
        self._head_read = False
        self._offer = False
        # What came was not HTTP: nothing more is read, and the answers in hand go first.
        self._nonsense = False
        self._watch()
        if not self.open_connections.opened(self, self.client[0] if self.client else ""):
            self.abort()

    def abort(self) -> None:
        """Close the connection now."""
        self.transport.abort()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends nothing more; what it has asked for whole is still answered."""
        waiting = self.cycle is not None and not self.cycle.response_complete
        if not waiting or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False
        self._connection.half_closed()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._incomplete, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self.open_connections.closed(self)
        self._connection.lost()

    def data_received(self, data: bytes) -> None:
        if self._nonsense:
            self._framing_bytes += len(data)
            if self._framing_bytes > LINGER_BYTES_MAX:
                self.abort()
            return
        before = self._seconds
        self._unset_keepalive_if_required()
        if before is None:
            if self.cycle is None or self.cycle.response_complete:
                # An empty line is no request yet, and starts the time for one all the same.
                self._seconds = self.http.header_seconds
        else:
            self._framing_bytes += len(data)
        self._feed(data)
        if self._seconds is None:
            self._framing_bytes = 0
        elif self._framing_bytes > 2 * self.http.header_bytes_max:
            self._refuse_nonsense()
        if self._seconds != before or self._incomplete is None:
            self._watch()

    def _feed(self, data: bytes) -> None:
        """Parse; an upgrade that is offered is ignored, as RFC 9110 section 7.8 allows.

        The parser stops after the head of such a request and skips its body: what it has
        understood of the head is given to a new one, without the offer.
        """
        while data and not self._nonsense:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_offer() + data[upgrade.args[0] :]
            except httptools.HttpParserError:
                self._refuse_nonsense()
            else:
                return

    def _without_offer(self) -> bytes:
        """The head again, for a new parser. Empty for a tunnel, which is not offered here."""
        method = self.parser.get_method()
        if not self._offer or method == b"CONNECT":
            self._refuse_nonsense()
            return b""
        head = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() != b"upgrade"]
                head.append(b"connection: " + b",".join(kept))
            elif name != b"upgrade":
                head.append(b"%b: %b" % (name, value))
        self._offer = False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"\r\n".join(head) + b"\r\n\r\n"

    def _refuse_nonsense(self) -> None:
        """Answer 400 and end the connection; what was understood before is answered first."""
        self._nonsense = True
        self._seconds = None
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self.send_400_response("")
        elif cycle.more_body:  # it is this request's own body that makes no sense
            if self.pipeline:
                self.pipeline.popleft()
            elif cycle.response_started:
                cycle.keep_alive = False
            else:
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        self._framing_bytes = 0
        self._head_read = False
        self._seconds = self.http.header_seconds
        self.scope[CONNECTION] = self._connection  # type: ignore[literal-required]

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name)
        self._count(value)
        if b"\r" in value or b"\n" in value:
            raise NotHttpError("a folded line: RFC 9112 section 5.2")
        if (
            not self._head_read
        ):  # a field of the trailer is none of the head's: RFC 9110 section 6.5
            super().on_header(name, value.rstrip(b" \t"))  # RFC 9110 section 5.5

    def on_headers_complete(self) -> None:
        self._head_read = True
        version = self.parser.get_http_version()
        _check_head(version, self.headers)
        if self.parser.should_upgrade():
            self._offer = True
            return
        self._seconds = self.body_seconds + BODY_GRACE_SECONDS
        if len(self.pipeline) >= PIPELINED_MAX:
            raise NotHttpError("more requests than anybody waits for")
        if not self.open_connections.busy(self):
            self.abort()
            raise NotHttpError("no place for one more request")
        super().on_headers_complete()
        self._tell_whole()
        if version == "1.0":
            # uvicorn has no seam for the class of its cycles; this one adds no state.
            self.cycle.__class__ = CloseDelimitedCycle

    def on_body(self, body: bytes) -> None:
        self._framing_bytes = max(0, self._framing_bytes - _FRAMING_PER_BODY_BYTE * len(body))
        if not self._offer:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._offer:
            return
        self._seconds = None
        super().on_message_complete()
        self._tell_whole()

    def on_response_complete(self) -> None:
        is_last = not self.pipeline
        super().on_response_complete()
        self._tell_whole()
        if self.pipeline:  # enough to do: uvicorn would read on
            self.flow.pause_reading()
        if self._nonsense and is_last and not self.transport.is_closing():
            self.send_400_response("")
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
        """Answer, and close later: closed with bytes unread it is reset, which takes it back.

        A request that waits for its body is over.
        """
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(self.malformed)
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER_SECONDS, self.abort)

    def _tell_whole(self) -> None:
        """The request that is answered has come whole if another is behind it."""
        self._connection.whole = bool(self.pipeline) or not self.cycle.more_body

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


def _check_head(version: str, headers: list[tuple[bytes, bytes]]) -> None:
    """Raise NotHttpError for what RFC 9112 refuses and the parser takes."""
    if version not in ("1.0", "1.1"):
        raise NotHttpError("another version: RFC 9110 section 2.5")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (version == "1.1" and not hosts):
        raise NotHttpError("one Host: RFC 9112 section 3.2")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise NotHttpError("a Host that is none: RFC 9112 section 3.2")
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings and (version == "1.0" or [c.lower() for c in codings] != [b"chunked"]):
        raise NotHttpError("a coding that is not chunked: RFC 9112 section 6.1")


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
