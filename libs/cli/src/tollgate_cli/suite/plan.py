"""What a start of the embedded suite prepares, and which processes it then consists of.

Owns the files below the home but the engines' data. Everything here may be done again: what is
there already is kept.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from tollgate_cli import certificates, chosen_keyring, keyrings, operator_client, seed
from tollgate_cli.chosen_keyring import FILES, Chosen
from tollgate_cli.deployment import toml_text
from tollgate_cli.deployment.topology import Topology
from tollgate_cli.fault import Fault
from tollgate_cli.home import Home
from tollgate_cli.private_file import kept_secret, write_private
from tollgate_cli.suite import service_configs
from tollgate_cli.suite.engines.postgres import EmbeddedPostgres
from tollgate_cli.suite.engines.redis import EmbeddedRedis
from tollgate_cli.suite.processes import probe
from tollgate_cli.suite.processes.child import Command, tail
from tollgate_cli.suite.processes.ports import Ports
from tollgate_cli.suite.processes.unit import (
    WAVE_AUDIT,
    WAVE_EDGE,
    WAVE_ENGINES,
    WAVE_SERVICES,
    Unit,
)
from tollgate_cli.suite.service_configs import EDGE, LocalPlaces
from tollgate_cli.suite.vault_logins import VaultLogins
from tollgate_kit.clock import Clock

T = TypeVar("T")
_MIGRATE_TIMEOUT_S = 120.0
# An edge first lets its calls end, then settles and records them.
_DRAIN_TIMEOUT_S = 60.0
_POLL_S = 0.05


class Plan:
    """Prepares one start, and says which processes it consists of."""

    def __init__(
        self,
        home: Home,
        topology: Topology,
        ports: Ports,
        *,
        edges: int,
        demo: bool,
        vault: VaultLogins | None,
        clock: Clock,
    ) -> None:
        self._vault = vault
        self._home = home
        self._topology = topology
        self._ports = ports
        self._edges = [EDGE, *(f"{EDGE}-{n}" for n in range(2, edges + 1))]
        self._demo = demo
        self._clock = clock
        self._postgres = EmbeddedPostgres(
            home.root / "postgres",
            port=ports.port("postgres"),
            password_file=home.secrets / "postgres-superuser",
        )
        self._redis = EmbeddedRedis(home.root / "redis", port=ports.port("redis"))

    def prepare(self) -> None:
        """Certificates, keyrings, and the engines' own files."""
        chosen_keyring.check_same(self._home, self._chosen.kind)
        if self._vault is not None:
            self._vault.check(self._home)
        certificates.ensure(self._home.certificates, self._topology.identities, self._clock)
        if self._vault is not None:
            self._vault.prepare(self._home)
        else:
            _apart(lambda: keyrings.ensure(self._home.keyrings))
        chosen_keyring.remember(self._home, self._chosen)
        if self._demo:
            kept_secret(self._provider_key_file)
        self._postgres.initialise()
        self._redis.initialise()

    @property
    def _chosen(self) -> Chosen:
        return FILES if self._vault is None else self._vault.chosen

    def open_databases(self) -> list[str]:
        """A database and a login role to each service; whose there are."""
        found = {}
        for name, owner in self._topology.database_owners.items():
            password = kept_secret(self._home.password(name))
            if owner == name:
                found[name] = self._postgres.ensure_database(name, password)
            else:
                owner_password = kept_secret(self._home.password(owner))
                found[name], owner_dsn = self._postgres.ensure_split_database(
                    name, password, owner=owner, owner_password=owner_password
                )
                write_private(self._home.dsn(owner), owner_dsn)
            write_private(self._home.dsn(name), found[name])
        write_private(self._home.redis_url, self._redis.url())
        return list(found)

    def write_configs(self) -> None:
        """config/<process>.toml for each process, and operator.toml."""
        ports = self._ports
        signing = {} if self._vault is None else self._vault.signing(self._home)
        places = LocalPlaces(
            self._home, ports.address, ports.metrics_address, self._chosen, signing=signing
        )
        documents = service_configs.documents(self._topology, places, self._edges, demo=self._demo)
        operator = documents.pop("operator")
        for name, document in documents.items():
            write_private(self._home.config / f"{name}.toml", toml_text.render(document))
        write_private(self._home.operator_toml, toml_text.render(operator))

    def migrate(self, check: Callable[[], None]) -> None:
        """Brings every store's schema up to date, all at once. `check` may raise to give up."""
        running = {name: self._spawn_migration(name) for name in self._topology.database_owners}
        deadline = time.monotonic() + _MIGRATE_TIMEOUT_S
        try:
            while any(process.poll() is None for process in running.values()):
                check()
                if time.monotonic() > deadline:
                    raise Fault("the databases' migration did not end in time")
                time.sleep(_POLL_S)
        finally:
            for process in running.values():
                process.kill()
                process.wait()
        for name, process in running.items():
            if process.returncode != 0:
                log = self._home.log(f"{name}-migrate")
                said = "\n".join(f"  {line}" for line in tail(log, 8))
                raise Fault(f"the database of {name} could not be migrated\n{said}", f"log: {log}")

    def units(self) -> list[Unit]:
        """Every process."""
        postgres, redis = self._ports.address("postgres"), self._ports.address("redis")
        log = self._home.log
        found = [
            Unit(
                "postgres",
                WAVE_ENGINES,
                postgres,
                self._postgres.command(log("postgres")),
                self._postgres.ready,
                self._postgres.await_orphans,
            ),
            Unit(
                "redis", WAVE_ENGINES, redis, self._redis.command(log("redis")), self._redis.ready
            ),
            *(self._service(name) for name in self._topology.servers),
        ]
        if self._demo:
            found.append(self._provider())
        found += [self._edge(name) for name in self._edges]
        return found

    def seed(self) -> tuple[str, bool]:
        """The demo, through the admin RPCs; the key's text, and whether it was made just now."""
        settings = operator_client.load(self._home.operator_toml, given=True)
        demo = seed.Demo(
            provider_url=f"http://{self._ports.address('provider')}",
            provider_key=kept_secret(self._provider_key_file),
            key_file=self._home.secrets / "demo-key",
        )
        return _apart(lambda: asyncio.run(seed.run(settings, demo)))

    @property
    def _provider_key_file(self) -> Path:
        return self._home.secrets / "provider-key"

    def _service(self, name: str) -> Unit:
        # Whoever calls another service waits for it.
        wave = WAVE_SERVICES if self._topology.callees(name) else WAVE_AUDIT
        address = self._ports.address(name)
        argv = _python(f"tollgate_{name}", "--config", str(self._home.config / f"{name}.toml"))
        operator = certificates.files(self._home.certificates, "operator")
        ready = partial(probe.rpc_ready, address, name, operator)
        command = Command(argv, self._home.log(name))
        metrics = self._ports.metrics_address(name)
        return Unit(name, wave, address, command, ready, metrics=metrics)

    def _edge(self, name: str) -> Unit:
        address = self._ports.address(name)
        config = str(self._home.config / f"{name}.toml")
        argv = _python("tollgate_edge", "api", "--config", config)
        ready = partial(probe.http_ready, address, "/health/ready")
        command = Command(argv, self._home.log(name))
        return Unit(
            name, WAVE_EDGE, address, command, ready,
            stop_timeout_s=_DRAIN_TIMEOUT_S, metrics=self._ports.metrics_address(name),
        )  # fmt: skip

    def _provider(self) -> Unit:
        address = self._ports.address("provider")
        options = ("--listen", address, "--key-file", str(self._provider_key_file))
        argv = _python("tollgate_cli.demo_provider", *options)
        command = Command(argv, self._home.log("provider"))
        return Unit("provider", WAVE_SERVICES, address, command, partial(probe.listens, address))

    def _spawn_migration(self, name: str) -> subprocess.Popen[bytes]:
        argv = _python(
            f"tollgate_{name}", "--config", str(self._home.config / f"{name}.toml"), "migrate"
        )
        log = self._home.log(f"{name}-migrate")
        with log.open("wb") as output:
            return subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)


def _apart(work: Callable[[], T]) -> T:
    # In a thread of its own: the caller may be inside an event loop (a test), where another
    # cannot be run.
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(work).result()
