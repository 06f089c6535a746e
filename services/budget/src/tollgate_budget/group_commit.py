"""Many calls, one commit: coalesces reserves and settlements into batches, in two stages.

Stage one spends the rates of all waiting reserves in one round trip to Redis; stage two carries
all waiting steps out in one transaction. Each works at once when idle and gathers while it is
busy; under load commits start at least `pace_s` apart unless a batch is full, so that they are few
and large.

Promises: steps are decided in the order of arrival. What was accepted is carried out even if its
caller is gone. A step that the database refuses fails alone. A reserve that got no money has its
rates given back. Queues are bounded: beyond that callers are refused at once, nothing changed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tollgate_budget.ledger.ledger import Reserve, Reserved, Step, StepOutcome
from tollgate_budget.ledger.store import LedgerStore, OutcomeUnknown, StoreUnavailable
from tollgate_budget.measures import Measures
from tollgate_budget.rates.gcra import Cost, Limited
from tollgate_budget.rates.store import RateCall, RateStore, RatesUnavailable
from tollgate_kit.clock import Clock
from tollgate_kit.logs import Log
from tollgate_kit.rpc.failure import (
    Failure,
    draining,
    internal,
    outcome_unknown,
    overloaded,
    store_unavailable,
)
from tollgate_kit.work_queue import Full, WorkQueue, fail, resolve

# What is given back rides with the next spend, which comes first to all who might wait for it; it
# goes alone when none comes for so long.
REFUND_SECONDS = 0.05
# From this many steps in the last batch on, callers come together and commits keep their distance.
CROWD_STEPS = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the two stages."""

    batch_steps_max: int = 128
    queue_steps_max: int = 4096
    pace_s: float = 0.002
    drain_s: float = 10.0


@dataclass(slots=True, eq=False)
class _Item:
    """What one caller waits for."""

    steps: Sequence[Step]
    answer: asyncio.Future[list[StepOutcome] | Limited]
    rates: RateCall | None = None
    # Of each of the rates; see gcra.Answer.
    ahead_us: tuple[int, ...] = ()


class GroupCommit:
    """Collects what waits into batches: one trip to Redis, then one transaction, for each."""

    def __init__(
        self,
        ledger: LedgerStore,
        rates: RateStore,
        *,
        clock: Clock,
        measures: Measures,
        log: Log,
        limits: Limits,
    ) -> None:
        self._ledger = ledger
        self._rates = rates
        self._clock = clock
        self._measures = measures
        self._log = log
        self._limits = limits
        # A trip to Redis is due for an item, or, as None, for refunds that no item takes along.
        self._trips: WorkQueue[_Item | None] = WorkQueue(
            "budget.rates",
            self._trip,
            units_max=limits.queue_steps_max,
            batch_units_max=limits.batch_steps_max,
        )
        self._refunds: deque[RateCall] = deque()
        self._refund_timer: asyncio.TimerHandle | None = None
        # Its units are the steps of both stages, from when they are accepted.
        self._commits: WorkQueue[_Item] = WorkQueue(
            "budget.commit",
            self._commit_batch,
            units_max=limits.queue_steps_max,
            batch_units_max=limits.batch_steps_max,
            gather=self._keep_distance,
        )
        self._commit_started = clock.monotonic()
        self._crowded = False
        measures.queue_steps.set_function(lambda: self._commits.units)

    def start(self) -> None:
        """Begin both stages; close() ends them."""
        self._trips.start()
        self._commits.start()

    async def close(self) -> None:
        """Take nothing new, carry out what was accepted, within a bound."""
        until = self._clock.monotonic() + self._limits.drain_s
        steps = await self._commits.close(self._limits.drain_s)
        self._send_refunds()
        await self._trips.close(until - self._clock.monotonic())
        if steps or self._refunds:
            self._log.error("group_commit.not_drained", steps=steps)

    async def reserve(
        self, step: Reserve, costs: tuple[Cost, ...]
    ) -> tuple[StepOutcome | Limited, tuple[int, ...]]:
        """Spend the rates, then the money; the outcome, and where each rate stands (gcra.Answer).

        Raises Failure when there is no answer.
        """
        item = self._accept([step])
        if costs:
            item.rates = RateCall(step.tenant_id, costs)
            self._trips.put(item)
        else:
            self._commits.put_expected(item)
        answer = await item.answer
        return answer if isinstance(answer, Limited) else answer[0], item.ahead_us

    async def apply(self, steps: Sequence[Step]) -> list[StepOutcome]:
        """Carry out steps that have no rates; an outcome for each. Raises Failure."""
        if not steps:
            return []
        item = self._accept(steps)
        self._commits.put_expected(item, len(steps))
        answer = await item.answer
        assert not isinstance(answer, Limited)
        return answer

    def give_back(self, tenant_id: str, costs: tuple[Cost, ...]) -> None:
        """Give rates back that a settled call did not use. Lost if Redis is away: never doubled."""
        self._refund_rates(RateCall(tenant_id, costs, refund=True))

    def _accept(self, steps: Sequence[Step]) -> _Item:
        if self._commits.closing:
            raise draining()
        try:
            self._commits.expect(len(steps))
        except Full:
            raise overloaded("budget") from None
        return _Item(steps, asyncio.get_running_loop().create_future())

    # ---- stage one: rates --------------------------------------------------------------------

    async def _trip(self, batch: list[_Item | None]) -> None:
        if self._refund_timer is not None:
            self._refund_timer.cancel()
            self._refund_timer = None
        items = [item for item in batch if item is not None]
        count = min(self._limits.batch_steps_max, len(self._refunds))
        refunds = [self._refunds.popleft() for _ in range(count)]
        if items or refunds:
            await self._spend(items, refunds)
        if self._refunds:
            self._send_refunds()

    async def _spend(self, items: list[_Item], refunds: list[RateCall]) -> None:
        calls = [item.rates for item in items if item.rates is not None]
        started = self._clock.monotonic()
        try:
            answers = await self._rates.spend(refunds + calls)
        except Exception as error:  # noqa: BLE001 - the stage outlives whatever one trip met
            self._measures.rates_failures.inc()
            self._measures.refunds_lost.inc(len(refunds))
            if not isinstance(error, RatesUnavailable):
                self._log.exception("rates.failed", error)
            for item in items:
                self._commits.forgo(len(item.steps))
                fail(item.answer, store_unavailable("redis"))
            return
        self._measures.rates_seconds.observe(self._clock.monotonic() - started)
        for item, answer in zip(items, answers[len(refunds) :], strict=True):
            item.ahead_us = answer.ahead_us
            if answer.limited is None:
                self._commits.put_expected(item, len(item.steps))
            else:
                self._commits.forgo(len(item.steps))
                resolve(item.answer, answer.limited)

    def _refund(self, item: _Item) -> None:
        if item.rates is not None:
            self._refund_rates(item.rates._replace(refund=True))

    def _refund_rates(self, call: RateCall) -> None:
        """Refunds are bounded: each belongs to an accepted step, and one more is not kept."""
        if len(self._refunds) >= self._limits.queue_steps_max:
            self._measures.refunds_lost.inc()
            return
        self._refunds.append(call)
        if self._refund_timer is None:
            loop = asyncio.get_running_loop()
            self._refund_timer = loop.call_later(REFUND_SECONDS, self._send_refunds)

    def _send_refunds(self) -> None:
        self._trips.put(None, units=0)

    # ---- stage two: money --------------------------------------------------------------------

    async def _keep_distance(self) -> None:
        """Wait for the pace, after a crowd and unless a batch is full."""
        early = self._commit_started + self._limits.pace_s - self._clock.monotonic()
        if early > 0 and self._crowded and self._commits.waiting < self._limits.batch_steps_max:
            await asyncio.sleep(early)
        self._commit_started = self._clock.monotonic()

    async def _commit_batch(self, items: list[_Item]) -> None:
        self._crowded = sum([len(item.steps) for item in items]) >= CROWD_STEPS
        await self._commit(items)
        self._measures.commit_seconds.observe(self._clock.monotonic() - self._commit_started)

    async def _commit(self, items: list[_Item]) -> None:
        steps = [step for item in items for step in item.steps]
        self._measures.batch_steps.observe(len(steps))
        try:
            outcomes = await self._ledger.apply(steps, now_ms=self._clock.unix_ms())
        except StoreUnavailable:
            self._fail_all(items, "unavailable", _postgres_unavailable, refund=True)
        except OutcomeUnknown:
            # Its rates stay spent: a repeat with the same id finds out, and settles that, too.
            self._fail_all(items, "unknown", outcome_unknown, refund=False)
        except Exception as error:  # noqa: BLE001 - one bad step must not fail the others
            self._log.exception("commit.refused", error, steps=len(steps))
            if len(items) == 1:
                self._fail_all(items, "refused", internal, refund=True)
                return
            for item in items:
                await self._commit([item])
        else:
            position = 0
            for item in items:
                self._resolve(item, outcomes[position : position + len(item.steps)])
                position += len(item.steps)

    def _fail_all(
        self, items: list[_Item], reason: str, why: Callable[[], Failure], *, refund: bool
    ) -> None:
        self._measures.commit_failures.labels(reason).inc()
        for item in items:
            if refund:
                self._refund(item)
            fail(item.answer, why())

    def _resolve(self, item: _Item, outcomes: list[StepOutcome]) -> None:
        first = outcomes[0]
        # Refused, or reserved and paid for by an earlier try: its rates are given back.
        if item.rates is not None and (not isinstance(first, Reserved) or first.replayed):
            self._refund(item)
        resolve(item.answer, outcomes)


def _postgres_unavailable() -> Failure:
    return store_unavailable("postgres")
