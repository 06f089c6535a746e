import asyncio
import io

from tollgate_kit.lifecycle import Lifecycle, MustFinish
from tollgate_kit.logs import Log


def _log():
    return Log("t", out=io.StringIO())


async def test_must_finish_outlives_its_caller():
    """Work in the must-finish group ends although the task that began it was cancelled."""
    group, done = MustFinish(_log()), asyncio.Event()

    async def work():
        await asyncio.sleep(0)
        done.set()

    async def request():
        group.spawn(work(), "settle")
        await asyncio.Event().wait()

    task = asyncio.create_task(request())
    await asyncio.sleep(0)
    task.cancel()
    assert 0 == await group.drain(1)
    assert done.is_set()


async def test_drain_has_a_bound_and_says_what_was_left():
    """Draining never waits longer than told; what did not finish is counted and cancelled."""
    group = MustFinish(_log(), limit=1)
    group.spawn(asyncio.sleep(60), "stuck")
    assert group.full
    assert 1 == await group.drain(0.01)


async def test_stop_runs_hooks_in_reverse_and_survives_a_failing_one():
    """What was started last stops first, and a hook that fails keeps no other from running."""
    life, order = Lifecycle(_log()), []

    async def fail():
        order.append("b")
        raise RuntimeError

    async def note(name):
        order.append(name)

    life.on_stop("a", lambda: note("a"))
    life.on_stop("b", fail)
    life.on_stop("c", lambda: note("c"))
    await life.stop()
    assert ["c", "b", "a"] == order
