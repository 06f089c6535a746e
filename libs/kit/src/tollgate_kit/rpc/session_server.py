"""The server side of sessions: many calls on one stream, coalesced. See common/v1/session.proto.

Each call in a session runs as its own task through the servicer's own method, so a servicer
sees one call at a time and unary and session share the same code. Bounded in every direction:
calls in flight per session, messages a call may send ahead of its reader (credit), bytes per
write. A slow reader stops its own call, not its neighbours.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from tollgate.common.v1 import session_pb2
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.failure import (
    Failure,
    deadline_exceeded,
    draining,
    from_exception,
    overloaded,
)
from tollgate_kit.rpc.measures import UNKNOWN_METHOD, RpcMeasures
from tollgate_kit.rpc.outbox import Outbox

Frame = session_pb2.Frame

CALLS_MAX = 2048  # in flight in one session


class _Call:
    """One call in a session: its task and the credit its reader has given."""

    __slots__ = ("credit", "more", "task")

    def __init__(self, credit: int) -> None:
        self.credit = credit
        self.more: asyncio.Event | None = None
        self.task: asyncio.Task[None] | None = None

    def add_credit(self, credit: int) -> None:
        self.credit += credit
        if self.more is not None:
            self.more.set()

    def cancel(self) -> None:
        """Cancel the task after its first step: one that took none would skip its clean-up."""
        assert self.task is not None, "set when the call was opened"
        asyncio.get_running_loop().call_soon(self.task.cancel)

    async def spend(self) -> None:
        """Wait until the reader takes one more message."""
        while self.credit <= 0:
            self.more = asyncio.Event()
            await self.more.wait()
        self.credit -= 1


class _Method:
    """How to run one RPC of the service."""

    def __init__(self, descriptor: MethodDescriptor, handler: Callable[..., Any]) -> None:
        self.name = descriptor.name
        self.request_type = GetMessageClass(descriptor.input_type)
        self.streams = descriptor.server_streaming
        self.handler = handler


class SessionServer:
    """Serves the Session RPC of one gRPC service out of its servicer's other methods."""

    def __init__(
        self,
        servicer: object,
        service: ServiceDescriptor,
        response_type: Callable[..., Any],
        *,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._response_type = response_type
        self._measures = RpcMeasures(metrics, "server", f"{service.full_name}/")
        self._log = log
        self._sessions: set[Outbox] = set()
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._draining = False
        self._methods = {
            method.name: _Method(method, getattr(servicer, method.name))
            for method in service.methods
            if not method.client_streaming
        }

    async def serve(self, requests: Any, context: Any) -> None:
        """Run one session until the peer ends it or the link breaks."""
        del requests  # read through the context: cheaper than an iterator
        outbox = Outbox()
        calls: dict[int, _Call] = {}
        self._sessions.add(outbox)
        if self._draining:
            outbox.put(Frame(drain=True))
        writer = asyncio.ensure_future(self._write(outbox, context))
        reader = asyncio.current_task()
        assert reader is not None

        def end(_: object) -> None:
            # A session that only reads would let every call wait for its time limit.
            if not outbox.closed:
                reader.cancel()

        writer.add_done_callback(end)
        try:
            while not outbox.closed:
                batch = await context.read()
                if batch is grpc.aio.EOF:
                    break
                for frame in batch.frames:
                    self._receive(frame, calls, outbox)
        finally:
            self._sessions.discard(outbox)
            outbox.close()
            for call in calls.values():
                call.cancel()
            writer.cancel()

    async def drain(self, seconds: float) -> None:
        """Tell every peer to open no more calls here, and wait for those in flight."""
        self._draining = True
        for outbox in self._sessions:
            outbox.put(Frame(drain=True))
        try:
            async with asyncio.timeout(seconds):
                while self._in_flight:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            self._log.warning("session.drain_cut", in_flight=self._in_flight)

    async def _write(self, outbox: Outbox, context: Any) -> None:
        while batch := await outbox.take():
            await context.write(self._response_type(frames=batch))

    def _receive(self, frame: Any, calls: dict[int, _Call], outbox: Outbox) -> None:
        call = calls.get(frame.call_id)
        if call is None:
            if frame.method:
                self._open(frame, calls, outbox)
            return  # credit or cancel for a call that has ended in the meantime
        if frame.cancel:
            call.cancel()
        elif frame.credit:
            call.add_credit(frame.credit)

    def _open(self, frame: Any, calls: dict[int, _Call], outbox: Outbox) -> None:
        call_id = frame.call_id
        method = self._methods.get(frame.method)
        if method is None:
            unknown = Failure(grpc.StatusCode.UNIMPLEMENTED, "INVALID_FIELD", field="method")
            self._refuse(call_id, UNKNOWN_METHOD, unknown, outbox)
            return
        if self._draining:
            self._refuse(call_id, method.name, draining(), outbox)
            return
        if len(calls) >= CALLS_MAX:
            self._refuse(call_id, method.name, overloaded("session"), outbox)
            return
        call = calls[call_id] = _Call(frame.credit)
        self._in_flight += 1
        call.task = asyncio.get_running_loop().create_task(
            self._run(method, frame, call, calls, outbox)
        )

    def _refuse(self, call_id: int, method: str, failure: Failure, outbox: Outbox) -> None:
        self._measures.ended(method, failure.code.name, time.monotonic())
        outbox.put(_ending(call_id, failure))

    async def _run(
        self, method: _Method, frame: Any, call: _Call, calls: dict[int, _Call], outbox: Outbox
    ) -> None:
        call_id = frame.call_id
        began = time.monotonic()
        code = "OK"
        timer = None
        if frame.timeout_ms:
            task = asyncio.current_task()
            assert task is not None
            timer = asyncio.get_running_loop().call_later(
                frame.timeout_ms / 1000, task.cancel, "deadline"
            )
        try:
            try:
                request = method.request_type.FromString(frame.payload)
            except DecodeError:
                raise Failure(
                    grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", field="payload"
                ) from None
            if method.streams:
                await self._run_stream(method.handler(request, None), call_id, call, outbox)
            else:
                answer = await method.handler(request, None)
                payload = answer.SerializeToString()
                outbox.put(Frame(call_id=call_id, payload=payload, end=True), len(payload))
        except asyncio.CancelledError as cancelled:
            # Ours, from the deadline; or the peer's cancel; or the end of the session.
            outbox.put(_ending(call_id, deadline_exceeded()))
            if cancelled.args != ("deadline",):
                code = "CANCELLED"
                raise
            code = "DEADLINE_EXCEEDED"
        except Exception as error:  # noqa: BLE001 - classified here, as the interceptor does
            failure = from_exception(error, method.name, self._log)
            code = failure.code.name
            outbox.put(_ending(call_id, failure))
        finally:
            self._measures.ended(method.name, code, began)
            if timer is not None:
                timer.cancel()
            calls.pop(call_id, None)
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def _run_stream(
        self, answers: AsyncIterator[Any], call_id: int, call: _Call, outbox: Outbox
    ) -> None:
        last = None
        try:
            async for answer in answers:
                if call.credit <= 0:
                    await call.spend()
                else:
                    call.credit -= 1
                payload = answer.SerializeToString()
                last = Frame(call_id=call_id, payload=payload)
                outbox.put(last, len(payload))
            if last is not None and outbox.holds_last(last):
                last.end = True  # nothing came between: most calls have one message
            else:
                outbox.put(Frame(call_id=call_id, end=True))
        finally:
            if inspect.isasyncgen(answers):
                await answers.aclose()


def _ending(call_id: int, failure: Failure) -> Any:
    return Frame(
        call_id=call_id,
        end=True,
        failure=session_pb2.Failure(
            code=failure.code.value[0], reason=failure.reason, metadata=failure.metadata
        ),
    )
