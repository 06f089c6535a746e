"""One call at router: sent, read to its end, sent again only if it provably reached nobody.

Promises: a client that goes away, or may not be answered, does not stop the reading: what the
call costs is told at its end. The reading is bounded by a drain time. A call whose first replica
may have called an upstream is never sent to another under the same reservation.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from operator import attrgetter
from typing import Any

from tollgate.router.v1 import router_pb2
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import Usage
from tollgate_edge.api.call import outcome
from tollgate_edge.api.call.answer import Answer, AnswerTooLarge
from tollgate_edge.api.call.ledger import Reservation
from tollgate_edge.api.call.outcome import Outcome
from tollgate_edge.api.exchange import Connection
from tollgate_edge.errors import public_errors
from tollgate_edge.errors.public_errors import Refusal
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.rpc.session_client import SessionPool

# The replica takes no more calls: another may carry this one, under the same ids.
_AGAIN = frozenset(("SESSION_BROKEN", "DRAINING"))
# Router answered and called nobody; only true when nothing of the call was heard before.
_NOTHING_DONE = frozenset(
    (
        "CALLER_NOT_ALLOWED", "DEADLINE_TOO_SHORT", "DRAINING", "INVALID_FIELD", "NOT_FOUND",
        "OVERLOADED", "RESERVATION_REFUSED", "STORE_UNAVAILABLE",
    )
)  # fmt: skip
_ATTEMPTS = 2
# Between the two writes that find out whether a half-closed client is gone.
PROBE_SECONDS = 0.2
_COMPLETED = "COMPLETED"
_counts = attrgetter(*(unit.count_field for unit in Unit))
_REASONS = {value: name.removeprefix("END_REASON_") for name, value in router_pb2.EndReason.items()}
_SOURCES = {
    value: name.removeprefix("USAGE_SOURCE_").lower()
    for name, value in router_pb2.UsageSource.items()
}

# Answers the client with a refusal while the reading goes on.
Refuse = Callable[[Refusal], Awaitable[None]]
# Told of each attempt's provider and its number, before any data of it.
Routed = Callable[[str, int], None]


class Execution:
    """Sends one ExecuteRequest and hands its data to an answer."""

    def __init__(
        self,
        router: SessionPool,
        request: Any,
        *,
        answer: Answer,
        reservation: Reservation,
        connection: Connection,
        routed: Routed,
        begun: Callable[[Sequence[str]], None],
        taken: Callable[[], None],
        refuse: Refuse,
        timeout_s: float,
        drain_seconds: float,
        beat_seconds: float,
    ) -> None:
        self._router = router
        self._request = request
        self._answer = answer
        self._reservation = reservation
        self._connection = connection
        self._routed = routed
        # Called with what was left out of the request, once the answer's head is here.
        self._begun = begun
        # Called once when the request is not needed any more: a replica has it for good.
        self._taken = taken
        self._refuse = refuse
        self._timeout_s = timeout_s
        self._drain_seconds = drain_seconds
        self._beat_seconds = beat_seconds
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._beat_task: asyncio.Task[None] | None = None
        self._drain: asyncio.Timeout | None = None
        self._heard = False
        self._data = False
        # An upstream may have been called, and its end was not told.
        self._doubt = False
        self._end: Any = None
        self._failure: Failure | None = None
        # Why the answer was taken from the client; it has been told already.
        self.withheld: Refusal | None = None
        self.status = 200

    async def run(self) -> None:
        """Read the call to its end, or to the end of our patience."""
        drain = self._drain = asyncio.timeout(None)
        try:
            async with drain:
                self._connection.on_gone = self._start_draining
                if self._answer.beats:
                    self._connection.on_half_closed = self._half_closed
                if self._connection.gone:
                    self._start_draining()
                if self._answer.beats:
                    async with self._beating():
                        await self._try_twice()
                else:
                    await self._try_twice()
        except TimeoutError:
            if not drain.expired():
                raise
            self._doubt = True
        finally:
            self._connection.on_gone = self._connection.on_half_closed = None

    def outcome(self) -> Outcome:
        """The facts of the end."""
        end = self._end
        if end is None:
            if not self._doubt:
                return outcome.not_executed()
            gone = self._connection.gone
            return outcome.unknown(outcome.CLIENT_GONE if gone else outcome.ROUTER_LOST)
        usage = end.usage
        return Outcome(
            end_reason=_REASONS.get(end.reason, "unspecified").lower(),
            known=not end.is_unknown,
            cost_nano_usd=0 if end.is_unknown else end.cost_nano_usd,
            usage=Usage(_counts(usage), usage.reasoning_tokens, usage.factor_ppm),
            usage_source=_SOURCES.get(end.usage_source, "unspecified"),
            price_version=end.price_version,
            attempts=end.attempts,
        )

    def refusal(self) -> Refusal | None:
        """What the client is told instead of, or after, the answer; None when it is complete."""
        if self.withheld is not None:
            return self.withheld
        end = self._end
        if end is not None:
            return upstream_refusal(end.reason, end.upstream_error)
        if self._failure is None or self._data:
            return public_errors.own("ROUTER_LOST")
        return public_errors.rpc_failure(self._failure.reason)

    async def _try_twice(self) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            self._heard = entered = False
            try:
                async with self._router.stream(
                    "Execute", self._request, router_pb2.ExecuteResponse, timeout_s=self._timeout_s
                ) as messages:
                    entered = self._reservation.sent = True
                    async for message in messages:
                        await self._take(message)
                self._doubt = self._end is None
                return
            except Failure as failure:
                self._failure = failure
                if self._end is not None:
                    return
                self._doubt = entered and (self._heard or not _did_nothing(failure))
                if self._doubt or attempt == _ATTEMPTS or failure.reason not in _AGAIN:
                    return

    @contextlib.asynccontextmanager
    async def _beating(self) -> AsyncIterator[None]:
        """Let the answer beat whenever nothing was handed to it for a while.

        A timer, not a task: nearly every call ends before its first beat.
        """
        loop = asyncio.get_running_loop()
        self._heard_at = loop.time()
        self._arm(loop)
        try:
            yield
        finally:
            assert self._timer is not None, "armed above"
            self._timer.cancel()
            if self._beat_task is not None:
                self._beat_task.cancel()
                await asyncio.gather(self._beat_task, return_exceptions=True)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_at(self._heard_at + self._beat_seconds, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        if now - self._heard_at >= self._beat_seconds:
            self._heard_at = now
            self._probe()
        self._arm(loop)

    def _probe(self, beats: int = 1) -> None:
        """Write something, if the answer allows it."""
        # At most one waits: for the barrier, or for a client that does not read.
        if self._beat_task is None or self._beat_task.done():
            self._beat_task = asyncio.get_running_loop().create_task(self._beat(beats))

    def _half_closed(self) -> None:
        """The first write makes a peer that is gone say so, the second one hears it."""
        self._probe(beats=2)

    async def _beat(self, beats: int) -> None:
        for _ in range(beats):
            if self.withheld is None and not self._connection.gone:
                with contextlib.suppress(Failure):  # the barrier; data that comes will meet it, too
                    await self._answer.beat()
            if beats > 1:
                await asyncio.sleep(PROBE_SECONDS)

    async def _take(self, message: Any) -> None:
        """One message; its parts are read in the order of their fields."""
        if not self._heard:
            self._heard = True
            self._request = None
            self._taken()
        self._heard_at = asyncio.get_running_loop().time()
        if message.HasField("route"):
            self._routed(message.route.provider, message.route.attempt)
        if message.HasField("head"):
            self.status = message.head.http_status
            self._begun(message.head.dropped)
        if message.data:
            self._data = True
            if self.withheld is None and not self._connection.gone:
                await self._release(message.data)
        if message.HasField("end"):
            self._end = message.end

    async def _release(self, data: bytes) -> None:
        try:
            await self._answer.take(data)
        except Failure:  # the barrier: CALL_ADMITTED did not become durable
            await self._withhold(public_errors.own("AUDIT_LATE"))
        except AnswerTooLarge:
            await self._withhold(public_errors.own("ANSWER_TOO_LARGE"))

    async def _withhold(self, refusal: Refusal) -> None:
        self.withheld = refusal
        self._start_draining()
        await self._refuse(refusal)

    def _start_draining(self) -> None:
        drain = self._drain
        assert drain is not None, "draining begins inside run()"
        if drain.when() is None and not drain.expired():
            drain.reschedule(asyncio.get_running_loop().time() + self._drain_seconds)


def upstream_refusal(end_reason: "router_pb2.EndReason.ValueType", error: Any) -> Refusal | None:
    """What a client is told of an upstream's failure; None: it did not fail."""
    reason = _REASONS.get(end_reason, "")
    if reason == _COMPLETED:
        return None
    waits = error.HasField("retry_after")
    return public_errors.upstream_failure(
        reason,
        status=error.http_status,
        message=error.scrubbed_message,
        code=error.code,
        param=error.param,
        retry_after_ms=error.retry_after.ToMilliseconds() if waits else None,
    )


def _did_nothing(failure: Failure) -> bool:
    """Whether router provably called nobody: it said so, or the request never left."""
    if failure.reason == "SESSION_BROKEN":
        return not failure.may_have_been_sent
    return failure.reason in _NOTHING_DONE
