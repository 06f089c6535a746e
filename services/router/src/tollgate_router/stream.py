"""A streamed answer: read, metered, passed on, cut.

Owns the state of one stream between two reads. Promises: each step is at most one upstream read
and safe to cancel, for nothing that was read is lost; after the end there is a charge and no more
bytes; nothing passes that the meter held back.
"""

from tollgate.router.v1 import router_pb2
from tollgate_dialects.answer.answer_usage import Flag
from tollgate_dialects.answer.meter import StreamMeter
from tollgate_dialects.answer.template import Shapes
from tollgate_dialects.answer.upstream_error import UpstreamFault as UpstreamError
from tollgate_router import charge, messages
from tollgate_router.attempts import Opened, UpstreamCall, broken_answer
from tollgate_router.charge import Charge, EndReason
from tollgate_router.upstream.fault import Fault, UpstreamFault


class Stream:
    """One streamed answer of an upstream: `step` is to be called until `ended`."""

    def __init__(self, call: UpstreamCall, opened: Opened, bytes_max: int, shapes: Shapes) -> None:
        self._call = call
        self._opened = opened
        self._bytes_left = bytes_max
        self._begun = False
        self.answer = opened.answer
        self.candidate = opened.candidate
        self._meter = StreamMeter(
            call.dialect.answer,
            choices=call.asked.choices,
            strip_usage=not call.asked.wants_usage,
            secrets=(opened.secret.reveal(),),
            shapes=shapes,
        )
        self.reason: EndReason | None = None
        self.charged: Charge = charge.FREE

    @property
    def ended(self) -> bool:
        """True when there is nothing more to come."""
        return self.reason is not None

    @property
    def error(self) -> UpstreamError | None:
        """What the upstream said in the stream of its own failure."""
        return self._meter.error

    @property
    def flag(self) -> Flag:
        """What is odd about the usage that the upstream reported."""
        return self._meter.flag

    @property
    def is_upstream_fault(self) -> bool:
        """Whether the upstream is to blame for the end."""
        return self.reason in (EndReason.UPSTREAM_ERROR, EndReason.UPSTREAM_TIMEOUT)

    async def step(self) -> router_pb2.ExecuteResponse | None:
        """Read once; the message to send for it, None when there is nothing to send yet."""
        try:
            chunk = await self.answer.read()
        except UpstreamFault as fault:
            timed_out = fault.fault is Fault.TIMEOUT
            return self._end(EndReason.UPSTREAM_TIMEOUT if timed_out else EndReason.UPSTREAM_ERROR)
        meter = self._meter
        self._bytes_left -= len(chunk)
        data = meter.feed(chunk) if chunk else meter.finish()
        if self._opened.leaks(data):
            return self._end(EndReason.UPSTREAM_ERROR, withheld=True)
        if meter.finished:
            return self._end(EndReason.COMPLETED, data)
        if meter.error is not None or not chunk or self._bytes_left < 0:
            return self._end(EndReason.UPSTREAM_ERROR, data)
        if not meter.has_final_usage and self._is_spent():
            return self._end(EndReason.COST_LIMIT, data)
        return self._message(data) if data else None

    def _is_spent(self) -> bool:
        return charge.is_spent(
            self._meter.usage,
            self._meter.usage_source,
            price=self._call.price,
            reserved_nano_usd=self._call.reserved_nano_usd,
        )

    def cut(self, reason: EndReason) -> None:
        """End the stream from our side; what was produced until here is charged."""
        self._end(reason)

    def _end(
        self, reason: EndReason, data: bytes = b"", *, withheld: bool = False
    ) -> router_pb2.ExecuteResponse:
        call, meter = self._call, self._meter
        self.reason = reason
        if withheld:
            self.charged = charge.UNHEARD
        else:
            self.charged = charge.of_call(
                charge.seen(meter),
                reason,
                body=call.body,
                price=call.price,
                reserved_nano_usd=call.reserved_nano_usd,
            )
        failure = None
        if reason in (EndReason.UPSTREAM_ERROR, EndReason.UPSTREAM_TIMEOUT):
            failure = broken_answer(reason, meter.error)
        message = self._message(data)
        message.end.CopyFrom(messages.end(call, reason, self.charged, failure))
        return message

    def _message(self, data: bytes) -> router_pb2.ExecuteResponse:
        message = router_pb2.ExecuteResponse(data=data)
        if not self._begun:
            self._begun = True
            route = messages.route(self._call)
            assert route is not None
            message.route.CopyFrom(route)
            if data or self.reason is None:
                message.head.CopyFrom(messages.head(self.answer.status, stream=True))
        return message
