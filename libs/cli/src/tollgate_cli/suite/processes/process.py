"""Whether a process is still the one that was noted, and ours: by id, start time and command line.

Promises: a stranger is never taken for ours, whatever a file says: ids are used again.
"""

import contextlib
import re
import time
from pathlib import Path

# Linux allows no process id above 2**22, and 1 is never ours.
_PID_MAX = 2**22
_NOTE = re.compile(r"([0-9]{1,7}) ([0-9]{1,20})")
# Of /proc/<pid>/stat after the command: fields 1 and 20 (state, start time in clock ticks).
_STATE, _STARTED = 0, 19


def note(pid: int) -> str:
    """What to write down about a process, so that it is known again."""
    return f"{pid} {started(pid)}"


def noted(text: str) -> tuple[int, str] | None:
    """(id, start time) of a note; None for any other text."""
    matched = _NOTE.fullmatch(text.strip())
    if matched is None or not 1 < int(matched[1]) <= _PID_MAX:
        return None
    return int(matched[1]), matched[2]


def started(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty if it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[_STATE] == "Z" else fields[_STARTED]


def age_s(pid: int, ticks_per_second: int) -> float | None:
    """For how long a process has been running, seconds; None if it has ended."""
    ticks = started(pid)
    return (
        time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / ticks_per_second if ticks else None
    )


def works_in(pid: int, place: Path) -> bool:
    """True if a process's command line names `place`, or its working directory is below it."""
    entry = Path(f"/proc/{pid}")
    with contextlib.suppress(OSError):
        if str(place).encode() in (entry / "cmdline").read_bytes():
            return True
    with contextlib.suppress(OSError):
        return (entry / "cwd").resolve().is_relative_to(place.resolve())
    return False


def having_open(path: Path) -> list[int]:
    """The processes that have a file open, of those that may be looked at."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if entry.readlink() == path:
                found.add(int(entry.parts[2]))
    return sorted(found)
