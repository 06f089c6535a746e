"""Settlements on their way to budget: batched, retried under the same ids, drained at the stop.

Promises: a settlement that was put here is sent until budget answers for it or its time is up;
then its reservation times out at budget and is quarantined, never refunded. Nothing is charged that
the log does not know: a cost is sent once its entry is durable, or never. Putting never waits, so
that a cancelled call still settles. Bounded: what does not fit is left to the quarantine.
"""

import asyncio
from typing import Any, NamedTuple

from tollgate.budget.v1 import budget_pb2
from tollgate_kit.clock import Clock
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.rpc.session_client import SessionPool
from tollgate_kit.work_queue import Full, WorkQueue

BATCH_MAX = 256
QUEUE_MAX = 65_536
RETRY_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0)

_STATES = {
    value: name.removeprefix("SETTLEMENT_STATE_").lower()
    for name, value in budget_pb2.SettlementState.items()
}
_CONFLICT = budget_pb2.SETTLEMENT_STATE_CONFLICT
_NOT_FOUND = budget_pb2.SETTLEMENT_STATE_NOT_FOUND


class Settlement(NamedTuple):
    """One settlement and until when it is worth sending, on the monotonic clock."""

    reservation_id: str
    amount_nano_usd: int
    trace_id: str
    give_up_at: float
    # True when it is not known that the reservation was ever made.
    perhaps: bool
    # The call's end is not known: the amount stays counted.
    quarantine: bool
    # What the call reserved of its rates and did not use.
    unused_rates: tuple[budget_pb2.RateCost, ...]


class SettleQueue:
    """Sends settlements, at most one batch at a time."""

    def __init__(
        self,
        budget: SessionPool,
        *,
        keep_seconds: float,
        timeout_s: float,
        clock: Clock,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._budget = budget
        self._keep_seconds = keep_seconds
        self._timeout_s = timeout_s
        self._clock = clock
        self._log = log
        self._queue: WorkQueue[Settlement] = WorkQueue(
            "settlements", self._deliver, units_max=QUEUE_MAX, batch_units_max=BATCH_MAX
        )
        self._settled = metrics.counter(
            "settlements_total", "Settlements answered, by resulting state.", ("state",)
        )
        self._overruns = metrics.counter(
            "overrun_nano_usd_total", "What true costs exceeded their reservations by."
        )
        depth = metrics.gauge("settle_queue", "Settlements not yet acknowledged.")
        depth.set_function(lambda: self._queue.units)

    async def start(self) -> None:
        """Begin sending."""
        self._queue.start()

    async def close(self, seconds: float) -> None:
        """Send what is queued, for at most that long, then stop."""
        left = await self._queue.close(seconds)
        if left:
            self._log.error("settle.not_drained", settlements=left)

    def put(
        self,
        reservation_id: str,
        *,
        amount_nano_usd: int,
        trace_id: str,
        perhaps: bool = False,
        quarantine: bool = False,
        unused_rates: tuple[budget_pb2.RateCost, ...] = (),
        entry: asyncio.Future[int] | None = None,
    ) -> None:
        """Queue one settlement, after the entry that it needs is durable. Never waits."""
        try:
            self._queue.expect()
        except Full:
            self._settled.labels("dropped").inc()
            self._log.error("settle.queue_full", trace_id=trace_id)
            return
        settlement = Settlement(
            reservation_id,
            amount_nano_usd,
            trace_id,
            self._clock.monotonic() + self._keep_seconds,
            perhaps,
            quarantine,
            unused_rates,
        )
        if entry is None or entry.done():
            self._queue.put_expected(settlement)
        else:
            entry.add_done_callback(lambda done: self._durable(done, settlement))

    def _durable(self, entry: asyncio.Future[int], settlement: Settlement) -> None:
        if entry.cancelled():  # the process ends, and budget quarantines
            self._queue.forgo()
            return
        give_up_at = self._clock.monotonic() + self._keep_seconds
        self._queue.put_expected(settlement._replace(give_up_at=give_up_at))

    async def _deliver(self, batch: list[Settlement]) -> None:
        """Send a batch until it is answered or nothing in it is worth sending any more."""
        failures = 0
        while batch:
            request = budget_pb2.SettleRequest(
                settlements=[
                    budget_pb2.Settlement(
                        reservation_id=settlement.reservation_id,
                        amount_nano_usd=settlement.amount_nano_usd,
                        trace_id=settlement.trace_id,
                        quarantine=settlement.quarantine,
                        unused_rates=settlement.unused_rates,
                    )
                    for settlement in batch
                ]
            )
            try:
                answer = await self._budget.unary(
                    "Settle", request, budget_pb2.SettleResponse, timeout_s=self._timeout_s
                )
            except Failure as failure:
                self._log.warning("settle.failed", reason=failure.reason, settlements=len(batch))
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
                batch = self._still_worth(batch)
                continue
            for settlement, result in zip(batch, answer.results, strict=True):
                self._note(settlement, result)
            return

    def _still_worth(self, batch: list[Settlement]) -> list[Settlement]:
        now = self._clock.monotonic()
        late = [settlement for settlement in batch if settlement.give_up_at <= now]
        for settlement in late:
            self._settled.labels("given_up").inc()
            self._log.error("settle.given_up", trace_id=settlement.trace_id)
        return [settlement for settlement in batch if settlement.give_up_at > now]

    def _note(self, settlement: Settlement, result: Any) -> None:
        self._settled.labels(_STATES.get(result.state, "unspecified")).inc()
        if result.overrun_nano_usd > 0:
            self._overruns.inc(result.overrun_nano_usd)
            self._log.warning(
                "settle.overrun",
                trace_id=settlement.trace_id,
                overrun_nano_usd=result.overrun_nano_usd,
            )
        missing = result.state == _NOT_FOUND and not settlement.perhaps
        if result.state == _CONFLICT or missing:
            self._log.error(
                "settle.refused",
                trace_id=settlement.trace_id,
                reservation_id=settlement.reservation_id,
                state=_STATES[result.state],
            )
