"""The client side of sessions: one stream per replica, least-loaded choice, reconnect.

A call that was sent on a link that breaks fails as UNAVAILABLE/SESSION_BROKEN: whether it was
carried out is unknown, unless the failure says that it was never sent. The caller tries again with
the same id, if the call may be repeated. A call never waits for a
link: with no replica connected it fails at once. Deadlines count on this side's clock from
before the call was sent.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

import grpc
from google.protobuf.message import Message

from tollgate.common.v1 import session_pb2
from tollgate_kit.config import PeerConfig, TlsConfig
from tollgate_kit.lifecycle import core_task
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.client import RETIRE_SECONDS, open_replica_channel
from tollgate_kit.rpc.failure import (
    Failure,
    deadline_exceeded,
    from_wire,
    overloaded,
    session_broken,
)
from tollgate_kit.rpc.identity import Identity
from tollgate_kit.rpc.measures import RpcMeasures
from tollgate_kit.rpc.outbox import Outbox
from tollgate_kit.rpc.session_server import CALLS_MAX

Frame = session_pb2.Frame
# Messages a stream's server may send ahead of its reader, and when to give more.
STREAM_CREDIT = 64
CREDIT_STEP = STREAM_CREDIT // 2
BACKOFF_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)
# The client stops before the server may have given up: its own timer has this much slack.
CLIENT_SLACK_SECONDS = 0.05
# Ends of a call at which its server may still be at work.
_GIVEN_UP = ("CANCELLED", "DEADLINE_EXCEEDED")


T = TypeVar("T", bound=Message)


class _Pending:
    """A call in flight: frames go to it, its owner waits on it."""

    __slots__ = ("call_id", "failure", "frames", "timer", "waiter")

    def __init__(self, call_id: int, seconds: float) -> None:
        self.call_id = call_id
        self.timer = asyncio.get_running_loop().call_later(seconds, self.time_out)
        self.frames: deque[bytes | None] = deque()  # None: the end
        self.waiter: asyncio.Future[None] | None = None
        self.failure: Failure | None = None

    def deliver(self, frame: Any) -> None:
        if frame.HasField("payload"):
            self.frames.append(frame.payload)
        if frame.end:
            if frame.HasField("failure"):
                self.failure = from_wire(
                    frame.failure.code, frame.failure.reason, dict(frame.failure.metadata)
                )
            self.frames.append(None)
        self._wake()

    def fail(self, failure: Failure) -> None:
        self.failure = failure
        self.frames.append(None)
        self._wake()

    def time_out(self) -> None:
        self.fail(deadline_exceeded())

    def _wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def next(self) -> bytes | None:
        """The next payload; None at a good end. Raises Failure at a bad one."""
        while not self.frames:
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter
        payload = self.frames.popleft()
        if payload is None and self.failure is not None:
            raise self.failure
        return payload


class _Link:
    """One session with one replica."""

    def __init__(self, stream: Any, request_type: Callable[..., Any], peer: str) -> None:
        self._stream = stream
        self._request_type = request_type
        self._peer = peer
        self._outbox = Outbox()
        self._next_id = 0
        self.calls: dict[int, _Pending] = {}
        self.draining = False
        self.broken = False
        # Set when no more calls may be opened here.
        self.retired = asyncio.Event()

    @property
    def load(self) -> int:
        """Calls in flight."""
        return len(self.calls)

    def open(self, method: str, payload: bytes, timeout_s: float, credit: int) -> _Pending:
        """Send a call. It fails at its time limit; whoever opened it forgets it in the end."""
        self._next_id += 1
        frame = Frame(
            call_id=self._next_id,
            method=method,
            payload=payload,
            timeout_ms=max(1, round(timeout_s * 1000)),
            credit=credit,
        )
        self._outbox.put(frame, len(payload))
        call = _Pending(self._next_id, timeout_s + CLIENT_SLACK_SECONDS)
        self.calls[self._next_id] = call
        return call

    def give_credit(self, call_id: int, credit: int) -> None:
        self._outbox.put(Frame(call_id=call_id, credit=credit))

    def forget(self, call: _Pending, *, cancel: bool) -> None:
        call.timer.cancel()
        self.calls.pop(call.call_id, None)
        if cancel and not self.broken:
            self._outbox.put(Frame(call_id=call.call_id, cancel=True))

    async def run(self) -> None:
        """Carry frames until the link breaks or is closed; then fail what is in flight."""
        writer = asyncio.ensure_future(self._write())
        # Whatever ends it: a link that only reads would let every call wait for its time limit.
        writer.add_done_callback(lambda _: self._stream.cancel())
        try:
            while True:
                batch = await self._stream.read()
                if batch is grpc.aio.EOF:
                    return
                for frame in batch.frames:
                    call = self.calls.get(frame.call_id)
                    if call is not None:
                        call.deliver(frame)
                    elif frame.drain:
                        self.draining = True
                        self.retired.set()
        except grpc.RpcError:
            return
        finally:
            self.broken = True
            self.retired.set()
            self._outbox.close()
            writer.cancel()
            self._stream.cancel()
            waiting = {frame.call_id for frame in self._outbox.waiting()}
            for call_id, call in self.calls.items():
                sent = call_id not in waiting
                call.fail(session_broken(self._peer, may_have_been_sent=sent))

    async def _write(self) -> None:
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
            while batch := await self._outbox.take():
                await self._stream.write(self._request_type(frames=batch))


class Stream(Generic[T]):
    """The answers of one call, made when its `async with` block is entered.

    Entering and iterating raise Failure.
    """

    _link: _Link
    _call: _Pending

    def __init__(
        self,
        pick: Callable[[], _Link],
        measures: RpcMeasures,
        method: str,
        payload: bytes,
        response_type: type[T],
        timeout_s: float,
    ) -> None:
        self._pick = pick
        self._measures = measures
        self._method = method
        self._payload = payload
        self._response_type = response_type
        self._timeout_s = timeout_s
        self._taken = 0
        self._began = time.monotonic()
        # How the call ended, once it has.
        self._code = ""

    async def __aenter__(self) -> Self:
        try:
            self._link = self._pick()
            self._call = self._link.open(
                self._method, self._payload, self._timeout_s, STREAM_CREDIT
            )
        except Failure as failure:
            self._measures.ended(self._method, failure.code.name, self._began)
            raise
        self._payload = b""  # a large one, and the answers may take minutes
        return self

    async def __aexit__(self, *_: object) -> None:
        self._link.forget(self._call, cancel=not self._code)
        self._measures.ended(self._method, self._code or "CANCELLED", self._began)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._code:
            raise StopAsyncIteration
        try:
            payload = await self._call.next()
        except Failure as failure:
            self._code = failure.code.name
            raise
        if payload is None:
            self._code = "OK"
            raise StopAsyncIteration
        self._taken += 1
        if self._taken >= CREDIT_STEP:
            self._link.give_credit(self._call.call_id, self._taken)
            self._taken = 0
        return self._response_type.FromString(payload)


class SessionPool:
    """Sessions with every replica of one service."""

    def __init__(
        self,
        peer: PeerConfig,
        tls: TlsConfig,
        *,
        service: str,
        request_type: Callable[..., Any],
        response_type: Any,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._peer = peer
        self._tls = tls
        self._path = f"/{service}/Session"
        self._request_type = request_type
        self._response_type = response_type
        self._log = log
        self._links: dict[str, _Link] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._keepers: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._measures = RpcMeasures(metrics, "client", f"{service}/")
        broken = metrics.counter("session_broken_total", "Sessions that broke, by peer.", ("peer",))
        self._broken_total = broken.labels(peer.identity)

    async def start(self, wait_s: float = 0.0) -> None:
        """Connect to every replica in the background; optionally wait for the first."""
        self._keepers = [
            core_task(f"session {self._peer.identity}", self._keep(address))
            for address in self._peer.addresses
        ]
        if wait_s:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    while not self._links:
                        self._changed.clear()
                        await self._changed.wait()

    async def close(self) -> None:
        """End every session. Calls in flight fail as SESSION_BROKEN."""
        tasks = [*self._keepers, *self._retiring]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def connected(self) -> bool:
        """True when some replica can take a call."""
        return any(not link.draining for link in self._links.values())

    async def unary(
        self, method: str, request: Any, response_type: type[T], *, timeout_s: float
    ) -> T:
        """Make a call with one answer. Raises Failure."""
        began = time.monotonic()
        link = call = None
        code = "CANCELLED"
        try:
            link = self._pick()
            call = link.open(method, request.SerializeToString(), timeout_s, 1)
            payload = await call.next()
            code = "OK"
            assert payload is not None, "a unary call ends with its payload"
            return response_type.FromString(payload)
        except Failure as failure:
            code = failure.code.name
            raise
        finally:
            if link is not None and call is not None:
                link.forget(call, cancel=code in _GIVEN_UP)
            self._measures.ended(method, code, began)

    def stream(
        self, method: str, request: Any, response_type: type[T], *, timeout_s: float
    ) -> "Stream[T]":
        """Make a call with a stream of answers; leaving the block early cancels it."""
        payload = request.SerializeToString()
        return Stream(self._pick, self._measures, method, payload, response_type, timeout_s)

    def _pick(self) -> _Link:
        """The least loaded link that takes calls. Raises Failure at once when there is none."""
        best: _Link | None = None
        for link in self._links.values():
            if not link.draining and not link.broken and (best is None or link.load < best.load):
                best = link
        if best is None:
            raise session_broken(self._peer.identity, may_have_been_sent=False)
        if len(best.calls) >= CALLS_MAX:
            raise overloaded(self._peer.identity)
        return best

    async def _keep(self, address: str) -> None:
        """Keep one session with one replica: connect, watch, reconnect with bounded back-off."""
        failures = 0
        own = Identity(self._tls)
        channel, multicallable = self._channel(address, own)
        try:
            while True:
                if own.is_new():
                    # Calls of a link that drains end on the channel that they began on.
                    closing = asyncio.get_running_loop().create_task(channel.close(RETIRE_SECONDS))
                    self._retiring.add(closing)
                    closing.add_done_callback(self._retiring.discard)
                    channel, multicallable = self._channel(address, own)
                stream = multicallable()
                try:
                    async with asyncio.timeout(self._peer.timeout_ms / 1000):
                        await stream.wait_for_connection()
                    link = _Link(stream, self._request_type, address)
                    await self._carry(address, link)
                    if not link.draining:
                        failures = 0
                    self._broken_total.inc()
                    self._log.warning("session.broken", peer=self._peer.identity, address=address)
                except (TimeoutError, grpc.RpcError, asyncio.InvalidStateError):
                    stream.cancel()
                except asyncio.CancelledError:
                    if asyncio.current_task().cancelling():  # type: ignore[union-attr]
                        raise
                    stream.cancel()  # the RPC was cancelled under us, not we
                await asyncio.sleep(BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)])
                failures += 1
        finally:
            await channel.close()

    def _channel(self, address: str, own: Identity) -> tuple[grpc.aio.Channel, Any]:
        channel = open_replica_channel(self._peer, address, own)
        return channel, channel.stream_stream(
            self._path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=self._response_type.FromString,
        )

    async def _carry(self, address: str, link: _Link) -> None:
        """Use a link until it breaks or drains; a draining one finishes its calls apart."""
        self._links[address] = link
        self._changed.set()
        run = asyncio.get_running_loop().create_task(link.run())
        self._retiring.add(run)
        run.add_done_callback(self._retiring.discard)
        try:
            await link.retired.wait()
        finally:
            if self._links.get(address) is link:
                del self._links[address]
