"""One HTTP/1.1 connection to an upstream: sends a request, hands over its answer, one at a time.

Owns the parser (httptools, the same as at the public listener) and the bounds of what an upstream
may send beside bodies. Promises: bytes that no request asked for end the connection, so that they
are nobody's answer; an answer that is not HTTP, or is cut short, is a fault at once.
"""

import asyncio
import select
from collections.abc import Callable

import httptools

from tollgate_router.upstream.answer import Answer
from tollgate_router.upstream.fault import Fault

# Of a head, with the informational ones before it.
HEAD_BYTES_MAX = 64 * 1024
FIELDS_MAX = 128
# What a byte of body may cost in framing: a chunk of one byte takes five.
FRAMING_PER_BODY_BYTE = 8
# A larger body is written in pieces: encrypting it in one would hold up the loop.
WHOLE_BODY_MAX = 1024 * 1024
PIECE_BYTES = 64 * 1024
STATUSES = range(100, 600)
INFORMATIONAL_MAX = 199


class Connection(asyncio.Protocol):
    """A connection of a pool.

    `done` is called once for each request, when its turn is over; `lost` when the connection is.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        done: "Callable[[Connection], None]",
        lost: "Callable[[Connection], None]",
    ) -> None:
        self._loop = loop
        self._done = done
        self._lost = lost
        # The parser gives the body's chunks to the list itself: a stream has one for each token.
        self._chunks: list[bytes] = []
        self.on_body = self._chunks.append
        self._parser = httptools.HttpResponseParser(self)
        # Line ends and spaces after a chunk's size as lax as other clients take them from servers.
        self._parser.set_dangerous_leniencies(
            lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._answer: Answer | None = None
        self._sent = False
        # We may not write, and do not read.
        self._full = False
        self._held = False
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        # uvloop's handles of the last half millisecond do not say when.
        self._timer_at = 0.0
        self._headers: dict[str, str] = {}
        self._fields = 0
        # Received of this answer, and how much of it is body.
        self._received = 0
        self._body = 0
        self._discard_until: float | None = None
        self._discard_bytes = 0
        # It may carry another request: no fault, and the peer did not ask for its end.
        self.is_reusable = True
        # On the loop's clock; the pool's.
        self.idle_since = 0.0

    # ---- for the client ----------------------------------------------------------------------

    @property
    def is_closing(self) -> bool:
        """True when nothing can be sent any more."""
        return self._transport.is_closing()

    @property
    def is_quiet(self) -> bool:
        """An idle connection may carry a request: the socket holds no bytes and no end.

        The loop may not have read yet what has come: it would be taken for the answer.
        """
        return self.is_reusable and not self.is_closing and not self._poll.poll(0)

    def abort(self) -> None:
        """Close at once."""
        self.is_reusable = False
        self._transport.abort()

    async def send(self, answer: Answer, head: bytes, body: bytes, until: float) -> None:
        """Send a request; returns when the head of its answer is here. Raises UpstreamFault."""
        self._answer = answer
        self._headers = {}
        self._sent = False
        self._fields = self._received = self._body = 0
        if len(body) <= WHOLE_BODY_MAX:
            self._transport.write(head + body)
            self._sent = True
        else:
            self._sent = await self._send_pieces(answer, head, body, until)
        while not answer.status:
            await answer.change(until)

    async def _send_pieces(self, answer: Answer, head: bytes, body: bytes, until: float) -> bool:
        """True when all was sent; an answer that came before is what the caller gets."""
        self.expect(until)
        self._transport.write(head)
        view = memoryview(body)
        for start in range(0, len(body), PIECE_BYTES):
            while self._full and not answer.status:
                await answer.change(until)
            if answer.status or self.is_closing:
                return False
            self._transport.write(view[start : start + PIECE_BYTES])
            await asyncio.sleep(0)
        return True

    # ---- for the answer ----------------------------------------------------------------------

    def expect(self, until: float) -> None:
        """Fail the answer with TIMEOUT at that time, unless something comes before.

        One timer serves many waits: it looks what is due when it fires.
        """
        self._until = until
        if self._timer is not None:
            if self._timer_at <= until:
                return
            self._timer.cancel()
        self._look_at(until)

    def _look_at(self, when: float) -> None:
        self._timer_at = when
        self._timer = self._loop.call_at(when, self._due)

    def _due(self) -> None:
        self._timer = None
        if self._answer is None:
            return
        until = self._until if self._discard_until else self._answer.due(self._until)
        if self._loop.time() < until:
            self._look_at(until)
        else:
            self._fail(Fault.TIMEOUT)

    def hold(self, *, held: bool) -> None:
        """Stop or go on reading."""
        if held is self._held or self.is_closing:
            return
        self._held = held
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def discard_rest(self, seconds: float, bytes_max: int) -> None:
        """Use the connection again if the rest of the answer comes soon and is short."""
        self._discard_until = self._loop.time() + seconds
        self._discard_bytes = bytes_max
        self.hold(held=False)
        self.expect(self._discard_until)

    # ---- asyncio -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            self.abort()  # nothing was asked for
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._take_body()
            self._fail(Fault.BROKEN)
            return
        self._take_body()
        if self._answer is None:
            return
        framing = self._received - self._body
        if framing > HEAD_BYTES_MAX + FRAMING_PER_BODY_BYTE * self._body:
            self._fail(Fault.OVERSIZE)
            return
        answer.wake()

    def eof_received(self) -> bool:
        self.is_reusable = False  # what is written now would reach nobody
        answer = self._answer
        if answer is not None:
            # The transport would first wait until all is sent that the peer may not want.
            if answer.status and self._ends_with_connection():
                self._end(answer)
            else:
                self._fail(Fault.BROKEN)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.is_reusable = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._answer is not None:
            self._answer.fail(Fault.BROKEN)
            self._over()
        self._lost(self)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._answer is not None:
            self._answer.wake()

    # ---- httptools ---------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._answer is None:
            raise httptools.HttpParserError("more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        if self._fields > FIELDS_MAX:
            raise httptools.HttpParserError("too many fields")
        if self._answer is not None and not self._answer.status:
            self._headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        coding = self._headers.get("transfer-encoding", "chunked")
        if status not in STATUSES or coding.lower() != "chunked":
            raise httptools.HttpParserError("a status or a coding that is none")
        if status > INFORMATIONAL_MAX and self._answer is not None:
            self._answer.status = status
            self._answer.headers = self._headers

    def _take_body(self) -> None:
        """Hand over what was found of the body since."""
        if not self._chunks:
            return
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._body += len(data)
        if self._answer is None:
            return
        if self._discard_until is None:
            self._answer.add(data)
        else:
            self._discard_bytes -= len(data)
            if self._discard_bytes < 0:
                self._fail(Fault.OVERSIZE)

    def on_message_complete(self) -> None:
        self._take_body()
        answer = self._answer
        if answer is None:
            return
        if not answer.status:
            self._headers = {}  # informational: RFC 9110 section 15.2
            return
        if not self._sent or not self._parser.should_keep_alive():
            # Answered before the request was sent whole, or for the last time.
            self.is_reusable = False
        self._end(answer)

    # ---- the end of an answer ----------------------------------------------------------------

    def _ends_with_connection(self) -> bool:
        return self._headers.keys().isdisjoint(("content-length", "transfer-encoding"))

    def _end(self, answer: Answer) -> None:
        answer.is_whole = True
        answer.wake()
        self._over()

    def _fail(self, fault: Fault) -> None:
        self.abort()
        if self._answer is not None:
            self._answer.fail(fault)
            self._over()

    def _over(self) -> None:
        self._answer = None
        self._discard_until = None
        self.hold(held=False)
        self._done(self)
