"""As whom PostgreSQL runs: it refuses root, so root starts it as an unprivileged user.

Promises: an ordinary user runs it as himself. Root runs it as `nobody` (or `daemon`). Where that
user cannot reach the binaries or the data directory (a checkout or a home below a 0700 directory),
the process keeps one single capability, the weakest that the machine grants, and nothing else is
changed: no directory is opened to others, nothing is copied away. Never: gives a capability that is
not needed.
"""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tollgate_cli.fault import Fault

_CANDIDATES = ("nobody", "daemon")
# Capability numbers of linux/capability.h. The first lets a process pass and read what modes
# forbid; the second also lets it write, but containers with a trimmed set often grant only that
# one.
_PASSAGES = (("dac_read_search", 2), ("dac_override", 1))


@dataclass(frozen=True)
class RunAs:
    """A command's prefix, and the owner of its files (None: the current user)."""

    prefix: tuple[str, ...]
    uid: int | None
    gid: int | None

    def own(self, path: Path) -> None:
        """Gives a file or directory to that user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def unprivileged(*, program: Path, directory: Path) -> RunAs:
    """Decides who runs `program` on `directory`, and gives him the directory."""
    if os.geteuid() != 0:
        return RunAs((), None, None)
    user = _unprivileged_user()
    base = (
        "setpriv",
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
    )
    os.chown(directory, user.pw_uid, user.pw_gid)
    tried = [(*base, "--bounding-set=-all"), *(_with(base, name) for name in _granted())]
    for prefix in tried:
        if _reaches(prefix, program, directory):
            return RunAs(prefix, user.pw_uid, user.pw_gid)
    raise Fault(
        f"PostgreSQL refuses to run as root, and {user.pw_name!r} cannot reach {directory}",
        "run tollgate as an ordinary user, or set TOLLGATE_HOME below a world-readable directory",
    )


def _unprivileged_user() -> pwd.struct_passwd:
    for name in _CANDIDATES:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Fault(
        "PostgreSQL refuses to run as root and there is no user 'nobody' or 'daemon' to run it as",
        "run tollgate as an ordinary user",
    )


def _with(base: tuple[str, ...], capability: str) -> tuple[str, ...]:
    # no_setuid_fixup: access(2), which initdb asks about its own binaries, otherwise ignores the
    # capability.
    only = f"-all,+{capability}"
    return (
        *base,
        "--securebits=+no_setuid_fixup",
        f"--inh-caps={only}",
        f"--ambient-caps={only}",
        f"--bounding-set={only}",
    )


def _granted() -> list[str]:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    bounding = next(
        (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapBnd:")), 0
    )
    return [name for name, bit in _PASSAGES if bounding >> bit & 1]


def _reaches(prefix: tuple[str, ...], program: Path, directory: Path) -> bool:
    # A shell in between: the capabilities of root are dropped only when setpriv has executed
    # something else.
    probe = 'test -x "$1" && test -w "$2" && test -x "$2"'
    command = [*prefix, "/bin/sh", "-c", probe, "sh", str(program), str(directory)]
    try:
        done = subprocess.run(command, cwd="/", check=False, capture_output=True, timeout=10)
    except FileNotFoundError as missing:
        raise Fault(
            "root needs the program setpriv to start PostgreSQL as another user",
            "install the package util-linux, or run tollgate as an ordinary user",
        ) from missing
    return done.returncode == 0
