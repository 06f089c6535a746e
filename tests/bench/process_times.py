"""CPU time and memory of process trees, from /proc (Linux).

Promises: a tree's CPU time never goes back, for it holds that of children already reaped; a
process that is gone is an error, not a zero.
"""

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class ProcessStat:
    """What is used of one process's /proc/PID/stat."""

    pid: int
    parent: int
    # Clock ticks in user and kernel mode, of the process and of the children it has waited for.
    cpu_ticks: int


@dataclass(frozen=True)
class MachineTimes:
    """Seconds since the start of the machine, summed over its cores."""

    busy: float
    # Taken by the hypervisor for other machines.
    stolen: float


class ProcessGoneError(Exception):
    """A process that should be measured has ended."""


def parse_stat(text: str) -> ProcessStat:
    """Reads the line of /proc/PID/stat.

    The program's name stands in parentheses and may itself hold spaces and parentheses.
    """
    head, _, rest = text.rpartition(")")
    fields = rest.split()
    # The first field here is the line's third: state, ppid, …; 14 to 17 are the four times.
    return ProcessStat(
        pid=int(head.partition(" ")[0]),
        parent=int(fields[1]),
        cpu_ticks=sum(int(field) for field in fields[11:15]),
    )


def parse_machine(text: str) -> MachineTimes:
    """Reads /proc/stat."""
    fields = [int(field) for field in text.splitlines()[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq, stolen = fields[:8]
    busy = user + nice + system + irq + softirq
    return MachineTimes(busy / TICKS_PER_SECOND, stolen / TICKS_PER_SECOND)


def parse_resident_mb(statm: str) -> float:
    """Reads /proc/PID/statm: the second number is resident pages."""
    return int(statm.split()[1]) * _PAGE_BYTES / 2**20


def tree(table: dict[int, ProcessStat], root: int) -> set[int]:
    """The process and its descendants. Raises ProcessGoneError."""
    if root not in table:
        raise ProcessGoneError(f"process {root} has ended")
    children: dict[int, list[int]] = {}
    for stat in table.values():
        children.setdefault(stat.parent, []).append(stat.pid)
    found: set[int] = set()
    pending = [root]
    while pending:
        pid = pending.pop()
        if pid not in found:
            found.add(pid)
            pending.extend(children.get(pid, ()))
    return found


def read_table() -> dict[int, ProcessStat]:
    """Every process now."""
    table = {}
    for entry in _PROC.glob("[0-9]*/stat"):
        try:
            stat = parse_stat(entry.read_text(encoding="utf-8", errors="replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue
        table[stat.pid] = stat
    return table


def cpu_seconds(table: dict[int, ProcessStat], root: int) -> float:
    """CPU seconds that a process and its descendants have used so far. Raises ProcessGoneError."""
    return sum(table[pid].cpu_ticks for pid in tree(table, root)) / TICKS_PER_SECOND


def resident_mb(root: int) -> float:
    """Resident memory of a process and its descendants.

    Pages that they share count for each of them: PostgreSQL's sum is above its true size.
    """
    total = 0.0
    for pid in tree(read_table(), root):
        try:
            total += parse_resident_mb((_PROC / str(pid) / "statm").read_text(encoding="ascii"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def machine() -> MachineTimes:
    return parse_machine((_PROC / "stat").read_text(encoding="ascii"))


def pin(root: int, core: int) -> None:
    """Keeps a process, its descendants and all of their threads on one core."""
    for pid in tree(read_table(), root):
        try:
            threads = [int(entry.name) for entry in (_PROC / str(pid) / "task").iterdir()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for thread in threads:
            try:
                os.sched_setaffinity(thread, {core})
            except ProcessLookupError:
                continue
