"""One suite to a home: an flock, which the kernel frees when its holder dies, however it dies.

The file notes who holds it, which is only believed of a process that began when the note says.
"""

import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from tollgate_cli.fault import Fault
from tollgate_cli.suite.processes import process

# The lock is held, but the file does not say by whom. (Never send a signal to this.)
UNKNOWN = 0
_NOTE_BYTES_MAX = 64


class SuiteLock:
    """Held while a suite runs; the file says the holder's process id."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        descriptor = _open(self._path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise already_running(self._path, holder(self._path)) from None
        os.truncate(descriptor, 0)
        os.write(descriptor, process.note(os.getpid()).encode())
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


def alone(path: Path, otherwise: str) -> int:
    """A descriptor that holds a lock until this process ends. Raises Fault if another has it."""
    descriptor = _open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Fault(otherwise, "wait until it has ended") from None
    return descriptor


def already_running(path: Path, pid: int | None) -> Fault:
    """What a second start is told."""
    return Fault(
        f"the suite of {path.parent} is already running (pid {pid or 'not known yet'})",
        "`tollgate status` shows it, `tollgate down` stops it",
    )


def holder(path: Path) -> int | None:
    """The process id of the running suite's supervisor; None if none runs; or UNKNOWN.

    Raises Fault if the lock cannot be looked at.
    """
    try:
        descriptor = _open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        noted = process.noted(os.read(descriptor, _NOTE_BYTES_MAX).decode("ascii", "replace"))
        return noted[0] if noted and process.started(noted[0]) == noted[1] else UNKNOWN
    else:
        return None
    finally:
        os.close(descriptor)


def _open(path: Path, flags: int) -> int:
    # Neither through a link to somewhere else, nor waiting for a pipe's other end.
    remedy = f"no suite can run here with it; look at it, then: rm -r '{path}'"
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Fault(f"{path} cannot be opened: {error.strerror}", remedy) from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise Fault(f"{path} is not a file", remedy)
