"""`tollgate up` in the foreground: shows the logs, restarts what crashes, stops on a signal.

Promises: SIGINT, SIGTERM and SIGHUP stop everything in order and leave nothing; a second one kills
what is left at once; a process that crashes is reported and started again, with a growing pause;
one that keeps crashing ends the suite, loudly.
"""

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tollgate_cli import hint
from tollgate_cli.home import Home
from tollgate_cli.suite import greeting, log_view
from tollgate_cli.suite.processes import lock
from tollgate_cli.suite.suite import Cancelled, Options, Suite

_POLL_S = 0.1
_PAUSE_FIRST_S = 0.5
_PAUSE_MAX_S = 30.0
# So many crashes in a row, each within this time of its start, and the suite gives up.
_CRASHES_MAX = 8
_HEALTHY_AFTER_S = 60.0
_TRIM_EVERY_S = 60.0


class Signals:
    """What the terminal or the system asked for: first to stop, then to stop at once."""

    def __init__(self) -> None:
        self.count = 0

    def stopping(self) -> bool:
        return self.count > 0

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._hear) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, _number: int, _frame: object) -> None:
        self.count += 1


def foreground(home: Home, options: Options, *, quiet: bool) -> int:
    """Runs a suite until it is told to stop; the exit code. `quiet`: whoever waits greets."""
    home.make()
    signals = Signals()
    with signals.heard(), lock.SuiteLock(home.lock):
        suite = Suite(home.root, options, report=say, cancelled=signals.stopping)
        try:
            suite.start()
        except Cancelled:
            say("stopped")
            return 0
        if not quiet:
            with contextlib.suppress(OSError):
                print(
                    greeting.text(suite.describe(), home.root, command=hint.command()), flush=True
                )
        watch = Watch(suite, signals)
        try:
            return watch.run()
        finally:
            say("stopping; Ctrl-C once more kills what is left")
            suite.stop(impatient=lambda: signals.count > 1)
            watch.show()
            say("stopped")


def say(text: str) -> None:
    """A line of the suite itself; a terminal that is gone (SIGHUP) does no harm."""
    with contextlib.suppress(OSError):
        print(f"tollgate: {text}", flush=True)


@dataclass
class _Crashes:
    """How often one process crashed in a row, and when it is started again."""

    count: int = 0
    started: float = 0.0
    due: float | None = None
    # What was said of it while it waits for a secret-id.
    told: str = ""


class Watch:
    """Looks after a running suite."""

    def __init__(self, suite: Suite, signals: Signals) -> None:
        self._suite = suite
        self._signals = signals
        logs = [(name, suite.home.log(name)) for name in suite.names]
        self._paths = [path for _, path in logs]
        self._follower = log_view.Follower(logs, from_start=False)
        self._screen = log_view.Screen(suite.names)
        self._crashes = {name: _Crashes() for name in suite.names}
        self._trimmed = time.monotonic()
        self._full = False

    def run(self) -> int:
        """Until a signal (0) or until a process keeps crashing (1)."""
        while not self._signals.stopping():
            self.show()
            self._note_crashes()
            for name, crashes in self._crashes.items():
                if crashes.count > _CRASHES_MAX:
                    say(f"{name} keeps crashing: giving up. Its log: {self._suite.home.log(name)}")
                    return 1
                if crashes.due is not None and time.monotonic() >= crashes.due:
                    self._start_again(name, crashes)
            if time.monotonic() - self._trimmed > _TRIM_EVERY_S:
                self._trimmed = time.monotonic()
                for path in self._paths:
                    with contextlib.suppress(OSError):  # no space for the copy: at the next turn
                        log_view.trim(path)
            time.sleep(_POLL_S)
        return 0

    def _start_again(self, name: str, crashes: _Crashes) -> None:
        if not self._suite.has_space():
            # It would crash again for the same reason: that is no fault of its own.
            if not self._full:
                say("THE DISK IS FULL: what crashed is started again when there is space")
            self._full, crashes.count = True, 0
            crashes.due = time.monotonic() + _PAUSE_FIRST_S
            return
        self._full = False
        if lacking := self._suite.undelivered(name):
            # It could not log in at Vault. The operator's token is gone, so an operator delivers.
            told = f"{name} needs a secret-id of Vault to be started again: {'; '.join(lacking)}"
            if told != crashes.told:
                say(hint.typed(told))
            crashes.told, crashes.due = told, time.monotonic() + _PAUSE_FIRST_S
            return
        crashes.told = ""
        crashes.due, crashes.started = None, time.monotonic()
        say(f"starting {name} again")
        try:
            self._suite.start_one(name, wait=False)
        except OSError as error:
            say(f"{name} could not be started: {error.strerror}")
            crashes.due = time.monotonic() + _PAUSE_MAX_S

    def show(self) -> None:
        for name, line in self._follower.lines():
            with contextlib.suppress(OSError):
                self._screen.show(name, line)

    def _note_crashes(self) -> None:
        for name, code in self._suite.crashed().items():
            crashes = self._crashes[name]
            now = time.monotonic()
            crashes.count = 1 if now - crashes.started > _HEALTHY_AFTER_S else crashes.count + 1
            pause = min(_PAUSE_FIRST_S * 2 ** (crashes.count - 1), _PAUSE_MAX_S)
            crashes.due = now + pause
            how = f"signal {-code}" if code < 0 else f"exit {code}"
            say(f"{name.upper()} ENDED BY ITSELF ({how}); it is started again in {pause:g} s")
