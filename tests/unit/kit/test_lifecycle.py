import asyncio
import io
import subprocess
import sys

import pytest

from tollgate_kit import lifecycle
from tollgate_kit.lifecycle import Lifecycle, MustFinish, Readiness, Reload, core_task
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


async def _raises():
    raise ZeroDivisionError


async def _returns():
    pass


async def _lets_a_cancelled_call_out():
    raise asyncio.CancelledError


@pytest.mark.parametrize("work", [_raises, _returns, _lets_a_cancelled_call_out])
async def test_case_B3_the_end_of_a_core_task_ends_the_process(work):
    """A loop that ends by itself, however, stops its process with exit code 1 and a line."""
    out = io.StringIO()

    async def main(life):
        core_task("loop", work())
        await life.until_stopped()

    before = asyncio.get_running_loop().get_exception_handler()
    try:
        async with asyncio.timeout(5):
            code = await lifecycle._live(main, Log("t", out=out))
    finally:
        asyncio.get_running_loop().set_exception_handler(before)
    assert (1, True) == (code, '"event":"core_task.ended"' in out.getvalue())
    assert '"task":"loop"' in out.getvalue()


async def test_case_B3_a_core_task_that_is_told_to_end_ends_nothing_else():
    """At the stop a loop is cancelled, or returns: that is no fault."""
    out = io.StringIO()
    life = Lifecycle(Log("t", out=out))
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(life.handle)
    try:
        cancelled = core_task("a", asyncio.sleep(60))
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        life.stopping.set()
        await core_task("b", _returns())
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(before)
    assert ("", "") == (life.failed, out.getvalue())


async def test_case_B3_after_a_failure_no_hook_is_waited_for_long(monkeypatch):
    """What hangs on the dead loop cannot be drained: the process is soon gone, to be started again."""
    monkeypatch.setattr(lifecycle, "FAILED_STOP_SECONDS", 0.2)
    life, ran = Lifecycle(_log()), []
    for name in ("a", "b", "c"):

        async def stuck(name=name):
            ran.append(name)
            await asyncio.Event().wait()

        life.on_stop(name, stuck)
    life.failed = "loop"
    began = asyncio.get_running_loop().time()
    await life.stop()
    assert (["c", "b", "a"], True) == (ran, asyncio.get_running_loop().time() - began < 2)


def test_case_B3_a_process_whose_output_is_a_full_disk_serves_on():
    """Standard output and error on a full disk: a process that logs at every turn ends in order."""
    program = """
import asyncio
from tollgate_kit import lifecycle
from tollgate_kit.lifecycle import core_task
from tollgate_kit.logs import Log
log = Log("t")
async def loop(life):
    for _ in range(100):
        log.info("turn")
        await asyncio.sleep(0)
    life.stopping.set()
async def main(life):
    core_task("loop", loop(life))
    await life.until_stopped()
raise SystemExit(lifecycle.run(main, log))
"""
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=full, stderr=full, check=False, timeout=30
        )
    assert 0 == done.returncode


def test_readiness_is_told_at_each_change():
    """Ready while no part lacks; a follower hears the state now, and every change once."""
    readiness, heard = Readiness(), []
    readiness.follow(heard.append)
    for part in ("a", "b"):
        readiness.lacks(part)
        readiness.lacks(part)
    readiness.has("a")
    assert not readiness.is_ready
    readiness.has("b")
    readiness.has("b")
    assert [True, False, True] == heard


async def test_a_reload_that_fails_changes_nothing_and_is_counted():
    """What cannot be read or taken over is said and counted; the next one is done."""
    counted, taken = [], []

    async def take(config):
        taken.append(config)

    def spoilt():
        raise ValueError

    reload = Reload(take, counted.append, _log())
    for read in (spoilt, lambda: "new"):
        reload.begin(read)
        await asyncio.sleep(0.01)
    assert ["new"] == taken
    assert ["failed", "done"] == counted


async def test_reloads_that_are_asked_for_while_one_runs_are_one_more():
    """Whoever asks while one runs has what it wrote taken over, and no reload runs beside it."""
    counted, taken, at_once, gate = [], [], [], asyncio.Event()

    async def take(config):
        at_once.append(config)
        await gate.wait()
        taken.append(config)

    reload = Reload(take, counted.append, _log())
    for number in range(3):
        reload.begin(lambda number=number: number)
        await asyncio.sleep(0)
    assert 1 == len(at_once)
    gate.set()
    await asyncio.sleep(0.01)
    assert 2 == len(taken)
