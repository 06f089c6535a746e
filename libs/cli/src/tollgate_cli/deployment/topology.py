"""Holds topology.toml as types; works out callees, networks, databases and ports from it. Pure.

Promises: what is worked out stands in the order of the file, so that one file gives one text.
Assumes: a topology that topology_file has found no fault in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# The demo provider: in the embedded suite alone.
PROVIDER = "provider"
# Where a process's metrics are on this machine: this much above its own port.
LOCAL_METRICS_OFFSET = 100
# How a configuration of the embedded suite names the port of a process's metrics.
METRICS_SUFFIX = "-metrics"


@dataclass(frozen=True)
class Network:
    """A network of containers. `kind` is clients, rpc, stores or internet."""

    kind: str
    about: str


@dataclass(frozen=True)
class Engine:
    """A server of others that holds one kind of store for the processes that have one."""

    holds: str
    network: str
    port: int | None = None
    certificate: bool = False
    volume: bool = False


@dataclass(frozen=True)
class Process:
    """A process of ours and its identity; topology.toml explains the fields."""

    rpc_port: int | None = None
    http_port: int | None = None
    metrics_port: int | None = None
    stores: tuple[str, ...] = ()
    # Stores of others that it may read.
    reads: tuple[str, ...] = ()
    # The role that owns its database, if that is not the process's own.
    database_owner: str | None = None
    waits_for: tuple[str, ...] = ()
    internet: bool = False
    external: bool = False
    command_line: bool = False
    # Prepares the engine of keyrings, and hands services what they log in with there.
    delivers: bool = False
    allow: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Topology:
    """The whole file."""

    networks: dict[str, Network]
    engines: dict[str, Engine]
    processes: dict[str, Process]
    local_ports: dict[str, int]

    @property
    def identities(self) -> tuple[str, ...]:
        """Everybody who has a certificate of the mesh."""
        return tuple(self.processes)

    @property
    def contained(self) -> tuple[str, ...]:
        """The processes that run here, each with a configuration of its own."""
        return tuple(name for name, process in self.processes.items() if not process.external)

    @property
    def servers(self) -> tuple[str, ...]:
        """The processes with gRPC services."""
        return tuple(name for name, process in self.processes.items() if process.rpc_port)

    @property
    def database_owners(self) -> Mapping[str, str]:
        """Process with a database -> the role that owns it; the process's own role has its name."""
        return {
            name: process.database_owner or name
            for name, process in self.processes.items()
            if "database" in process.stores
        }

    @property
    def roles(self) -> tuple[str, ...]:
        """Every login role of Postgres."""
        return tuple(role for name in self.database_owners for role in self.roles_of(name))

    def roles_of(self, name: str) -> tuple[str, ...]:
        """The login roles of a process's database: its own, and the owner if that is another."""
        return tuple(dict.fromkeys((name, self.database_owners[name])))

    @property
    def usual_ports(self) -> Mapping[str, int]:
        """The ports that the embedded suite tries first, by process, and by process + -metrics."""
        metrics = {
            f"{name}{METRICS_SUFFIX}": port + LOCAL_METRICS_OFFSET
            for name, port in self.local_ports.items()
            if name in self.processes
        }
        return {**self.local_ports, **metrics}

    def callees(self, name: str) -> tuple[str, ...]:
        """The processes that one may call, by their allow-lists."""
        return tuple(
            server
            for server in self.servers
            if any(name in callers for callers in self.processes[server].allow.values())
        )

    @property
    def has_vault(self) -> bool:
        """Return whether keys are in Vault; else each service has them in a file."""
        return any(engine.holds == "keyring" for engine in self.engines.values())

    def engine(self, store: str) -> str:
        """The engine that holds a kind of store."""
        return next(name for name, engine in self.engines.items() if engine.holds == store)

    def networks_of(self, name: str) -> tuple[str, ...]:
        """The networks that a process is on."""
        process = self.processes[name]
        kinds = {
            "clients": process.http_port is not None,
            "rpc": process.rpc_port is not None or bool(self.callees(name)),
            "internet": process.internet,
        }
        held = {*process.stores, *(("keyring",) if process.delivers else ())}
        if not self.has_vault:
            held.discard("keyring")
        stores = {self.engines[self.engine(store)].network for store in held}
        return tuple(
            network
            for network, is_a in self.networks.items()
            if network in stores or kinds.get(is_a.kind)
        )
