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
from dataclasses import dataclass, replace
from typing import TypeVar

import grpc

from tollgate_budget.ledger.ledger import Reserve, Reserved, Step, StepOutcome
from tollgate_budget.ledger.store import LedgerStore, OutcomeUnknown, StoreUnavailable
from tollgate_budget.measures import Measures
from tollgate_budget.rates.gcra import Cost, Limited
from tollgate_budget.rates.store import RateCall, RateStore, RatesUnavailable
from tollgate_kit.clock import Clock
from tollgate_kit.lifecycle import core_task
from tollgate_kit.logs import Log
from tollgate_kit.rpc.failure import Failure, internal, overloaded, store_unavailable

T = TypeVar("T")

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
        self._unspent: deque[_Item] = deque()
        self._refunds: deque[RateCall] = deque()
        self._refund_timer: asyncio.TimerHandle | None = None
        self._waiting: deque[_Item] = deque()
        self._steps = 0  # accepted and not yet answered, in both stages
        self._wake_rates = asyncio.Event()
        self._wake_commit = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin both stages; close() ends them."""
        self._tasks = [
            core_task("budget.rates", self._rate_stage()),
            core_task("budget.commit", self._commit_stage()),
        ]

    async def close(self) -> None:
        """Take nothing new, carry out what was accepted, within a bound."""
        self._closing = True
        self._wake_rates.set()
        try:
            async with asyncio.timeout(self._limits.drain_s):
                await self._idle.wait()
        except TimeoutError:
            self._log.error("group_commit.not_drained", steps=self._steps)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def reserve(self, step: Reserve, costs: tuple[Cost, ...]) -> StepOutcome | Limited:
        """Spend the rates, then the money. Raises Failure when there is no answer."""
        item = self._accept([step])
        if costs:
            item.rates = RateCall(step.tenant_id, costs)
            self._unspent.append(item)
            self._wake_rates.set()
        else:
            self._enqueue(item)
        answer = await item.answer
        return answer if isinstance(answer, Limited) else answer[0]

    async def apply(self, steps: Sequence[Step]) -> list[StepOutcome]:
        """Carry out steps that have no rates; an outcome for each. Raises Failure."""
        if not steps:
            return []
        item = self._accept(steps)
        self._enqueue(item)
        answer = await item.answer
        assert not isinstance(answer, Limited)
        return answer

    def give_back(self, tenant_id: str, costs: tuple[Cost, ...]) -> None:
        """Give rates back that a settled call did not use. Lost if Redis is away: never doubled."""
        self._refund_rates(RateCall(tenant_id, costs, refund=True))

    def _accept(self, steps: Sequence[Step]) -> _Item:
        if self._closing:
            raise Failure(grpc.StatusCode.UNAVAILABLE, "DRAINING")
        if self._steps + len(steps) > self._limits.queue_steps_max:
            raise overloaded("budget")
        self._steps += len(steps)
        self._idle.clear()
        return _Item(steps, asyncio.get_running_loop().create_future())

    def _enqueue(self, item: _Item) -> None:
        self._waiting.append(item)
        self._wake_commit.set()

    # ---- stage one: rates --------------------------------------------------------------------

    async def _rate_stage(self) -> None:
        while True:
            await self._wake_rates.wait()
            self._wake_rates.clear()
            if self._refund_timer is not None:
                self._refund_timer.cancel()
                self._refund_timer = None
            while self._unspent or self._refunds:
                items = _take(self._unspent, self._limits.batch_steps_max)
                refunds = _take(self._refunds, self._limits.batch_steps_max)
                await self._spend(items, refunds)
                self._settle_idle()

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
                self._fail(item, store_unavailable("redis"))
            return
        self._measures.rates_seconds.observe(self._clock.monotonic() - started)
        for item, limited in zip(items, answers[len(refunds) :], strict=True):
            if limited is None:
                self._enqueue(item)
            else:
                self._resolve(item, limited)

    def _refund(self, item: _Item) -> None:
        if item.rates is not None:
            self._refund_rates(replace(item.rates, refund=True))

    def _refund_rates(self, call: RateCall) -> None:
        """Refunds are bounded: each belongs to an accepted step, and one more is not kept."""
        if len(self._refunds) >= self._limits.queue_steps_max:
            self._measures.refunds_lost.inc()
            return
        self._refunds.append(call)
        self._idle.clear()
        if self._closing:
            self._wake_rates.set()
        elif self._refund_timer is None:
            loop = asyncio.get_running_loop()
            self._refund_timer = loop.call_later(REFUND_SECONDS, self._wake_rates.set)

    # ---- stage two: money --------------------------------------------------------------------

    async def _commit_stage(self) -> None:
        started, steps = self._clock.monotonic(), 0
        while True:
            await self._wake_commit.wait()
            self._wake_commit.clear()
            while self._waiting:
                early = started + self._limits.pace_s - self._clock.monotonic()
                crowded = steps >= CROWD_STEPS
                if early > 0 and crowded and len(self._waiting) < self._limits.batch_steps_max:
                    await asyncio.sleep(early)
                started = self._clock.monotonic()
                self._measures.queue_steps.set(self._steps)
                batch = self._batch()
                steps = sum(len(item.steps) for item in batch)
                await self._commit(batch)
                self._measures.commit_seconds.observe(self._clock.monotonic() - started)
                self._settle_idle()

    def _batch(self) -> list[_Item]:
        """The next items in order; at least one, then as many as stay within the bound."""
        items = [self._waiting.popleft()]
        steps = len(items[0].steps)
        while self._waiting:
            steps += len(self._waiting[0].steps)
            if steps > self._limits.batch_steps_max:
                break
            items.append(self._waiting.popleft())
        return items

    async def _commit(self, items: list[_Item]) -> None:
        steps = [step for item in items for step in item.steps]
        self._measures.batch_steps.observe(len(steps))
        try:
            outcomes = await self._ledger.apply(steps, now_ms=self._clock.unix_ms())
        except StoreUnavailable:
            self._fail_all(items, "unavailable", _postgres_unavailable, refund=True)
        except OutcomeUnknown:
            # Its rates stay spent: a repeat with the same id finds out, and settles that, too.
            self._fail_all(items, "unknown", _outcome_unknown, refund=False)
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
            self._fail(item, why())

    # ---- answers -----------------------------------------------------------------------------

    def _resolve(self, item: _Item, answer: list[StepOutcome] | Limited) -> None:
        if not isinstance(answer, Limited):
            first = answer[0]
            # Refused, or reserved and paid for by an earlier try: its rates are given back.
            if item.rates is not None and (not isinstance(first, Reserved) or first.replayed):
                self._refund(item)
        self._done(item)
        if not item.answer.done():
            item.answer.set_result(answer)

    def _fail(self, item: _Item, why: Failure) -> None:
        self._done(item)
        if not item.answer.done():
            item.answer.set_exception(why)

    def _done(self, item: _Item) -> None:
        self._steps -= len(item.steps)

    def _settle_idle(self) -> None:
        self._measures.queue_steps.set(self._steps)
        if not self._steps and not self._refunds:
            self._idle.set()


def _take(queue: deque[T], limit: int) -> list[T]:
    return [queue.popleft() for _ in range(min(limit, len(queue)))]


def _postgres_unavailable() -> Failure:
    return store_unavailable("postgres")


def _outcome_unknown() -> Failure:
    return Failure(grpc.StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN")
