"""Group commit: order, isolation, bounds, refunds. Stores are the memory twins, slowed or broken."""

import asyncio
import io

import pytest

from tollgate_budget.group_commit import GroupCommit, Limits
from tollgate_budget.ledger.ledger import Denied, Reserve, Reserved, Settle, Settlement
from tollgate_budget.ledger.store import (
    AdminRequest,
    OutcomeUnknown,
    SetLimit,
    StoreUnavailable,
    WriteRefused,
)
from tollgate_budget.ledger.store_memory import MemoryLedger
from tollgate_budget.measures import Measures
from tollgate_budget.rates.gcra import Limited, Rate
from tollgate_budget.rates.store import RatesUnavailable
from tollgate_budget.rates.store_memory import MemoryRates
from tollgate_kit.clock import SystemClock
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.failure import Failure

RPM = (Rate("rpm", 3, 3, 60_000).cost(1),)


class Ledger(MemoryLedger):
    """The memory twin, with a gate in front and faults on demand."""

    def __init__(self):
        super().__init__()
        self.batches = []
        self.open = asyncio.Event()
        self.open.set()
        self.fault = None
        self.refuses = ()

    async def apply(self, steps, *, now_ms):
        self.batches.append([step.id for step in steps])
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        if any(step.id in self.refuses for step in steps):
            raise WriteRefused
        return await super().apply(steps, now_ms=now_ms)


class Rates(MemoryRates):
    def __init__(self):
        super().__init__(lambda: 10**15)
        self.trips = 0
        self.fault = None

    async def spend(self, calls):
        self.trips += 1
        if self.fault is not None:
            raise self.fault
        return await super().spend(calls)


async def nothing():
    """Where a change's evidence would be recorded."""


class Bench:
    def __init__(self, **limits):
        self.ledger, self.rates = Ledger(), Rates()
        self.group = GroupCommit(
            self.ledger,
            self.rates,
            clock=SystemClock(),
            measures=Measures(Metrics("budget")),
            log=Log("budget", out=io.StringIO()),
            limits=Limits(**{"pace_s": 0, **limits}),
        )

    async def __aenter__(self):
        change = SetLimit("key:a", 100)
        request = AdminRequest("r", change)
        await self.ledger.administer(request, nothing, now_ms=SystemClock().unix_ms())
        self.group.start()
        return self

    async def __aexit__(self, *exc):
        self.ledger.open.set()
        await self.group.close()

    def reserve(self, name, amount=1, costs=()):
        step = Reserve(name, ("key:a",), amount, 60_000, "t", "tr", "m")
        return asyncio.ensure_future(self._outcome(step, costs))

    async def _outcome(self, step, costs):
        outcome, self.ahead_us = await self.group.reserve(step, costs)
        return outcome

    async def room(self):
        """How many more calls the rate bucket would allow."""
        calls = [self.reserve(f"probe{n}", 0, RPM) for n in range(4)]
        return sum(isinstance(a, Reserved) for a in await asyncio.gather(*calls))


async def turns(count=10):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_commits_at_once_when_idle_and_gathers_while_busy():
    """The first call waits for nobody; what comes during its commit shares the next, in order."""
    async with Bench(batch_steps_max=4) as bench:
        bench.ledger.open.clear()
        calls = [bench.reserve("T0")]
        await turns()
        calls += [bench.reserve(f"T{n}") for n in range(1, 8)]
        await turns()
        assert [["T0"]] == bench.ledger.batches
        bench.ledger.open.set()
        await asyncio.gather(*calls)
        assert [["T0"], ["T1", "T2", "T3", "T4"], ["T5", "T6", "T7"]] == bench.ledger.batches


async def test_a_caller_that_is_gone_is_carried_out_all_the_same():
    """Cancelling the call does not take back what was accepted."""
    async with Bench() as bench:
        bench.ledger.open.clear()
        first, second = bench.reserve("T1", 10), bench.reserve("T2", 10)
        await turns()
        first.cancel()
        bench.ledger.open.set()
        assert isinstance(await second, Reserved)
        (settled,) = await bench.group.apply([Settle("T1", 4)])
        assert Settlement.POSTED is settled.state


async def test_one_bad_step_does_not_fail_the_others():
    """What the store refuses fails alone, as INTERNAL; the rest of its batch is carried out."""
    async with Bench() as bench:
        bench.ledger.refuses = ("T2",)
        calls = [bench.reserve(f"T{n}", costs=RPM) for n in (1, 2, 3)]
        one, two, three = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(one, Reserved)
        assert isinstance(three, Reserved)
        assert "INTERNAL" == two.reason
        await turns()
        assert 1 == await bench.room()


async def test_too_much_is_refused_at_once():
    """The queue is bounded in steps; refused callers changed nothing."""
    async with Bench(queue_steps_max=3) as bench:
        bench.ledger.open.clear()
        calls = [bench.reserve(f"T{n}") for n in range(3)]
        await turns()
        with pytest.raises(Failure, match="OVERLOADED"):
            await bench.reserve("T9")
        with pytest.raises(Failure, match="OVERLOADED"):
            await bench.group.apply([Settle("T0", 1)])
        bench.ledger.open.set()
        await asyncio.gather(*calls)
        assert isinstance(await bench.reserve("T9"), Reserved)


async def test_rates_are_spent_before_money_and_in_one_trip():
    """A call that is refused for its rate never reaches the ledger."""
    async with Bench() as bench:
        answers = await asyncio.gather(*(bench.reserve(f"T{n}", 1, RPM) for n in range(5)))
        assert [Reserved] * 3 + [Limited] * 2 == [type(a) for a in answers]
        assert (1, [["T0", "T1", "T2"]]) == (bench.rates.trips, bench.ledger.batches)
        # The last one's bucket is full again when all three have drained.
        assert (60_000_000,) == bench.ahead_us


async def test_no_money_gives_the_rates_back():
    """Refused for money, replayed, or not answered by the store: the rate is not used up."""
    async with Bench() as bench:
        assert isinstance(await bench.reserve("T1", 1, RPM), Reserved)
        assert isinstance(await bench.reserve("T2", 1000, RPM), Denied)
        await turns()
        assert (await bench.reserve("T1", 1, RPM)).replayed
        await turns()
        bench.ledger.fault = StoreUnavailable()
        with pytest.raises(Failure, match="UNAVAILABLE/STORE_UNAVAILABLE"):
            await bench.reserve("T3", 1, RPM)
        bench.ledger.fault = None
        await turns()
        assert 2 == await bench.room()


async def test_an_unknown_outcome_is_said_so():
    """The caller repeats with the same id; its rates stay spent until then."""
    async with Bench() as bench:
        bench.ledger.fault = OutcomeUnknown()
        with pytest.raises(Failure, match="UNAVAILABLE/OUTCOME_UNKNOWN"):
            await bench.reserve("T1", 1, RPM)
        bench.ledger.fault = None
        assert 2 == await bench.room()


async def test_promise_03_no_redis_is_closed_not_open():
    """Rates that cannot be checked are not assumed; money was not touched."""
    async with Bench() as bench:
        bench.rates.fault = RatesUnavailable()
        with pytest.raises(Failure, match="STORE_UNAVAILABLE"):
            await bench.reserve("T1", 1, RPM)
        assert [] == bench.ledger.batches
        assert isinstance(await bench.reserve("T2"), Reserved)
        bench.rates.fault = None
        assert isinstance(await bench.reserve("T1", 1, RPM), Reserved)


async def test_closing_carries_out_what_was_accepted_and_takes_nothing_new():
    """SIGTERM: drained, then DRAINING."""
    async with Bench() as bench:
        bench.ledger.open.clear()
        call = bench.reserve("T1", 1, RPM)
        await turns()
        closing = asyncio.ensure_future(bench.group.close())
        await turns()
        with pytest.raises(Failure, match="DRAINING"):
            await bench.reserve("T2")
        bench.ledger.open.set()
        await closing
        assert isinstance(await call, Reserved)


async def test_commits_keep_their_distance_under_load_unless_full():
    """After a crowd the next commit waits, a full batch does not; who comes alone never does."""
    async with Bench(pace_s=0.4, batch_steps_max=8) as bench:
        loop = asyncio.get_running_loop()
        started = loop.time()
        for n in range(3):
            await bench.reserve(f"A{n}")
        await asyncio.gather(*(bench.reserve(f"B{n}") for n in range(8)))
        await asyncio.gather(*(bench.reserve(f"C{n}") for n in range(8)))
        assert loop.time() - started < 0.35
        await bench.reserve("D")
        assert loop.time() - started > 0.35
