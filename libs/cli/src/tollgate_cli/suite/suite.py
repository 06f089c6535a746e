"""The embedded suite: every process of it, started in order, stopped in order, leaving nothing.

Promises: real engines, real services, mTLS between them; a start that fails says why and stops
what it had started; state is in the home and survives. Usable by tests: start, stop, kill, signal
and restart one process by name. Never: answers for a service, or opens a store of one.
"""

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tollgate_cli import state_file
from tollgate_cli.deployment import topology_file
from tollgate_cli.fault import Fault, PortTaken
from tollgate_cli.home import Home
from tollgate_cli.private_file import write_private
from tollgate_cli.seed import MODELS
from tollgate_cli.suite import failure_text, service_configs, vault_logins
from tollgate_cli.suite import status as suite_status
from tollgate_cli.suite.plan import Plan
from tollgate_cli.suite.processes import leftovers, probe
from tollgate_cli.suite.processes.child import Child
from tollgate_cli.suite.processes.ports import Ports
from tollgate_cli.suite.processes.unit import WAVE_EDGE, WAVE_ENGINES, Unit
from tollgate_cli.suite.vault_logins import VaultLogins
from tollgate_kit.clock import Clock, SystemClock

_POLL_S = 0.05
_ATTEMPTS = 3
_LISTED_TIMEOUT_S = 20.0
# PostgreSQL preallocates its log and checks in; less free space fails within minutes.
_FREE_BYTES_MIN = 200 * 1024 * 1024
# PostgreSQL's recovery wants a segment of its log (16 MB) and some more.
_RESTART_BYTES_MIN = 24 * 1024 * 1024


class Cancelled(Exception):  # noqa: N818 (the user's wish, not an error)
    """The start was given up by its caller."""


@dataclass(frozen=True)
class Options:
    """How a suite differs from the usual one."""

    edges: int = 1
    demo: bool = True
    api_port: int | None = None
    # False: only ports of the kernel's choice, so that suites of several tests do not meet.
    usual_ports: bool = False
    # None: the keyrings are files.
    vault: VaultLogins | None = None


class Suite:
    """Starts, stops and describes the embedded suite of one home."""

    def __init__(
        self,
        home: Path,
        options: Options | None = None,
        *,
        report: Callable[[str], None] = lambda _text: None,
        cancelled: Callable[[], bool] = lambda: False,
        clock: Clock | None = None,
    ) -> None:
        self.home = Home(home.absolute())
        self.options = options or Options()
        self._report = report
        self._cancelled = cancelled
        self._clock = clock or SystemClock()
        self._units: dict[str, Unit] = {}
        self._children: dict[str, Child] = {}
        self._databases: dict[str, str] = {}
        self._redis_url = ""
        self._version = suite_status.version()
        self.demo_key = ""
        self.demo_key_is_new = False
        # The kernel ends a child when the *thread* that started it ends (child.py): one thread
        # that lives as long as the suite starts them all, whoever asks.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="suite-starter")

    # ---- the whole suite -----------------------------------------------------------------------

    def start(self) -> None:
        """Starts everything until it serves. Raises Fault or Cancelled, with nothing left."""
        try:
            for attempt in range(_ATTEMPTS):
                try:
                    self._start()
                    return
                except PortTaken as taken:
                    # Another program was quicker: once more, with another port.
                    if attempt == _ATTEMPTS - 1:
                        raise
                    self._report(f"{taken.problem}; trying again")
                    self._stop_children(lambda: False)
        except OSError as error:
            self.stop()
            raise failure_text.of_os_error(error, self.home.root) from error
        except BaseException:
            self.stop()
            raise
        finally:
            if self.options.vault is not None:
                self.options.vault.drop()

    def _start(self) -> None:
        self.home.make()
        self._check_space()
        state_file.discard(self.home.dev_json)
        leftovers.end(self.home.run, self._report)
        fixed = {service_configs.EDGE: self.options.api_port} if self.options.api_port else {}
        topology = topology_file.packaged()
        usual = topology.usual_ports if self.options.usual_ports else {}
        ports = Ports(self.home.ports_json, fixed=fixed, usual=usual)
        # Before anything starts: who asked for this port, or calls the usual one, hears of it.
        api = ports.address(service_configs.EDGE)
        if (taken := ports.displaced(service_configs.EDGE)) is not None:
            self._report(
                f"port {taken} is taken by another program, so the API will be at http://{api}; "
                "--api-port asks for a port"
            )
        edges, demo = self.options.edges, self.options.demo
        vault = self.options.vault
        plan = Plan(
            self.home, topology, ports, edges=edges, demo=demo, vault=vault, clock=self._clock
        )
        self._report("preparing certificates, keyrings and the engines")
        plan.prepare()
        self._units = {unit.name: unit for unit in plan.units()}
        ports.save()
        self._start_wave(WAVE_ENGINES)
        self._databases = plan.open_databases()
        self._redis_url = plan.redis_url()
        plan.write_configs()
        self._report("migrating the databases")
        plan.migrate(self._check_cancelled)
        if vault is not None:
            vault.deliver(self.home)
        for wave in sorted({unit.wave for unit in self._units.values()} - {WAVE_ENGINES}):
            self._start_wave(wave)
        if self.options.demo:
            self._report("seeding the demo provider, tenant and key")
            self.demo_key, self.demo_key_is_new = plan.seed()
            try:
                self._wait_listed()
            except probe.KeyRefused:
                # Turned off, as one does before real tenants come: no reason not to serve them.
                self._report(
                    "the demo's key is refused (revoked, or its tenant is suspended); everything "
                    "else is served. `tollgate up --no-demo` leaves the demo out"
                )
        self._describe()

    def stop(self, *, impatient: Callable[[], bool] = lambda: False) -> None:
        """Stops everything, the edge first, the engines last; then no process is left."""
        self._stop_children(impatient)
        self._starter.shutdown()

    def _stop_children(self, impatient: Callable[[], bool]) -> None:
        with contextlib.suppress(Fault):
            state_file.discard(self.home.dev_json)
        waves = sorted({unit.wave for unit in self._units.values()}, reverse=True)
        for wave in waves:
            names = [name for name in self._children if self._units[name].wave == wave]
            for name in names:
                self._children[name].begin_stop()
            for name in names:
                self._report(f"stopping {name}")
                if not self._stop_child(name, impatient):
                    self._report(f"{name} did not stop in time and was killed")

    # ---- one process ---------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """Every process of the suite, in order of start."""
        return sorted(self._units, key=lambda name: self._units[name].wave)

    def address(self, name: str) -> str:
        """host:port of a process."""
        return self._units[name].address

    def pid(self, name: str) -> int:
        return self._children[name].pid

    def stop_one(self, name: str) -> None:
        """Stops one process in good order."""
        self._stop_child(name, lambda: False)

    def kill(self, name: str) -> None:
        """Kill -9 of one process; it stays down until it is started again."""
        self._children.pop(name).kill()
        leftovers.forget(self.home.run, name)

    def signal(self, name: str, number: signal.Signals) -> None:
        """A signal to one process, for example SIGSTOP."""
        self._children[name].signal(number)

    def start_one(self, name: str, *, wait: bool = True) -> None:
        """Starts one process again."""
        self._spawn(self._units[name])
        if wait:
            self._wait_ready(self._units[name])
        self._note(self._describe)

    def restart(self, name: str) -> None:
        """Stops one process in good order, if it runs, and starts it again."""
        if name in self._children:
            self.stop_one(name)
        self.start_one(name)

    def crashed(self) -> dict[str, int]:
        """Processes that ended by themselves, with their exit codes; told once each."""
        ended = {}
        for name, child in list(self._children.items()):
            code = child.exit_code()
            if code is not None:
                ended[name] = code
                del self._children[name]
                leftovers.forget(self.home.run, name)
        return ended

    # ---- what tools need -----------------------------------------------------------------------

    @property
    def api_url(self) -> str:
        return f"http://{self.address('edge-api')}"

    @property
    def provider_url(self) -> str:
        return f"http://{self.address('provider')}" if "provider" in self._units else ""

    def describe(self) -> dict[str, object]:
        """What dev.json holds: secrets included."""
        return {
            "supervisor_pid": os.getpid(),
            "version": self._version,
            "api_url": self.api_url,
            "demo_key": self.demo_key,
            "demo_key_is_new": self.demo_key_is_new,
            "provider_url": self.provider_url,
            "services": {
                name: {
                    "pid": child.pid,
                    "address": self.address(name),
                    "metrics": self._units[name].metrics,
                }
                for name, child in self._children.items()
            },
            "databases": self._databases,
            "redis_url": self._redis_url,
            "operator_config": str(self.home.operator_toml),
            "worm_dir": str(self.home.worm),
        }

    def _describe(self) -> None:
        write_private(self.home.dev_json, json.dumps(self.describe(), indent=1) + "\n")

    # ---- inside --------------------------------------------------------------------------------

    def _note(self, write: Callable[[], None]) -> None:
        """Write what only tools read: on a full disk the process is of more use than its note."""
        try:
            write()
        except OSError as error:
            self._report(f"a note of the suite was not written: {error.strerror}")

    def has_space(self) -> bool:
        """Whether a process that crashed on a full disk has a chance when it is started again."""
        places = (self.home.root, self.home.root / "postgres")
        return all(shutil.disk_usage(p).free >= _RESTART_BYTES_MIN for p in places if p.is_dir())

    def undelivered(self, name: str) -> list[str]:
        """The commands by which an operator hands a process what it lacks to be started again."""
        return vault_logins.undelivered(self.home, name) if self.options.vault else []

    def _check_space(self) -> None:
        free = shutil.disk_usage(self.home.root).free
        if free < _FREE_BYTES_MIN:
            raise Fault(
                f"the disk is full: {free >> 20} MB are free at {self.home.root}, "
                f"{_FREE_BYTES_MIN >> 20} MB are needed",
                "free some space, or set TOLLGATE_HOME to a place on another disk",
            )

    def _check_cancelled(self) -> None:
        if self._cancelled():
            raise Cancelled

    def _start_wave(self, wave: int) -> None:
        units = [unit for unit in self._units.values() if unit.wave == wave]
        self._report(f"starting {', '.join(unit.name for unit in units)}")
        for unit in units:
            self._check_cancelled()
            self._spawn(unit)
        for unit in units:
            self._wait_ready(unit)

    def _wait_listed(self) -> None:
        # Every edge learns of new models by itself, a moment later.
        deadline = time.monotonic() + _LISTED_TIMEOUT_S
        left = {unit.address for unit in self._units.values() if unit.wave == WAVE_EDGE}
        while left:
            self._check_cancelled()
            left = {at for at in left if not set(MODELS) <= probe.models(at, self.demo_key)}
            if left and time.monotonic() > deadline:
                raise Fault(
                    f"the demo's models are not served at {', '.join(sorted(left))}",
                    f"the logs of router and the edge: {self.home.logs}",
                )
            time.sleep(_POLL_S if left else 0)

    def _spawn(self, unit: Unit) -> None:
        unit.before_start()
        child = self._starter.submit(Child, unit.name, unit.command).result()
        self._children[unit.name] = child
        self._note(lambda: leftovers.remember(self.home.run, unit.name, child.pid))

    def _stop_child(self, name: str, impatient: Callable[[], bool]) -> bool:
        child = self._children.pop(name)
        in_time = child.stop(timeout_s=self._units[name].stop_timeout_s, impatient=impatient)
        leftovers.forget(self.home.run, name)
        return in_time

    def _wait_ready(self, unit: Unit) -> None:
        deadline = time.monotonic() + unit.ready_timeout_s
        child = self._children[unit.name]
        while time.monotonic() < deadline:
            self._check_cancelled()
            code = child.exit_code()
            if code is not None:
                raise failure_text.of_dead_start(unit, code)
            if unit.ready():
                return
            time.sleep(_POLL_S)
        raise failure_text.of_slow_start(unit)
