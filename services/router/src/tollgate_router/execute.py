"""One call, from its admission to its end message.

Owns the upstream's answer. Promises: exactly one message for a unary call; for a stream one message
per upstream read, the last with the end; the end says what was used and what it costs, whatever
happened. A caller that vanishes does not stop the metering: the answer is drained within bounds in
the must-finish group, and its usage and cost are logged as call.orphaned.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator

from tollgate.router.v1 import router_pb2
from tollgate_dialects.answer.answer_usage import Flag
from tollgate_dialects.answer.meter import BodyMeter
from tollgate_dialects.answer.template import Shapes
from tollgate_dialects.conversation.machine import IllegalEventError
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import UsageSource
from tollgate_kit.clock import Clock
from tollgate_kit.lifecycle import MustFinish
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_router import charge, messages, translation
from tollgate_router.attempts import (
    Attempts,
    ContactRefused,
    NotOpened,
    Opened,
    broken_answer,
)
from tollgate_router.call import UpstreamCall
from tollgate_router.charge import Charge, EndReason
from tollgate_router.config import ExecuteConfig
from tollgate_router.providers.catalogue_watch import CatalogueWatch
from tollgate_router.providers.key_secrets import Told
from tollgate_router.stored.recorder import Records
from tollgate_router.stored.response import StoredResponse, kept_tokens
from tollgate_router.stream import Stream
from tollgate_router.upstream.fault import Fault, UpstreamFault
from tollgate_router.upstream.upstream import UpstreamConfig

# After its last event a stream's connection is worth this much waiting, to be used again.
TIDY_SECONDS = 1.0
READ_AFTER_END_MAX = 64 * 1024
UPSTREAMS_REMEMBERED_MAX = 4_096


class _Work:
    """What the must-finish group does for a call, and what came of it."""

    __slots__ = ("opened", "refused", "response")

    def __init__(self) -> None:
        self.opened: Opened | None = None
        self.refused = False
        # The only message of a call without a stream.
        self.response: router_pb2.ExecuteResponse | None = None


class Executor:
    """Carries out admitted calls."""

    def __init__(
        self,
        *,
        attempts: Attempts,
        watch: CatalogueWatch,
        must_finish: MustFinish,
        upstream: UpstreamConfig,
        execute: ExecuteConfig,
        records: Records,
        clock: Clock,
        log: Log,
        metrics: Metrics,
    ) -> None:
        self._attempts = attempts
        self._watch = watch
        self._must_finish = must_finish
        self._upstream = upstream
        self._execute = execute
        self._records = records
        self._clock = clock
        self._log = log
        self._calls = metrics.counter(
            "upstream_calls_total", "Calls, by end and source of usage.", ("reason", "usage_source")
        )
        self._seconds = metrics.histogram(
            "upstream_call_seconds", "From admission to the end of a call.", ("provider",)
        )
        # By provider and its model: one upstream's streams look alike.
        self._shapes: defaultdict[tuple[str, str], Shapes] = defaultdict(Shapes)
        self._orphans = metrics.counter("orphans_total", "Calls whose edge vanished.")

    @property
    def full(self) -> bool:
        """True when no call may be taken on: what is in flight has priority."""
        return self._must_finish.full

    async def run(self, call: UpstreamCall) -> AsyncGenerator[router_pb2.ExecuteResponse, None]:
        """The messages of a call. Closing it early is the edge's death, not the client's."""
        work = _Work()
        # The upstream belongs to this task, so that a cancelled caller takes nothing with it.
        task = self._must_finish.spawn(self._work(call, work), "call")
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            self._must_finish.spawn(self._orphan(call, work, task), "orphan")
            raise
        if work.refused:
            raise messages.reservation_refused()
        if work.response is not None:
            yield work.response
            return
        assert work.opened is not None
        stream = self._stream(call, work.opened)
        try:
            while not stream.ended:
                if (response := await stream.step()) is not None:
                    if stream.ended:
                        self._close(call, stream)
                        await self._keep(call, stream.kept_as, stream.charged, stream.flag)
                    yield response
        except (asyncio.CancelledError, GeneratorExit):
            if not stream.ended:
                self._must_finish.spawn(self._drain(call, stream), "orphan")
            raise
        except BaseException:
            stream.answer.close()
            raise

    async def _work(self, call: UpstreamCall, work: _Work) -> None:
        outcome = await self._attempts.open(call, self._watch.snapshot)
        if isinstance(outcome, ContactRefused):
            work.refused = True
        elif isinstance(outcome, NotOpened):
            work.response = self._not_opened(call, outcome)
        elif call.asked.stream:
            # Whatever its content type says: the meter tells events from what is none.
            work.opened = outcome
        else:
            work.response = await self._unary(call, outcome)

    def _stream(self, call: UpstreamCall, opened: Opened) -> Stream:
        candidate = opened.candidate
        if len(self._shapes) >= UPSTREAMS_REMEMBERED_MAX:
            self._shapes.clear()
        shapes = self._shapes[candidate.provider, candidate.upstream_model]
        return Stream(call, opened, self._upstream.stream_bytes_max, shapes)

    def _not_opened(self, call: UpstreamCall, failure: NotOpened) -> router_pb2.ExecuteResponse:
        charged = charge.UNHEARD if failure.is_unknown else charge.FREE
        self._finished(call, failure.reason, charged)
        return messages.not_opened(call, failure, charged)

    async def _unary(self, call: UpstreamCall, opened: Opened) -> router_pb2.ExecuteResponse:
        """Read the whole body and meter it; a body that is no answer is not passed on."""
        answer = opened.answer
        meter = BodyMeter(opened.dialect.answer, secrets=opened.secrets.revealed())
        data, reason = b"", EndReason.UPSTREAM_ERROR
        try:
            meter.feed(await answer.read_all(self._upstream.answer_bytes_max))
            data = meter.finish()
        except UpstreamFault as fault:
            answer.close()
            if fault.fault is Fault.TIMEOUT:
                reason = EndReason.UPSTREAM_TIMEOUT
        if opened.secrets.are_in(data):
            return self._withheld(call, opened, reason)
        sought = data
        if meter.finished:
            reason = EndReason.COMPLETED
        charged = charge.of_call(
            charge.seen(meter),
            reason,
            body=call.body,
            price=call.price,
            reserved_nano_usd=call.reserved_nano_usd,
            asked=translation.asked_of(call, opened.dialect),
        )
        if reason is EndReason.COMPLETED and translation.is_needed(call, opened.dialect):
            try:
                data = translation.answer(call, opened.dialect, data, charged.usage)
            except IllegalEventError:
                reason = EndReason.UPSTREAM_ERROR
        elif renaming := translation.renaming(call, opened.candidate, opened.dialect):
            data = renaming.body(data)
        told = Told(opened.secrets)
        # What passes as it came was sought through above.
        if told.joins(data) if data is sought else told.leaks(data):
            return self._withheld(call, opened, EndReason.UPSTREAM_ERROR)
        flag = meter.flag
        self._finished(call, reason, charged, flag)
        await self._keep(call, meter.kept_as, charged, flag)
        if reason is not EndReason.COMPLETED:
            self._attempts.broke(opened.candidate, meter.error)
            return messages.not_opened(call, broken_answer(reason, meter.error), charged)
        return router_pb2.ExecuteResponse(
            route=messages.route(call),
            head=messages.head(call, answer.status),
            data=data,
            end=messages.end(call, reason, charged),
        )

    def _withheld(
        self, call: UpstreamCall, opened: Opened, reason: EndReason
    ) -> router_pb2.ExecuteResponse:
        """The upstream's own key is in its answer, or would be in what is made of it."""
        self._attempts.broke(opened.candidate, None)
        return self._not_opened(call, NotOpened(reason, is_unknown=True))

    def _close(self, call: UpstreamCall, stream: Stream) -> None:
        """A stream ended: count it, record its upstream's fault, keep its connection if it can."""
        assert stream.reason is not None
        if stream.is_upstream_fault:
            self._attempts.broke(stream.candidate, stream.error)
        if stream.reason is EndReason.COMPLETED:
            stream.answer.discard_rest(TIDY_SECONDS, READ_AFTER_END_MAX)
        else:
            stream.answer.close()
        self._finished(call, stream.reason, stream.charged, stream.flag)

    async def _orphan(self, call: UpstreamCall, work: _Work, task: "asyncio.Task[None]") -> None:
        """The edge vanished before the answer began: let the upstream finish, within bounds."""
        await asyncio.wait({task}, timeout=self._execute.drain_seconds)
        if work.opened is not None:
            stream = self._stream(call, work.opened)
            await self._drain(call, stream)
        elif work.refused:
            pass
        elif task.done():
            self._log_orphan(call, work.response.end if work.response else None)
        else:
            task.cancel()
            self._finished(call, EndReason.CLIENT_GONE, charge.UNHEARD)
            self._log_orphan(call, None)

    async def _drain(self, call: UpstreamCall, stream: Stream) -> None:
        """The edge vanished in the middle: learn the usage if it comes soon, else cut."""
        try:
            async with asyncio.timeout(self._execute.drain_seconds):
                while not stream.ended:
                    await stream.step()
        except TimeoutError:
            pass
        finally:
            if not stream.ended:
                stream.cut(EndReason.CLIENT_GONE)
            self._close(call, stream)
            await self._keep(call, stream.kept_as, stream.charged, stream.flag)
            self._log_orphan(call, messages.end(call, EndReason.CLIENT_GONE, stream.charged))

    async def _keep(self, call: UpstreamCall, kept_as: str, charged: Charge, flag: Flag) -> None:
        """Enter a whole answer that the upstream keeps, before its client can read its last byte.

        A report that cannot be says nothing of what the next turn reads.
        """
        candidate = call.candidate
        if not kept_as or not call.asked.is_to_be_kept or candidate is None:
            return
        is_known = charged.source is UsageSource.UPSTREAM and not flag
        response = StoredResponse(
            response_id=kept_as,
            tenant_id=call.tenant_id,
            key_id=call.client_key_id,
            provider=candidate.provider,
            provider_key_id=candidate.key_id,
            upstream_model=candidate.upstream_model,
            model=call.model,
            context_tokens=kept_tokens(call.asked, charged.usage) if is_known else 0,
            create_unix_ms=self._clock.unix_ms(),
        )
        await self._records.record(response)

    def _log_orphan(self, call: UpstreamCall, end: router_pb2.End | None) -> None:
        """What an operator needs to resolve the quarantined reservation."""
        self._orphans.inc()
        end = end or messages.end(call, EndReason.CLIENT_GONE, charge.UNHEARD)
        self._log.warning(
            "call.orphaned",
            trace_id=call.trace_id,
            reservation_id=call.reservation_id,
            cost_nano_usd=end.cost_nano_usd,
            usage_source=router_pb2.UsageSource.Name(end.usage_source),
            price_version=end.price_version,
            **{unit.count_field: getattr(end.usage, unit.count_field) for unit in Unit},
        )

    def _finished(
        self, call: UpstreamCall, reason: EndReason, charged: Charge, flag: Flag = ""
    ) -> None:
        """Count a call; one canonical line, always for one that did not complete."""
        provider = call.candidate.provider if call.candidate else ""
        seconds = self._clock.monotonic() - call.began
        # The sunder name: `value` is a property that runs in Python, and every call comes here.
        self._calls.labels(reason._value_, charged.source._value_).inc()
        self._seconds.labels(provider).observe(seconds)
        if not self._execute.log_calls and reason is EndReason.COMPLETED:
            return
        self._log.info(
            "call.executed",
            trace_id=call.trace_id,
            model=call.model,
            stream=call.asked.stream,
            provider=provider,
            key_id=call.candidate.key_id if call.candidate else "",
            attempts=call.attempts,
            reason=reason.value,
            usage_source=charged.source.value,
            cost_nano_usd=charged.cost_nano_usd,
            is_unknown=charged.is_unknown,
            ms=round(seconds * 1000),
            **({"usage_flag": flag} if flag else {}),
        )
