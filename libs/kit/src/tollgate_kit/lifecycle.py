"""How a process lives: signals, core tasks, the must-finish group, and the order of stopping.

SIGTERM and SIGINT set `stopping`. Then the hooks run in the reverse order of their
registration, so that what was started last (the listener) stops first and what everything
stands on (stores) stops last. The must-finish group is drained where it was registered.

SIGHUP has a process that can do so take over what its configuration file says then.

A core task is a loop without which the process is of no use. Whoever of them ends while the process
is not stopping ends the process, with a line that names it: a supervisor starts it again, whereas a
process that lives on without it would refuse every call until somebody looks.

What a process has in memory, keys among it, stays there: the kernel writes no core file of it, and
lets no other process look that is not root's.
"""

import asyncio
import contextlib
import ctypes
import gc
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn

import uvloop

from tollgate_kit.logs import Log, capture_standard_library, redact

STOP_HOOK_SECONDS = 30.0
# After the end of a core task what hangs on it cannot be drained: all hooks together get this long.
FAILED_STOP_SECONDS = 2.0
HOOK_SECONDS_MIN = 0.1
RELOAD_SECONDS = 30.0
# A call makes some hundred objects that reference counting frees; the default (700, 10, 10) would
# have the cycle collector look at them some times a call: a tenth of a hot process's time.
GC_THRESHOLDS = (20_000, 20, 50)
_PR_SET_DUMPABLE = 4  # of prctl(2)


class CoreTaskEnded(Exception):  # noqa: N818 - it is what happened
    """A loop without which the process is of no use has ended by itself."""


def core_task(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run a core task until it is cancelled, or returns while the process stops.

    Any other end goes to the event loop's exception handler, where Lifecycle ends the process.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work, name=name)

    def ended(task: asyncio.Task[None]) -> None:
        if task.cancelled():
            if task.cancelling():
                return
            # Nobody cancelled it: a cancelled call let its CancelledError out into the loop.
            error: BaseException | None = None
        else:
            error = task.exception()
        loop.call_exception_handler({"message": "core task ended", CORE: name, "exception": error})

    task.add_done_callback(ended)
    return task


CORE = "core_task"  # the member of an exception handler's context that names a core task


class MustFinish:
    """Work that outlives the request it came from: settling, evidence. Owned, bounded, drained."""

    def __init__(self, log: Log, *, limit: int = 20_000) -> None:
        self._log = log
        self._limit = limit
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def full(self) -> bool:
        """True when no more work may be taken on: refuse new calls, finish old ones."""
        return len(self._tasks) >= self._limit

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run work to its end, whatever happens to the caller. Its failure is logged by type."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.exception("must_finish.failed", error, work=task.get_name())

    async def drain(self, seconds: float) -> int:
        """Wait for all of it, at most that long; the number that did not finish."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self._tasks and (left := until - loop.time()) > 0:
            await asyncio.wait(set(self._tasks), timeout=left)
        for task in self._tasks:
            task.cancel()
        return len(self._tasks)


class Readiness:
    """Whether a process can do its work now: each of its parts that cannot says so, by name."""

    def __init__(self) -> None:
        self._lacking: set[str] = set()
        self._followers: list[Callable[[bool], None]] = []

    @property
    def is_ready(self) -> bool:
        return not self._lacking

    def lacks(self, part: str) -> None:
        """The part cannot work."""
        self._change(self._lacking | {part})

    def has(self, part: str) -> None:
        """The part can work again."""
        self._change(self._lacking - {part})

    def follow(self, follower: Callable[[bool], None]) -> None:
        """Call follower now, and at each change."""
        self._followers.append(follower)
        follower(self.is_ready)

    def _change(self, lacking: set[str]) -> None:
        was_ready, self._lacking = self.is_ready, lacking
        if was_ready is not self.is_ready:
            for follower in self._followers:
                follower(self.is_ready)


class Reload:
    """Obeys SIGHUP: what cannot be read or taken over changes nothing, and is said."""

    def __init__(
        self, take: Callable[[Any], Awaitable[None]], count: Callable[[str], None], log: Log
    ) -> None:
        self._take = take
        self._log = log
        self._count = count
        self._is_wanted = False
        self._running: asyncio.Task[None] | None = None

    def begin(self, read: Callable[[], Any]) -> None:
        """Begin; once more if it is under way: that one may have read too early."""
        self._is_wanted = True
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._run(read))

    async def _run(self, read: Callable[[], Any]) -> None:
        while self._is_wanted:
            self._is_wanted = False
            try:
                async with asyncio.timeout(RELOAD_SECONDS):
                    await self._take(read())
            except Exception as error:  # noqa: BLE001 - whatever it is, the process goes on as before
                self._log.exception("reload.failed", error)
                self._count("failed")
            else:
                self._log.info("reload.done")
                self._count("done")


def _no_configuration() -> NoReturn:
    raise RuntimeError("this process was started without a configuration file")


class Lifecycle:
    """Tells a process when to stop, and runs in order what is to be done then."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._hooks: list[tuple[str, Callable[[], Awaitable[object]]]] = []
        self.stopping = asyncio.Event()
        self.must_finish = MustFinish(log)
        self.readiness = Readiness()
        self.failed = ""  # the core task that ended by itself
        # Gives the configuration as its file says it now. Raises what config.load raises.
        self.configuration: Callable[[], Any] = _no_configuration

    def handle(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The event loop's exception handler: nothing is lost in silence; see core_task()."""
        error, name = context.get("exception"), context.get(CORE)
        if name is None:
            if error is not None:
                self._log.exception("loop.error", error)
            return
        if self.stopping.is_set() and error is None:
            return  # it was told to end, and did
        self._log.exception("core_task.ended", error or CoreTaskEnded(), task=name)
        self.failed = self.failed or str(name)
        self.stopping.set()

    def on_stop(self, name: str, hook: Callable[[], Awaitable[object]]) -> None:
        """Run hook at the stop; the last registered runs first."""
        self._hooks.append((name, hook))

    def on_reload(
        self, take: Callable[[Any], Awaitable[None]], count: Callable[[str], None]
    ) -> None:
        """Have `take` take over the configuration at each SIGHUP; `count` is told done or failed.

        Without it a SIGHUP ends the process.
        """
        reload = Reload(take, count, self._log)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: reload.begin(self.configuration))

    async def until_stopped(self) -> None:
        """Wait for SIGTERM or SIGINT. What was built until here lives as long as the process."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        await self.stopping.wait()

    async def stop(self) -> None:
        """Run the hooks in reverse order; a failing or slow one does not keep the others back."""
        loop = asyncio.get_running_loop()
        until = loop.time() + FAILED_STOP_SECONDS
        while self._hooks:
            name, hook = self._hooks.pop()
            seconds = STOP_HOOK_SECONDS
            if self.failed:
                seconds = max(HOOK_SECONDS_MIN, until - loop.time())
            try:
                async with asyncio.timeout(seconds):
                    await hook()
            except Exception as error:  # noqa: BLE001 - every hook gets its turn
                self._log.exception("stop.hook_failed", error, hook=name)


async def _live(main: Callable[[Lifecycle], Awaitable[None]], log: Log) -> int:
    life = Lifecycle(log)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(life.handle)
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, life.stopping.set)
    work = asyncio.ensure_future(main(life))
    stopped = asyncio.ensure_future(life.stopping.wait())
    try:
        # A signal during a slow start must end it, too.
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await asyncio.wait({work}, timeout=1.0)
        if work.done():
            work.result()
    except Exception as error:
        log.exception("process.failed", error)
        _say(redact(f"{type(error).__name__}: {error}"))
        return 1
    finally:
        await life.stop()
        for task in (work, stopped):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
    if life.failed:
        _say(f"the process ends: its task {life.failed!r} has ended by itself")
        return 1
    return 0


def _say(text: str) -> None:
    """A line for the operator's terminal; one that cannot be written does no harm."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - the operator's terminal


def _close_memory() -> None:
    """Keep this process's memory from core files, and from its user's other processes.

    Raises OSError, ValueError: without it no key may be opened here.
    """
    # For what is started from here: the flag below ends where another program begins.
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    # Whatever the limit is: a kernel that hands cores to a program does not ask for it.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def run(main: Callable[[Lifecycle], Awaitable[None]], log: Log) -> int:
    """Run a process to its end on uvloop; its exit code."""
    _close_memory()
    capture_standard_library(log)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_live(main, log))
    finally:
        log.flush()
