"""Which loopback ports the suite listens on: its usual ones, others where those are taken.

Promises: a port once chosen is preferred at the next start, so that addresses stay.
"""

import contextlib
import json
import secrets
import socket
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from tollgate_cli import state_file
from tollgate_cli.deployment.topology import METRICS_SUFFIX
from tollgate_cli.fault import Fault
from tollgate_cli.private_file import write_private

LOOPBACK = "127.0.0.1"
_PORT_MAX = 65535
# Linux gives ports from here on to outgoing connections (ip_local_port_range's default).
_EPHEMERAL = 32_768
_LOWEST = 20_000
_TRIES = 100
_NONE: Mapping[str, int] = {}
# Given out by this process and perhaps not bound yet: not given again so soon.
_recent: deque[int] = deque(maxlen=256)


def is_free(port: int) -> bool:
    """True if nothing listens there now. Whoever binds later may still lose the race."""
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def check_free(asked: int) -> None:
    """Raises Fault if a port that was asked for by name is taken."""
    if not is_free(asked):
        raise Fault(
            f"port {asked}, asked for by name, is taken by another program",
            f"`ss -ltnp 'sport = :{asked}'` names it; end it, or give another --api-port",
        )


def free_port() -> int:
    """A free port, below those that outgoing connections are given: none of them takes it.

    Who asks for several before one of them is bound gets different ones.
    """
    for _ in range(_TRIES):
        port = _LOWEST + secrets.randbelow(_EPHEMERAL - _LOWEST)
        if port in _recent:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            _recent.append(port)
            return port
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class Ports:
    """The ports of one suite, chosen at first use and remembered in a file.

    `usual`: the ones to try first. (Suites that run beside others, as in tests, had better have
    none: while a process of one restarts, another would take its place.)
    """

    def __init__(
        self,
        remembered: Path,
        *,
        fixed: Mapping[str, int] = _NONE,
        usual: Mapping[str, int] = _NONE,
    ) -> None:
        self._file = remembered
        self._known = _read(remembered)
        self._fixed = fixed
        self._usual = usual
        self._chosen: dict[str, int] = {}

    def address(self, name: str) -> str:
        """host:port of a process."""
        return f"{LOOPBACK}:{self.port(name)}"

    def metrics_address(self, name: str) -> str:
        """host:port of a process's metrics."""
        return f"{LOOPBACK}:{self.port(name + METRICS_SUFFIX)}"

    def port(self, name: str) -> int:
        if name not in self._chosen:
            self._chosen[name] = self._choose(name)
        return self._chosen[name]

    def displaced(self, name: str) -> int | None:
        """The port that a process would have had, and another program has; None: it has its own."""
        wanted = self._fixed.get(name) or self._known.get(name) or self._usual.get(name)
        return None if wanted in {None, self.port(name)} else wanted

    def save(self) -> None:
        """Remembers what was chosen, beside what other options had chosen before."""
        write_private(self._file, json.dumps({**self._known, **self._chosen}, indent=1))

    def _choose(self, name: str) -> int:
        if name in self._fixed:
            check_free(self._fixed[name])
            return self._fixed[name]
        used = set(self._chosen.values()) | set(self._fixed.values())
        for port in (self._known.get(name), self._usual.get(name)):
            if port is not None and port not in used and is_free(port):
                return port
        while (other := free_port()) in used:
            continue
        return other


def _read(path: Path) -> dict[str, int]:
    # What is not a port any more is chosen anew: nothing is lost but a habit.
    try:
        document = state_file.read_json(path, "")
    except (FileNotFoundError, Fault):
        return {}
    return {
        name: port for name, port in document.items() if type(port) is int and 0 < port <= _PORT_MAX
    }
