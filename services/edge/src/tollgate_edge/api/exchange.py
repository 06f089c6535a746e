"""One HTTP request and its answer, straight on ASGI.

Owns the reading of the body under its limits and the order of sending. Promises: nothing is sent
after the end or to a client that has gone. Decides nothing about the call.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from tollgate_dialects.request.rules import IN_THE_BODY, Told
from tollgate_edge.api.faces.face import Face
from tollgate_edge.config import LimitsConfig
from tollgate_edge.errors import public_errors
from tollgate_edge.errors.public_errors import Refusal
from tollgate_edge.headers import answer_headers, request_headers
from tollgate_edge.headers.answer_headers import Facts, Headers

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
# Makes room in memory for so many bytes more; says why not.
Room = Callable[[int], Refusal | None]

# After a refusal that left a body unread, its client may go on sending for so long, and so much.
LINGER_SECONDS = 3.0
LINGER_BYTES_MAX = 1_048_576

# Where the listener puts the connection of a request.
CONNECTION = "tollgate.connection"


class Connection:
    """The client's connection: whether it is still there, and who wants to know."""

    __slots__ = ("gone", "is_half_closed", "on_gone", "on_half_closed", "whole")

    def __init__(self) -> None:
        self.gone = False
        self.is_half_closed = False
        # The request in hand has arrived whole: reading it takes no time.
        self.whole = False
        self.on_gone: Callable[[], None] | None = None
        # It sends nothing more: gone, or waiting for its answer. Only a write will tell.
        self.on_half_closed: Callable[[], None] | None = None

    def half_closed(self) -> None:
        """Called once by the listener."""
        self.is_half_closed = True
        if self.on_half_closed is not None:
            self.on_half_closed()

    def lost(self) -> None:
        """Called once by the listener."""
        self.gone = True
        if self.on_gone is not None:
            self.on_gone()


class Exchange:
    """One request and its one answer, as a route is given them."""

    __slots__ = (
        "_lingers", "_receive", "_send", "connection", "face", "headers", "request_id", "scope",
        "started", "status", "told", "trace_id",
    )  # fmt: skip

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        face: Face,
        trace_id: str,
        told: Told = IN_THE_BODY,
    ) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self.face = face
        # What the request says of the call outside of its body.
        self.told = told
        self.headers = request_headers.read(scope["headers"])
        self.connection: Connection = scope.get(CONNECTION) or Connection()
        self.trace_id = trace_id
        self.request_id = self.headers.request_id or trace_id
        self.started = False
        self.status = 0
        self._lingers = False

    async def body(self, limits: LimitsConfig, room: Room) -> bytes | Refusal:
        """The whole request body, or why it was not read.

        `room` is asked before bytes are taken into memory: at once where the length is known.
        """
        length = self.headers.content_length
        if self.headers.content_encoding:
            return public_errors.own("BODY_ENCODED")
        if length is not None:
            if length > limits.body_bytes_max:
                return _TOO_LARGE
            refusal = room(length)
            if refusal is not None:
                return refusal
            room = _reserved
        if self.connection.whole:
            return await self._body(limits, room, None)
        try:
            async with asyncio.timeout(None) as due:
                return await self._body(limits, room, due)
        except TimeoutError:
            return public_errors.own("BODY_TOO_SLOW")

    async def _body(
        self, limits: LimitsConfig, room: Room, due: asyncio.Timeout | None
    ) -> bytes | Refusal:
        """Read it as it comes; the longer it takes, the more must have come."""
        began_at = asyncio.get_running_loop().time()
        parts = bytearray()
        while True:
            if due is not None and not self.connection.whole:
                paced = limits.body_grace_seconds + len(parts) / limits.body_bytes_per_second_min
                due.reschedule(began_at + min(limits.body_seconds, paced))
            message = await self._receive()
            if message["type"] != "http.request":
                return public_errors.own("BODY_INCOMPLETE")
            part: bytes = message.get("body", b"")
            if len(parts) + len(part) > limits.body_bytes_max:
                return _TOO_LARGE
            refusal = room(len(part))
            if refusal is not None:
                return refusal
            more = message.get("more_body")
            if not more and not parts:
                return part  # most bodies come in one piece: not copied
            parts += part
            if not more:
                return bytes(parts)

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer."""
        headers.append((b"content-length", b"%d" % len(body)))
        await self.begin(status, headers)
        await self.end(body)

    async def begin(self, status: int, headers: Headers) -> None:
        """Send the head."""
        self.started = True
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, body: bytes) -> None:
        """Send a part of the body; waits while the client does not read."""
        if not self.connection.gone:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes) -> None:
        """Send the last part of the body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def pause(self, seconds: float) -> None:
        """Wait, but not for a client that has gone, or may have: who half-closed asks no more."""
        if not seconds or self.connection.gone or self.connection.is_half_closed:
            return
        ended = asyncio.Event()
        self.connection.on_gone = self.connection.on_half_closed = ended.set
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await ended.wait()
        self.connection.on_gone = self.connection.on_half_closed = None

    def facts(self) -> Facts:
        """What the headers of an answer say where no call was made."""
        return Facts(trace_id=self.trace_id, request_id=self.request_id)

    async def refuse(self, refusal: Refusal, facts: Facts) -> None:
        """Answer with an error of the table; after the head, with the protocol's error event."""
        body = self.error_body(refusal)
        if self.started:
            await self.end(self.face.dialect.errors.event(body))
            return
        headers = refusal_headers(refusal, facts)
        if self.connection.whole:
            await self.answer(refusal.status, headers, body)
            return
        # What is left of the request is not read: the connection cannot be used again.
        if not refusal.close:
            headers.append(answer_headers.CLOSE)
        headers.append((b"content-length", b"%d" % len(body)))
        await self.begin(refusal.status, headers)
        await self.write(body)
        self._lingers = True

    async def linger(self) -> None:
        """Close after a refusal that left a body unread: not before the client could hear of it.

        A connection that is closed while bytes come in is reset, and the answer may be lost.
        """
        if not self._lingers:
            return
        unread = 0
        # Up to a second longer, by the id's random digits: who was refused together does not
        # come back together.
        seconds = LINGER_SECONDS + int(self.trace_id[-3:], 16) / 0x1000
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while unread < LINGER_BYTES_MAX:
                    message = await self._receive()
                    unread += len(message.get("body", b""))
                    if not message.get("more_body"):
                        break
        await self.end(b"")

    def error_body(self, refusal: Refusal) -> bytes:
        """The JSON of a refusal."""
        shape = self.face.dialect.errors
        told = public_errors.body(
            refusal,
            kind=shape.kind(refusal.status),
            codes=shape.codes,
            params=shape.params,
            trace_id=self.trace_id,
            request_id=self.request_id,
        )
        return orjson.dumps(shape.body(told, refusal.status))


def refusal_headers(refusal: Refusal, facts: Facts) -> Headers:
    """The head of an error answer: SDKs obey x-should-retry and retry-after."""
    headers = answer_headers.build(facts)
    headers.append(answer_headers.JSON)
    headers.append((b"x-should-retry", b"true" if refusal.retryable else b"false"))
    wait_ms = refusal.retry_ms
    if wait_ms is not None:
        # Whole seconds, rounded up, for everybody; milliseconds for the SDKs that read them.
        headers.append((b"retry-after", b"%d" % -(-wait_ms // 1000)))
        headers.append((b"retry-after-ms", b"%d" % wait_ms))
    if refusal.allow:
        headers.append((b"allow", refusal.allow.encode("ascii")))
    if refusal.close:
        headers.append(answer_headers.CLOSE)
    return headers


def _reserved(_: int) -> None:
    """The room was made when the length was read."""


_TOO_LARGE = public_errors.own("BODY_TOO_LARGE")
