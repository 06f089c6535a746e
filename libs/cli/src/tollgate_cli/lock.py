"""One suite to a home: an flock, which the kernel frees when its holder dies, however it dies."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from tollgate_cli.fault import Fault

# The lock is held, but its holder has not written its id yet. (Never send a signal to this.)
UNKNOWN = 0


class SuiteLock:
    """Held while a suite runs; the file says the holder's process id."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise already_running(self._path, holder(self._path)) from None
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.truncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def already_running(path: Path, pid: int | None) -> Fault:
    """What a second start is told."""
    return Fault(
        f"the suite of {path.parent} is already running (pid {pid or 'not known yet'})",
        "`tollgate status` shows it, `tollgate down` stops it",
    )


def holder(path: Path) -> int | None:
    """The process id of the running suite's supervisor; None if none runs, UNKNOWN for a moment."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 32).decode("ascii", "replace").strip()
        return int(text) if text.isdecimal() else UNKNOWN
    else:
        return None
    finally:
        os.close(descriptor)
