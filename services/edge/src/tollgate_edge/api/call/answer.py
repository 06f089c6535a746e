"""What of a model's answer is released, and when: the two barriers of a call.

Promises: no byte of an answer leaves before CALL_ADMITTED is durable, and not the last one before
CALL_FINISHED is. An answer that may not be released is read to its end all the same: what it
costs is metered there.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

import orjson

from tollgate_dialects.common import sse
from tollgate_edge.api.call.event_tail import EventTail
from tollgate_edge.api.exchange import Exchange
from tollgate_edge.headers import answer_headers
from tollgate_edge.headers.answer_headers import Facts

# Waits for CALL_ADMITTED, then gives the facts for the head. Raises Failure.
Admitted = Callable[[], Awaitable[Facts]]


# The name of the comment that tells a stream's facts; router passes no comment of an upstream.
_OURS = b"tollgate"
# A comment belongs to the event after it: some SDKs take a blank line alone for an empty event.
_BEAT = b": keep-alive\n"


class AnswerTooLarge(Exception):  # noqa: N818 - it is what happened
    """A unary answer or an event above its bound; nothing of it was released."""


class Answer(ABC):
    """Takes the answer as it comes from router."""

    # Whether something can be written while nothing comes.
    beats: bool

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @abstractmethod
    async def take(self, chunk: bytes) -> None:
        """One piece of the answer."""

    @abstractmethod
    async def finish(self, status: int, facts: Facts) -> None:
        """CALL_FINISHED is durable: release the rest."""

    @abstractmethod
    async def beat(self) -> None:
        """Nothing has come for a while: show that the connection is alive. Only where it beats."""


class UnaryAnswer(Answer):
    """A unary answer: kept whole until CALL_FINISHED is durable."""

    beats = False

    def __init__(self, exchange: Exchange, *, bytes_max: int) -> None:
        super().__init__(exchange)
        self._bytes_max = bytes_max
        self._chunks: list[bytes] = []
        self._size = 0

    async def beat(self) -> None:
        raise AssertionError("a whole answer has no part to send early")

    async def take(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._bytes_max:
            self._chunks.clear()
            raise AnswerTooLarge
        self._chunks.append(chunk)

    async def finish(self, status: int, facts: Facts) -> None:
        headers = answer_headers.build(facts)
        headers.append(answer_headers.JSON)
        await self._exchange.answer(status, headers, b"".join(self._chunks))


class StreamAnswer(Answer):
    """A stream: released event by event; its last event waits until CALL_FINISHED is durable."""

    def __init__(self, exchange: Exchange, *, admitted: Admitted) -> None:
        super().__init__(exchange)
        self.beats = exchange.face.dialect.answer.takes_comments
        self._admitted = admitted
        self._tail = EventTail(exchange.face.dialect.answer.end)

    async def beat(self) -> None:
        """A comment between two events. The head goes out with the first one, after the barrier."""
        if self._tail.is_between_events:
            await self._begin_admitted()
            await self._exchange.write(_BEAT)

    async def take(self, chunk: bytes) -> None:
        await self._begin_admitted()
        try:
            released = self._tail.feed(chunk)
        except sse.FrameTooLongError:
            raise AnswerTooLarge from None
        if released:
            await self._exchange.write(released)

    async def finish(self, status: int, facts: Facts) -> None:
        if not self._exchange.started:
            await self._begin(status, facts)
        # One line without a blank one: it belongs to the terminal event, where parsers skip it.
        line = b""
        if self.beats:
            line = b": " + _OURS + b" " + orjson.dumps(answer_headers.comment(facts)) + b"\n"
        part = self._tail.part
        if part and not part.endswith(b"\n"):
            part += b"\n"
        await self._exchange.end(part + line + self._tail.held)

    async def _begin_admitted(self) -> None:
        if self._exchange.started:
            return
        facts = await self._admitted()
        # A beat may have been faster while this waited.
        if not self._exchange.started:
            await self._begin(200, facts)

    async def _begin(self, status: int, facts: Facts) -> None:
        headers = answer_headers.build(facts)
        headers += (answer_headers.EVENT_STREAM, answer_headers.NO_BUFFERING)
        await self._exchange.begin(status, headers)
