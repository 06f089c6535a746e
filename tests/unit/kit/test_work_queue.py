"""The work queue: its bound, its order, its batches, its drain, and what ends the process."""

import asyncio

import pytest

from tollgate_kit.lifecycle import CORE
from tollgate_kit.work_queue import Full, WorkQueue, fail, resolve


class Bench:
    """A queue whose work waits at a gate and then notes its batch."""

    def __init__(self, **limits):
        self.batches = []
        self.gate = asyncio.Event()
        self.gate.set()
        bounds = {"units_max": 100, "batch_units_max": 100, **limits}
        self.queue: WorkQueue[object] = WorkQueue("work", self._work, **bounds)

    async def _work(self, batch):
        self.batches.append(list(batch))
        await self.gate.wait()
        for item in batch:
            if isinstance(item, asyncio.Future):
                resolve(item, "done")
            if isinstance(item, Exception):
                raise item

    async def __aenter__(self):
        self.queue.start()
        return self

    async def __aexit__(self, *exc):
        self.gate.set()
        await self.queue.close(1)


async def turns(count=6):
    for _ in range(count):
        await asyncio.sleep(0)


async def busy(bench):
    """Have "first" in work and the gate shut, so that what comes now waits."""
    bench.gate.clear()
    bench.queue.put("first")
    await turns()
    assert [["first"]] == bench.batches


async def test_works_at_once_when_idle_and_in_order_while_busy():
    """The first item waits for nobody; what comes meanwhile is one batch, in order of arrival."""
    async with Bench() as bench:
        await busy(bench)
        for item in "abc":
            bench.queue.put(item)
        await turns()
        assert (3, 4, "first") == (bench.queue.waiting, bench.queue.units, bench.queue.oldest)
        bench.gate.set()
        await turns()
    assert [["first"], ["a", "b", "c"]] == bench.batches
    assert (0, 0, None) == (bench.queue.waiting, bench.queue.units, bench.queue.oldest)


async def test_a_batch_has_its_limits_and_its_first_item_always_fits():
    """Units and bytes end a batch; an item over both goes alone, and nothing overtakes it."""
    async with Bench(batch_units_max=4, batch_bytes_max=10) as bench:
        await busy(bench)
        for item, units, size_bytes in (
            ("a", 2, 1),
            ("b", 2, 1),  # 4 units: full
            ("c", 1, 5),
            ("d", 1, 5),  # 10 bytes: full
            ("e", 1, 1),
            ("huge", 9, 99),
            ("f", 1, 1),
        ):
            bench.queue.put(item, units, size_bytes)
        bench.gate.set()
        await turns(20)
    assert [["first"], ["a", "b"], ["c", "d"], ["e"], ["huge"], ["f"]] == bench.batches


@pytest.mark.parametrize(("flight_counts", "room"), [(True, 3), (False, 4)])
async def test_what_does_not_fit_is_refused_at_once(flight_counts, room):
    """Up to the bound, in units, with or without what is in work; a refusal takes nothing."""
    async with Bench(units_max=4, flight_counts=flight_counts) as bench:
        await busy(bench)
        with pytest.raises(Full):
            bench.queue.put("too much", room + 1)
        bench.queue.put("fits", room)
        with pytest.raises(Full):
            bench.queue.put("x")
        with pytest.raises(Full):
            bench.queue.expect()
        bench.gate.set()
        await turns()
        bench.queue.put("again", 4)
        await turns()
    assert [["first"], ["fits"], ["again"]] == bench.batches


async def test_what_is_expected_counts_and_is_waited_for():
    """An item that comes later has its room, and close() waits for it, or for its being forgone."""
    async with Bench(units_max=2) as bench:
        bench.queue.expect()
        bench.queue.expect()
        with pytest.raises(Full):
            bench.queue.put("x")
        closing = asyncio.ensure_future(bench.queue.close(5))
        await turns()
        bench.queue.put_expected("late")
        await turns()
        assert not closing.done()
        bench.queue.forgo()
        async with asyncio.timeout(1):
            assert 0 == await closing
    assert [["late"]] == bench.batches


async def test_closing_does_what_was_accepted():
    """Items that wait at close() are done before it returns; who asks is told of it."""
    async with Bench(batch_units_max=1) as bench:
        for item in "abc":
            bench.queue.put(item)
        assert not bench.queue.closing
        assert 0 == await bench.queue.close(5)
        assert bench.queue.closing
    assert [["a"], ["b"], ["c"]] == bench.batches


async def test_closing_has_a_bound_and_says_what_was_left():
    """close() never waits longer than told; the units not done are counted, in work or waiting."""
    for flight_counts in (True, False):
        bench = Bench(flight_counts=flight_counts)
        bench.queue.start()
        await busy(bench)
        bench.queue.put("more", 5)
        async with asyncio.timeout(1):
            assert 6 == await bench.queue.close(0.01)
        bench.gate.set()
        await turns()
        assert [["first"]] == bench.batches


async def test_a_caller_that_is_gone_changes_nothing():
    """A cancelled answer is worked on like the others, and keeps none of them from theirs."""
    loop = asyncio.get_running_loop()
    async with Bench() as bench:
        answers = [loop.create_future() for _ in range(3)]
        for answer in answers:
            bench.queue.put(answer)
        answers[1].cancel()
        assert ["done", "done"] == await asyncio.gather(answers[0], answers[2])
        fail(answers[1], ValueError())
    assert [answers] == bench.batches
    assert answers[1].cancelled()


async def test_work_that_fails_ends_the_process():
    """No batch is skipped: the task ends, named, what waits is left, and close() does not wait."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.set_exception_handler(lambda _, context: ended.set_result(context))
    async with Bench(batch_units_max=1) as bench:
        error = ValueError()
        bench.gate.clear()
        bench.queue.put(error)
        bench.queue.put("next")
        await turns()
        closing = asyncio.ensure_future(bench.queue.close(60))
        await turns()
        bench.gate.set()
        async with asyncio.timeout(1):
            context = await ended
            assert ("work", error) == (context[CORE], context["exception"])
            assert 2 == await closing
    assert [[error]] == bench.batches


async def test_more_may_be_gathered_before_a_batch():
    """`gather` is awaited before each batch, and what comes meanwhile is in it."""
    more = asyncio.Event()
    async with Bench(gather=more.wait) as bench:
        bench.queue.put("a")
        await turns()
        bench.queue.put("b")
        await turns()
        assert [] == bench.batches
        more.set()
        await turns()
    assert [["a", "b"]] == bench.batches
