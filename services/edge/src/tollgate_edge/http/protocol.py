"""One connection of the public listener: uvicorn's protocol with httptools, and what it lacks.

Owns a connection's parser, timers and bounds. Promises: one request, one answer, whatever the
client offers or however its bytes are cut; a client that has sent its request and half-closed is
answered in full; a client that sends its head or body too slowly, or does not read its answer, is
cut off; what is not HTTP gets one answer, after those that were asked for before, and the
connection ends. ADR 0020 says why this server.
"""

import asyncio
import re
from collections.abc import Callable
from typing import ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tollgate_edge.api.exchange import CONNECTION, LINGER_BYTES_MAX, LINGER_SECONDS, Connection
from tollgate_edge.config import ListenConfig
from tollgate_edge.http.answer_cycle import AnswerCycle, CloseDelimitedCycle
from tollgate_edge.http.connections import Connections
from tollgate_edge.http.turn_transport import TurnTransport

# uri-host [":" port], or nothing: RFC 9110 section 7.2.
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
# After the application's own limit on a body, which answers 408.
BODY_GRACE_SECONDS = 5
# Requests behind the one that is answered, on one connection; RFC 9112 section 9.3.2 has no number.
PIPELINED_MAX = 64
# Fields of a head and its trailer; each is some objects, however short it is.
FIELDS_MAX = 256
# What a byte of body may cost in framing: chunks of one byte take five.
_FRAMING_PER_BODY_BYTE = 8


class NotHttpError(ValueError):
    """Raised for bytes that the parser accepts and RFC 9112, or a bound of ours, forbids."""


class LimitedProtocol(HttpToolsProtocol):
    """A connection: arms a timer while a request is incomplete, and while a client does not read.

    uvicorn makes connections itself, so what they need stands on a class made by `limited`.
    """

    http: ClassVar[ListenConfig]
    body_seconds: ClassVar[int]
    malformed: ClassVar["staticmethod[[], bytes]"]
    open_connections: ClassVar[Connections]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(TurnTransport(transport, self.loop))  # type: ignore[arg-type]
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
        self._lingering: asyncio.TimerHandle | None = None
        # The request whose answer is next; `cycle` is the newest one.
        self._answering: RequestResponseCycle | None = None
        self._watch()
        if not self.open_connections.opened(self, self.client[0] if self.client else ""):
            self.abort()

    def abort(self) -> None:
        """Close the connection now."""
        self.transport.abort()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends nothing more; what it has asked for whole is still answered."""
        waiting = self.cycle is not None and not self.cycle.response_complete
        if waiting and self.cycle.more_body and self.pipeline:
            self._forget_newest()  # half a request, behind whole ones
        if not waiting or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False
        self._connection.half_closed()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._incomplete, self._unread, self._lingering):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn lets it run where it was a reset
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
        idle = self._seconds is None and self.cycle is not None and self.cycle.response_complete
        if idle and not self._nonsense and not self.transport.is_closing():
            # The rest of a request that was answered before came: uvicorn has taken its timer off.
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

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
        if cycle is None or (cycle.response_complete and not cycle.more_body):
            self.send_400_response("")
        elif cycle.response_complete:  # it was answered before its body came: once is enough
            self.transport.close()
        elif cycle.more_body:  # it is this request's own body that makes no sense
            if self.pipeline:
                self._forget_newest()
            elif cycle.response_started:
                cycle.keep_alive = False
            else:
                self.send_400_response("")

    def _forget_newest(self) -> None:
        self.pipeline.popleft()
        assert self._answering is not None, "a pipeline is behind an answer"
        self.cycle = self.pipeline[0][0] if self.pipeline else self._answering

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._incomplete is not None:  # it was the time of the request before
            self._incomplete.cancel()
            self._incomplete = None
        self._fields = 0
        self._head_bytes = 0
        self._framing_bytes = 0
        self._head_read = False
        self._seconds = self.http.header_seconds
        self.scope[CONNECTION] = self._connection  # type: ignore[literal-required]

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        self._fields += 1
        if self._fields > FIELDS_MAX:
            raise NotHttpError("more fields than any client sends")
        if b"\r" in value or b"\n" in value:
            raise NotHttpError("a folded line: RFC 9112 section 5.2")
        if not self._head_read:  # the trailer is no part of the head: RFC 9110 section 6.5
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
        if version == "1.0":  # it knows no 100: RFC 9110 section 10.1.1
            self.expect_100_continue = False
        super().on_headers_complete()
        if not self.pipeline:
            self._answering = self.cycle
        self._tell_whole()
        # uvicorn has no seam for the class of its cycles; these add no state.
        self.cycle.__class__ = CloseDelimitedCycle if version == "1.0" else AnswerCycle

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
        if self.pipeline:
            self._answering = self.pipeline[-1][0]
        super().on_response_complete()
        self._tell_whole()
        if self.pipeline:  # enough to do: uvicorn would read on
            self.flow.pause_reading()
        if self._nonsense and is_last and not self.transport.is_closing():
            self.send_400_response("")
        if self.cycle.response_complete:  # and no pipelined request after it
            self.open_connections.idle(self)
        if self._seconds is not None:
            self._watch()  # what is incomplete may be the next now

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
            self.cycle.waiting_for_100_continue = False
            self.cycle.message_event.set()
        self.transport.write(self.malformed())
        self.transport.write_eof()
        self.flow.resume_reading()
        self._linger(self.http.write_seconds)

    def _linger(self, seconds_left: float) -> None:
        """Give the client a moment, and for what it has not read so many seconds in all."""

        def look() -> None:
            if seconds_left > 0 and self.transport.get_write_buffer_size():
                self._linger(seconds_left - LINGER_SECONDS)
            else:
                self.abort()

        self._lingering = self.loop.call_later(LINGER_SECONDS, look)

    def _tell_whole(self) -> None:
        """The request that is answered has come whole if another is behind it."""
        self._connection.whole = bool(self.pipeline) or not self.cycle.more_body

    def _count(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes
        if self._head_bytes > self.http.header_bytes_max:
            raise ValueError("head too large")

    def _watch(self) -> None:
        if self._incomplete is not None:
            self._incomplete.cancel()
            self._incomplete = None
        if self._seconds is None or self.transport.is_closing():
            return
        # Behind an answer its time does not run: maybe it is we who do not read.
        answered = self.cycle is None or self.cycle.response_complete
        if not self.pipeline and (self._head_read or answered):
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
    config: ListenConfig,
    *,
    body_seconds: int,
    malformed: Callable[[], bytes],
    connections: Connections,
) -> type[LimitedProtocol]:
    """The connection class of a listener. `malformed` makes the answer to what is not HTTP."""
    bound = {
        "http": config,
        "body_seconds": body_seconds,
        "malformed": staticmethod(malformed),
        "open_connections": connections,
    }
    return type("BoundProtocol", (LimitedProtocol,), bound)
