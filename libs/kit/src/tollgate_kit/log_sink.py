"""Where the lines of a log go: writing never raises, and what was lost is counted and said.

Promises: a sink that is full or gone costs lines, never a call; when it takes lines again the
first one says how many were lost; a line that was cut off is ended before the next begins.
"""

import os
import threading
from collections.abc import Callable
from typing import TextIO

# Lines that wait for the end of a turn of the event loop; more are written at once.
WAITING_CHARS_MAX = 64 * 1024


class LogSink:
    """The lines of one process on their way out; may be used from any thread."""

    def __init__(self, out: TextIO, lost_line: Callable[[int], str]) -> None:
        """`lost_line` makes the line that says how many lines were lost."""
        self._lost_line = lost_line
        self._lines: list[str] = []
        self._chars = 0
        self._lost = 0
        self._torn = False
        self._lock = threading.Lock()
        self._write, self._waiting_max = _writer(out)

    @property
    def lost(self) -> int:
        """Lines lost since the sink last took one."""
        return self._lost

    def put(self, line: str) -> None:
        """Take one line, its newline included; it is written at the next flush or before."""
        with self._lock:
            self._lines.append(line)
            self._chars += len(line)
            if self._chars > self._waiting_max:
                self._flush()

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if not self._lines:
            return
        lines, self._lines, self._chars = self._lines, [], 0
        said = self._lost
        if said:
            lines.insert(0, self._lost_line(said))
        if self._torn:
            lines.insert(0, "\n")
        data = "".join(lines).encode("utf-8", "replace")
        written = self._write(data)
        if written == len(data):
            self._lost, self._torn = 0, False
            return
        whole = data.count(b"\n", 0, written)
        # Not lines of the caller: the end of a torn one, and what is said about lost ones.
        asides = int(self._torn) + int(said > 0)
        self._lost = (0 if whole >= asides else said) + len(lines) - max(whole, asides)
        if written:
            self._torn = data[written - 1 : written] != b"\n"


def _writer(out: TextIO) -> tuple[Callable[[bytes], int], int]:
    """What writes bytes and returns how many were taken, and how many characters may wait."""
    try:
        descriptor = out.fileno()
    except (OSError, ValueError):
        return lambda data: _to_text(out, data), 0
    # Past Python's own buffers: they keep what could not be written, and raise again for it.
    return lambda data: _to_descriptor(descriptor, data), WAITING_CHARS_MAX


def _to_descriptor(descriptor: int, data: bytes) -> int:
    written = 0
    try:
        while written < len(data):
            written += os.write(descriptor, data[written:] if written else data)
    except OSError:
        pass
    return written


def _to_text(out: TextIO, data: bytes) -> int:
    try:
        out.write(data.decode())
        out.flush()
    except (OSError, ValueError):
        return 0
    return len(data)
