"""One child process: output in a file, stopped in time, never outliving its parent.

Promises: the kernel signals the child when the thread that started it dies (so a kill -9 of the
supervisor leaves nothing); a stop is a signal, a bounded wait, then SIGKILL. Never: reads the
child's output through a pipe, which a dying supervisor would break and a slow one would block.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tollgate_cli.fault import Fault

_POLL_S = 0.02


@dataclass(frozen=True)
class Command:
    """What to start: argv, where its output goes, and the signal that ends it in good order."""

    argv: tuple[str, ...]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    environment: Mapping[str, str] = field(default_factory=dict)


class Child:
    """A started child process."""

    def __init__(self, name: str, command: Command) -> None:
        self.name = name
        self._command = command
        self._process = _spawn(command)
        self._stopping = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> Path:
        return self._command.log

    def exit_code(self) -> int | None:
        """The exit code, or None while it runs; -N for signal N."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def begin_stop(self) -> None:
        """Asks it to end in good order."""
        if not self._stopping:
            self._stopping = True
            self.signal(self._command.stop_signal)
            # One that was stopped by SIGSTOP could not hear it.
            self.signal(signal.SIGCONT)

    def stop(self, *, timeout_s: float, impatient: Callable[[], bool] = lambda: False) -> bool:
        """Ends it in good order; True if it did not have to be killed."""
        self.begin_stop()
        deadline = time.monotonic() + timeout_s
        while self._process.poll() is None:
            if time.monotonic() > deadline or impatient():
                self.kill()
                return False
            time.sleep(_POLL_S)
        return True

    def kill(self) -> None:
        """SIGKILL, as a crash would be."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def log_tail(self, lines: int = 12) -> list[str]:
        """The last lines that it wrote."""
        return tail(self._command.log, lines)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file, read from its end; none if there is no such file."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - 64 * 1024))
            text = stream.read().decode("utf-8", "replace")
    except (FileNotFoundError, IsADirectoryError):
        return []
    return [line for line in text.splitlines() if line.strip()][-lines:]


def _spawn(command: Command) -> subprocess.Popen[bytes]:
    # setpriv asks the kernel for the parent-death signal after it has changed the user (which
    # clears it). It is of util-linux, which every Debian has; without it a killed supervisor would
    # leave children behind.
    death = f"--pdeathsig={command.stop_signal.name.removeprefix('SIG')}"
    argv = command.argv
    argv = ("setpriv", death, *argv[1:]) if argv[0] == "setpriv" else ("setpriv", death, *argv)
    try:
        with command.log.open("ab") as output:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={**os.environ, **command.environment},
                # Ctrl-C of a terminal goes to the whole foreground group: only the supervisor may
                # hear it, so that it can stop the children in order.
                start_new_session=True,
            )
    except FileNotFoundError as missing:
        raise Fault(
            f"cannot start {argv[0]!r}: no such program", "install the package util-linux"
        ) from missing
