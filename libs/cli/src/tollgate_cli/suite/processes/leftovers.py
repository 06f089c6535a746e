"""Processes of an earlier run that was killed: they are stopping; a new run waits for them.

run/<name>.pid notes a process. What such a file holds is believed only of a process that works in
this very home: others are left alone, and a note that says nothing is removed and told.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tollgate_cli import state_file
from tollgate_cli.fault import Fault
from tollgate_cli.private_file import write_private
from tollgate_cli.suite.processes import process

_PATIENCE_S = 15.0
_POLL_S = 0.1


def remember(run: Path, name: str, pid: int) -> None:
    """Notes a started process."""
    write_private(run / f"{name}.pid", process.note(pid) + "\n")


def forget(run: Path, name: str) -> None:
    """Notes that it has ended."""
    (run / f"{name}.pid").unlink(missing_ok=True)


def end(run: Path, report: Callable[[str], None]) -> None:
    """Waits for what an earlier run left; kills what does not end by itself. Raises Fault."""
    notes = {path: _read(path) for path in sorted(run.glob("*.pid"))}
    for path, noted in notes.items():
        if noted is None:
            report(f"{path} says nothing about a process of this suite: removed")
    left = {path: noted for path, noted in notes.items() if noted and _runs(run, *noted)}
    if left:
        names = ", ".join(path.stem for path in left)
        report(f"waiting for processes of an earlier run to end: {names}")
    deadline = time.monotonic() + _PATIENCE_S
    while left and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        left = {path: noted for path, noted in left.items() if _runs(run, *noted)}
    for pid, _ in left.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for path in notes:
        state_file.discard(path)


def _read(path: Path) -> tuple[int, str] | None:
    try:
        return process.noted(state_file.read_text(path, ""))
    except (FileNotFoundError, Fault):
        return None


def _runs(run: Path, pid: int, started: str) -> bool:
    return process.started(pid) == started and process.works_in(pid, run.parent)
