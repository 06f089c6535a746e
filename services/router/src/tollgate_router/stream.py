"""A streamed answer: read, metered, passed on, cut.

Owns the state of one stream between two reads. Promises: each step is at most one upstream read
and safe to cancel, for nothing that was read is lost; after the end there is a charge and no more
bytes; nothing passes that the meter held back.
"""

import asyncio

from tollgate.router.v1 import router_pb2
from tollgate_dialects.answer.answer_usage import Flag
from tollgate_dialects.answer.meter import StreamMeter
from tollgate_dialects.answer.template import Shapes
from tollgate_dialects.answer.upstream_error import UpstreamFault as UpstreamError
from tollgate_dialects.conversation.machine import IllegalEventError
from tollgate_dialects.pricing.usage import Usage
from tollgate_router import charge, messages, translation
from tollgate_router.attempts import Opened, broken_answer
from tollgate_router.call import UpstreamCall
from tollgate_router.charge import Charge, EndReason
from tollgate_router.providers.key_secrets import Told
from tollgate_router.upstream.fault import Fault, UpstreamFault


class _KeyToldError(Exception):
    """The upstream's own key is in what its answer was translated to."""


class Stream:
    """One streamed answer of an upstream: `step` is to be called until `ended`."""

    def __init__(self, call: UpstreamCall, opened: Opened, bytes_max: int, shapes: Shapes) -> None:
        self._call = call
        self._opened = opened
        self._bytes_left = bytes_max
        self._begun = False
        self.answer = opened.answer
        self.candidate = opened.candidate
        is_translated = translation.is_needed(call, opened.dialect)
        self._translator = (
            translation.stream_translator(call, opened.dialect) if is_translated else None
        )
        self._client_told = Told(opened.secrets)
        self._renaming = translation.renaming(call, opened.candidate, opened.dialect)
        self._asked = translation.asked_of(call, opened.dialect)
        self._meter = StreamMeter(
            opened.dialect.answer,
            choices=call.asked.choices,
            strip_usage=not (is_translated or call.asked.wants_usage),
            secrets=opened.secrets.revealed(),
            shapes=shapes,
        )
        # Behind what looks like the end: how much there was, and when, on the loop's clock, it is
        # the end even if the upstream has not closed.
        self._output_units = -1
        self._close_by = 0.0
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
    def kept_as(self) -> str:
        """The id under which the upstream keeps the whole answer; empty: it keeps none."""
        return self._meter.kept_as if self.reason is EndReason.COMPLETED else ""

    @property
    def is_upstream_fault(self) -> bool:
        """Whether the upstream is to blame for the end."""
        return self.reason in (EndReason.UPSTREAM_ERROR, EndReason.UPSTREAM_TIMEOUT)

    async def step(self) -> router_pb2.ExecuteResponse | None:
        """Read once; the message to send for it, None when there is nothing to send yet."""
        try:
            chunk = await self._read()
        except UpstreamFault as fault:
            timed_out = fault.fault is Fault.TIMEOUT
            return self._end(EndReason.UPSTREAM_TIMEOUT if timed_out else EndReason.UPSTREAM_ERROR)
        meter = self._meter
        self._bytes_left -= len(chunk)
        data = meter.feed(chunk) if chunk else meter.finish()
        if self._opened.secrets.are_in(data):
            return self._withhold()
        reason = self._reason(is_last=not chunk)
        if reason is not None:
            return self._end(reason, data)
        try:
            told = self._told(data)
        except IllegalEventError:
            return self._end(EndReason.UPSTREAM_ERROR)
        except _KeyToldError:
            return self._withhold()
        return self._message(told) if told else None

    async def _read(self) -> bytes:
        """What the upstream sends next; empty at its end. Raises UpstreamFault.

        Where a protocol has no last event, the upstream's close is the end: text may follow what
        looked like it. An answer that is complete but for that ends without a fault when no more of
        it has come for the idle time, whatever comments have.
        """
        meter = self._meter
        if not meter.awaits_close:
            return await self.answer.read()
        if meter.output_units != self._output_units:
            self._output_units = meter.output_units
            self._close_by = asyncio.get_running_loop().time() + self.answer.idle_s
        try:
            async with asyncio.timeout_at(self._close_by):
                return await self.answer.read()
        except (TimeoutError, UpstreamFault):
            return b""

    def _reason(self, *, is_last: bool) -> EndReason | None:
        """Why the stream ends with what was just read; None: it goes on."""
        meter = self._meter
        if meter.finished:
            return EndReason.COMPLETED
        if meter.error is not None or is_last or self._bytes_left < 0:
            return EndReason.UPSTREAM_ERROR
        if not meter.has_final_usage and self._is_spent():
            return EndReason.COST_LIMIT
        return None

    def _is_spent(self) -> bool:
        return charge.is_spent(
            self._meter.usage,
            self._meter.usage_source,
            price=self._call.price,
            reserved_nano_usd=self._call.reserved_nano_usd,
            asked=self._asked,
        )

    def cut(self, reason: EndReason) -> None:
        """End the stream from our side; what was produced until here is charged."""
        self._end(reason)

    def _told(self, data: bytes, charged: Usage | None = None) -> bytes:
        """What passes of an upstream's frames, in the client's protocol; `charged`: at the end.

        Raises IllegalEventError, also for a complete answer whose end cannot be told, and
        _KeyToldError where the upstream's own key would be told.
        """
        translator, meter = self._translator, self._meter
        if translator is None:
            return data if self._renaming is None else self._renaming.frames(data)
        usage = charged
        if charged is None and meter.reported is not None:
            usage = meter.usage
        told = translator.feed(data, usage)
        if self._client_told.leaks(told):
            raise _KeyToldError
        if self.reason is EndReason.COMPLETED and not translator.finished:
            raise IllegalEventError
        return told

    def _end(self, reason: EndReason, data: bytes = b"") -> router_pb2.ExecuteResponse:
        call = self._call
        self.reason = reason
        self.charged = charge.of_call(
            charge.seen(self._meter),
            reason,
            body=call.body,
            price=call.price,
            reserved_nano_usd=call.reserved_nano_usd,
            asked=self._asked,
        )
        try:
            told = self._told(data, self.charged.usage)
        except IllegalEventError:
            self.reason, told = EndReason.UPSTREAM_ERROR, b""
        except _KeyToldError:
            return self._withhold()
        return self._ended(self.reason, told)

    def _withhold(self) -> router_pb2.ExecuteResponse:
        """End without a word: the upstream sent its own key."""
        self.reason, self.charged = EndReason.UPSTREAM_ERROR, charge.UNHEARD
        return self._ended(self.reason, b"")

    def _ended(self, reason: EndReason, told: bytes) -> router_pb2.ExecuteResponse:
        failure = None
        if reason in (EndReason.UPSTREAM_ERROR, EndReason.UPSTREAM_TIMEOUT):
            failure = broken_answer(reason, self._meter.error)
        message = self._message(told)
        message.end.CopyFrom(messages.end(self._call, reason, self.charged, failure))
        return message

    def _message(self, data: bytes) -> router_pb2.ExecuteResponse:
        message = router_pb2.ExecuteResponse(data=data)
        if not self._begun:
            self._begun = True
            route = messages.route(self._call)
            assert route is not None
            message.route.CopyFrom(route)
            if data or self.reason is None:
                message.head.CopyFrom(messages.head(self._call, self.answer.status))
        return message
