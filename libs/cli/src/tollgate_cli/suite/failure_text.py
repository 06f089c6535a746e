"""Why a start failed, in words a person can act on. Reads the failed process's own last lines."""

import errno
from pathlib import Path

from tollgate_cli.fault import Fault, PortTaken
from tollgate_cli.suite.log_view import render
from tollgate_cli.suite.processes.child import tail
from tollgate_cli.suite.processes.unit import Unit

_FULL = "No space left on device"
_TAKEN = ("Address already in use", "port taken?", "address already in use", "Address in use")
_CONFIG_EXIT = 2
_LINES = 8
_IN_THE_WAY = {errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}


def of_dead_start(unit: Unit, code: int) -> Fault:
    """A process that ended while it was being waited for."""
    lines = tail(unit.command.log, 40)
    text = "\n".join(lines)
    if _FULL in text:
        return full_disk(unit.command.log.parent.parent)
    if any(words in text for words in _TAKEN):
        return PortTaken(
            f"{unit.name} could not listen on {unit.address}: the port is taken by another program",
            "start again: another port is chosen; or end that program",
        )
    how = f"signal {-code}" if code < 0 else f"exit {code}"
    what = "refused its configuration" if code == _CONFIG_EXIT else "ended while starting"
    return Fault(f"{unit.name} {what} ({how})\n{_quote(unit)}", f"its log: {unit.command.log}")


def of_slow_start(unit: Unit) -> Fault:
    """A process that runs but does not become ready."""
    return Fault(
        f"{unit.name} was not ready within {unit.ready_timeout_s:.0f} s\n{_quote(unit)}",
        f"its log: {unit.command.log}",
    )


def of_os_error(error: OSError, root: Path) -> Fault:
    """What the operating system refused to the supervisor itself."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return full_disk(root)
    # Of a rename the second file is the one that people know.
    where = error.filename2 or error.filename
    if where is None:
        return Fault(f"{error.strerror or error}", f"look at the rights and the space of {root}")
    if error.errno in _IN_THE_WAY:
        return Fault(f"{where} is in the way: {error.strerror}", f"look at it: ls -ld '{where}'")
    return Fault(f"{where}: {error.strerror}", f"look at its rights: ls -ld '{where}'")


def full_disk(root: Path) -> Fault:
    """No space left."""
    return Fault(
        f"the disk is full: no space left at {root}",
        "free some space, or set TOLLGATE_HOME to a place on another disk",
    )


def _quote(unit: Unit) -> str:
    lines = tail(unit.command.log, _LINES)
    return "\n".join("  " + render(unit.name, line, colour=None) for line in lines)
