"""What `tollgate status` shows: which suite runs here, and how each of its processes is.

Reads dev.json, the lock and /proc, and asks each process itself. Never: believes a file about what
is healthy.
"""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from tollgate_cli import certificates, state_file
from tollgate_cli.deployment import topology_file
from tollgate_cli.fault import Fault
from tollgate_cli.home import Home
from tollgate_cli.suite.processes import lock, probe, process
from tollgate_cli.suite.processes.child import tail

_REMEDY = "`tollgate down`, then `tollgate up`, write it again"
_GIT_TIMEOUT_S = 5.0
# The last line that a suite writes when it ends in good order.
STOPPED = "tollgate: stopped"
# Who publishes the log, and how it says that it does so no more.
_LOG = "audit"
_HALTED = "tollgate_publish_halted"


@dataclass(frozen=True)
class Described:
    """What a running suite wrote about itself into dev.json."""

    document: dict[str, Any]
    services: dict[str, tuple[int, str, str]]  # name -> process id, address, that of its metrics
    # dev.json was spoilt: this says how.
    problem: str = ""

    def text(self, name: str) -> str:
        """A field of dev.json that is text; empty if it is not there."""
        value = self.document.get(name)
        return value if isinstance(value, str) else ""


@dataclass(frozen=True)
class Status:
    """One look at a suite. `state` is stopped, starting, running or failing."""

    home: Path
    state: str
    pid: int | None
    described: Described
    processes: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Of the last suite in the background, when that did not come up or was killed.
    failed_log: Path | None = None


def described(home: Home) -> Described:
    """What dev.json says: nothing while no suite has started; never raises for what it holds."""
    try:
        document = state_file.read_json(home.dev_json, _REMEDY)
    except FileNotFoundError:
        return Described({}, {})
    except Fault as fault:
        return Described({}, {}, fault.problem)
    listed = document.get("services")
    found = {
        name: (entry["pid"], entry["address"], _metrics(entry))
        for name, entry in (listed.items() if isinstance(listed, dict) else ())
        if isinstance(entry, dict)
        and type(entry.get("pid")) is int
        and probe.is_address(entry.get("address"))
    }
    whole = isinstance(listed, dict) and len(found) == len(listed)
    told = whole and all(
        isinstance(document.get(name), str) for name in ("api_url", "provider_url", "demo_key")
    )
    problem = "" if told else f"{home.dev_json} was altered: it does not describe a suite"
    return Described(document, found, problem)


def _metrics(entry: dict[str, Any]) -> str:
    address = entry.get("metrics")
    return str(address) if probe.is_address(address) else ""


def look(home: Home) -> Status:
    """Asks every process. Raises Fault if not even the lock can be looked at."""
    pid = lock.holder(home.lock)
    if pid is None:
        log = _failed_log(home)
        return Status(home.root, "stopped", None, Described({}, {}), failed_log=log)
    says = described(home)
    if says.problem:
        raise Fault(f"a suite runs here (pid {pid or 'not known'}), but {says.problem}", _REMEDY)
    if not says.services:
        return Status(home.root, "starting", pid or None, says)
    with ThreadPoolExecutor(max_workers=len(says.services)) as pool:
        asked = {
            name: pool.submit(_process, home, name, *entry) for name, entry in says.services.items()
        }
    processes = {name: answer.result() for name, answer in asked.items()}
    healthy = all(entry["health"] == "serving" for entry in processes.values())
    return Status(home.root, "running" if healthy else "failing", pid or None, says, processes)


def _failed_log(home: Home) -> Path | None:
    """The log of a suite that ended without a word of farewell, if none was started after it."""
    log = home.log("suite")
    said = tail(log, 1)
    if not said or said == [STOPPED]:
        return None
    # Starting and ending touch the lock; why a start failed is written when it is free again.
    newer = home.lock.exists() and home.lock.stat().st_mtime_ns > log.stat().st_mtime_ns
    return None if newer else log


def _process(home: Home, name: str, pid: int, address: str, metrics: str) -> dict[str, Any]:
    age = process.age_s(pid, os.sysconf("SC_CLK_TCK")) if process.works_in(pid, home.root) else None
    health = (
        "ended" if age is None else "serving" if _serves(home, name, address) else "not serving"
    )
    # It takes entries up to its bound; but what it took is published no more, and that is an alarm.
    if health == "serving" and name == _LOG and metrics and probe.metric(metrics, _HALTED):
        health = "publishing halted"
    return {
        "health": health,
        "address": address,
        "metrics": metrics or None,
        "pid": pid,
        "uptime_seconds": None if age is None else int(age),
    }


def _serves(home: Home, name: str, address: str) -> bool:
    if name in topology_file.packaged().servers:
        return probe.rpc_ready(address, name, certificates.files(home.certificates, "operator"))
    if name.startswith("edge-"):
        return probe.http_ready(address, "/health/ready")
    return probe.listens(address)


def version() -> str:
    """The installed version, with the git revision when it is a checkout's."""
    released = metadata.version("tollgate-cli")
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
        # An installed copy may lie inside somebody else's repository: only a tracked file counts.
        tracked = subprocess.run(
            ["git", "-C", str(here), "ls-files", "--error-unmatch", Path(__file__).name],
            capture_output=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return released
    revision = done.stdout.strip()
    return f"{released} ({revision})" if revision and tracked.returncode == 0 else released
