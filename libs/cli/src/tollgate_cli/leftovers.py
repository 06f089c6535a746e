"""Processes of an earlier run that was killed: they are stopping; a new run waits for them.

A process is known by its id and its start time, so that a stranger with the same id is left alone.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

_PATIENCE_S = 15.0
_POLL_S = 0.1
# Of /proc/<pid>/stat after the command: fields 1 and 20 (state, start time).
_STATE, _STARTED = 0, 19


def remember(run: Path, name: str, pid: int) -> None:
    """Notes a started process."""
    (run / f"{name}.pid").write_text(f"{pid} {_started(pid)}\n", encoding="ascii")


def forget(run: Path, name: str) -> None:
    """Notes that it has ended."""
    (run / f"{name}.pid").unlink(missing_ok=True)


def end(run: Path, report: Callable[[str], None]) -> None:
    """Waits for what an earlier run left; kills what does not end by itself."""
    left = {path: _read(path) for path in sorted(run.glob("*.pid"))}
    left = {path: pid for path, pid in left.items() if pid}
    if left:
        names = ", ".join(path.stem for path in left)
        report(f"waiting for processes of an earlier run to end: {names}")
    deadline = time.monotonic() + _PATIENCE_S
    while left and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        left = {path: pid for path, pid in left.items() if _read(path)}
    for pid in left.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for path in run.glob("*.pid"):
        path.unlink(missing_ok=True)


def _read(path: Path) -> int:
    """The id of a process that still runs, else 0."""
    try:
        pid, started = path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return 0
    return int(pid) if _started(int(pid)) == started else 0


def _started(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[_STATE] == "Z" else fields[_STARTED]
