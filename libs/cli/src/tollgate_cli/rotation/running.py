"""The suite that runs here, as who rotates its secrets needs it.

Promises: a signal goes to a process only if it is this suite's; a reload is done when the process
itself counts it as done.
"""

import contextlib
import os
import signal
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import LiteralString

import psycopg

from tollgate_cli import chosen_keyring, state_file
from tollgate_cli.deployment import toml_text, topology_file
from tollgate_cli.deployment.configs import Document
from tollgate_cli.fault import Fault
from tollgate_cli.home import Home
from tollgate_cli.private_file import write_private
from tollgate_cli.suite import service_configs
from tollgate_cli.suite import status as suite_status
from tollgate_cli.suite.engines.postgres import EmbeddedPostgres
from tollgate_cli.suite.processes import lock, probe, process
from tollgate_kit.clock import Clock

_RELOAD_TIMEOUT_S = 35.0
_POLL_S = 0.05
_WAIT_POLL_S = 0.2
_REMEDY = "`tollgate up` starts it; the command works on a running suite"
# Who ended is started again by its supervisor.
_AGAIN = "run this again, it goes on from here; `tollgate status` shows how the suite is"


def alone(home: Home) -> None:
    """Be the only rotation of this home until this process ends. Raises Fault."""
    if home.root.is_dir():
        lock.alone(home.root / "rotation.lock", "another rotation is under way")


class Running:
    """One running suite."""

    def __init__(self, home: Home) -> None:
        """Raises Fault when none runs."""
        # For as long as this process lives: two at once would each make a version of their own.
        alone(home)
        says = suite_status.described(home)
        if says.problem or not says.services:
            raise Fault(says.problem or f"no suite runs in {home.root}", _REMEDY)
        self.home = home
        self.topology = topology_file.packaged()
        self._services = says.services

    def address(self, name: str) -> str:
        """host:port of a process. Raises Fault for one that the suite does not have."""
        return self._service(name)[1]

    def port(self, name: str) -> int:
        return int(self.address(name).rpartition(":")[2])

    def postgres(self) -> EmbeddedPostgres:
        """The embedded PostgreSQL, to be asked as its superuser."""
        return EmbeddedPostgres(
            self.home.root / "postgres",
            port=self.port("postgres"),
            password_file=self.superuser_password,
        )

    @property
    def superuser_password(self) -> Path:
        return self.home.secrets / "postgres-superuser"

    def configure(self, name: str, versions: Mapping[str, Sequence[int]] | None = None) -> None:
        """Write a service's configuration for what its keyring holds now. Raises Fault.

        `versions`: of a key those that it is to use, where these are not all that are there.
        """
        document = self.document(name, versions or {})
        write_private(self.home.config / f"{name}.toml", toml_text.render(document))

    def document(
        self,
        name: str,
        versions: Mapping[str, Sequence[int]] = MappingProxyType({}),
        *,
        logins: Path | None = None,
    ) -> Document:
        """That configuration; `logins`: where other secret-ids are than its own. Raises Fault."""
        path = self.home.config / f"{name}.toml"
        try:
            document = tomllib.loads(state_file.read_text(path, _REMEDY))
        except tomllib.TOMLDecodeError:
            raise Fault(f"{path} was altered: it is no TOML", _REMEDY) from None
        chosen = chosen_keyring.remembered(self.home) or chosen_keyring.FILES
        places = service_configs.LocalPlaces(
            self.home, self.address, self._metrics, chosen, logins=logins
        )
        document["keyring"] = places.keyring(name, versions)
        if "log" in document:
            document["log"]["former_keys"] = list(places.former_log_keys)
        return document

    def counted(self, database: str, query: LiteralString, *given: object) -> int:
        """Return the number that a query of one row and column finds in a service's database."""
        with psycopg.connect(self.postgres().dsn(database)) as connection:
            row = connection.execute(query, given).fetchone()
        assert row is not None
        return int(row[0])

    def metric(self, name: str, metric: str) -> float:
        """A gauge of a process; 0 if it does not answer."""
        return probe.metric(self._metrics(name), metric) or 0.0

    def wait(self, left: Callable[[], int], clock: Clock, *, seconds: float) -> int:
        """Until none is left, or for so long; how many are left."""
        until = clock.monotonic() + seconds
        while (count := left()) and clock.monotonic() < until:
            time.sleep(_WAIT_POLL_S)
        return count

    def reload(self, name: str) -> None:
        """Have a process take over its configuration. Raises Fault if it did not."""
        pid, _, metrics = self._service(name)
        began = process.started(pid)
        if not process.works_in(pid, self.home.root):
            raise Fault(f"{name} is not the process that it was (pid {pid})", _AGAIN)
        before = self._counted(metrics)
        with contextlib.suppress(ProcessLookupError):  # seen below
            os.kill(pid, signal.SIGHUP)
        deadline = time.monotonic() + _RELOAD_TIMEOUT_S
        while time.monotonic() < deadline:
            done, failed = self._counted(metrics)
            if failed > before[1]:
                raise Fault(
                    f"{name} could not take over its configuration, and goes on as before",
                    f"its log says why: {self.home.log(name)}",
                )
            if done > before[0]:
                return
            if process.started(pid) != began:
                told = f"{name} ended before it took over its configuration"
                raise Fault(told, f"{_AGAIN}; its log: {self.home.log(name)}")
            time.sleep(_POLL_S)
        raise Fault(f"{name} did not take over its configuration", f"log: {self.home.log(name)}")

    def _counted(self, metrics: str) -> tuple[float, float]:
        """How many reloads were done, and how many failed."""
        done, failed = (
            probe.metric(metrics, "tollgate_reloads_total", label=f'result="{result}"')
            for result in ("done", "failed")
        )
        return done or 0.0, failed or 0.0

    def _metrics(self, name: str) -> str:
        return self._service(name)[2]

    def _service(self, name: str) -> tuple[int, str, str]:
        found = self._services.get(name)
        if found is None:
            raise Fault(f"the suite of {self.home.root} has no {name}", _REMEDY)
        return found
