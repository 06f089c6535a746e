"""Reads topology.toml into a Topology, or says everything that is wrong with it."""

import difflib
import functools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tollgate.audit.v1 import audit_pb2
from tollgate.authz.v1 import authz_pb2
from tollgate.budget.v1 import budget_pb2
from tollgate.router.v1 import router_pb2
from tollgate_cli.deployment.topology import PROVIDER, Topology
from tollgate_cli.fault import Fault
from tollgate_kit import config

_REMEDY = "correct it, then `make topology`"
_KINDS = ("clients", "rpc", "stores", "internet")
_STORES = ("database", "rates", "keyring", "evidence")
# Without an engine for it, each process has a file.
_OPTIONAL = "keyring"
# Whose engine is reached by a host and a port that are written here.
_REACHED = ("database", "rates", "keyring")
_PORT_MAX = 65535
# A name is a host, a file, a part of a DNS name and the name of a database.
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_ROLE = re.compile(r"[a-z][a-z0-9_]*")
# Every gRPC service -> the process that serves it, as its package says.
_GRPC_SERVICES = {
    service.full_name: service.full_name.split(".")[1]
    for module in (audit_pb2, authz_pb2, budget_pb2, router_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
}


def load(path: Path) -> Topology:
    """The topology in a file. Raises Fault with everything that is wrong."""
    try:
        topology = config.load(path, Topology)
    except config.ConfigFaults as faults:
        raise Fault(str(faults), _REMEDY) from faults
    wrong = _faults(topology)
    if wrong:
        raise Fault("\n".join(f"{path}: {fault}" for fault in wrong), _REMEDY)
    return topology


@functools.cache
def packaged() -> Topology:
    """The topology of this installation. Raises Fault."""
    return load(Path(__file__).with_name("topology.toml"))


def _faults(topology: Topology) -> list[str]:
    return [
        *_names(topology),
        *_networks(topology),
        *_engines(topology),
        *_processes(topology),
        *_callers(topology),
        *_ports(topology),
        *_start_order(topology),
    ]


def _names(topology: Topology) -> Iterator[str]:
    # Containers of one compose project: a migration is one, too.
    hosts = [*topology.engines, *topology.processes]
    hosts += [f"{name}-migrate" for name in topology.database_owners]
    for name in (*topology.networks, *topology.engines, *topology.processes):
        if _NAME.fullmatch(name) is None:
            yield f"{name!r} is no name: small letters, digits and single hyphens"
    yield from (f"{name} is the name of two" for name in _repeated(hosts))
    roles = topology.roles
    yield from (f"{role} is the role of two databases" for role in _repeated(roles))
    yield from (f"{role!r} is no role of Postgres" for role in roles if not _is_role(role))


def _is_role(role: str) -> bool:
    return _ROLE.fullmatch(role) is not None


def _networks(topology: Topology) -> Iterator[str]:
    kinds = [network.kind for network in topology.networks.values()]
    for name, network in topology.networks.items():
        if network.kind not in _KINDS:
            yield f"networks.{name}: kind must be one of {', '.join(_KINDS)}"
    for kind in _KINDS:
        if kind not in kinds:
            yield f"no network is of kind {kind}"
    if kinds.count("rpc") > 1:
        yield "only one network is of kind rpc"


def _engines(topology: Topology) -> Iterator[str]:
    for name, engine in topology.engines.items():
        network = topology.networks.get(engine.network)
        if network is None:
            yield f"engines.{name}: there is no network {engine.network}"
        elif network.kind != "stores":
            yield f"engines.{name}: {engine.network} is no network for stores"
        if engine.holds in _REACHED and engine.port is None:
            yield f"engines.{name}: port is missing"
    held = [engine.holds for engine in topology.engines.values()]
    yield from (f"two engines hold {store}" for store in _repeated(held))
    yield from (f"no engine holds {store}" for store in _STORES if store not in (*held, _OPTIONAL))
    yield from (_no_store(store) for store in held if store not in _STORES)


def _no_store(store: str) -> str:
    return f"{store} is no store: {', '.join(_STORES)}"


def _processes(topology: Topology) -> Iterator[str]:
    for name, process in topology.processes.items():
        at = f"processes.{name}"
        for store in (*process.stores, *process.reads):
            if store not in _STORES:
                yield f"{at}: {_no_store(store)}"
        for engine in process.waits_for:
            if engine not in topology.engines:
                yield f"{at}: waits_for names no engine: {engine}"
        if process.database_owner and "database" not in process.stores:
            yield f"{at}: database_owner without a database"
        if process.rpc_port and process.http_port:
            yield f"{at}: rpc_port and http_port: one listener, one process"
        if bool(process.allow) != bool(process.rpc_port):
            yield f"{at}: rpc_port and allow go together"
        listens = bool(process.rpc_port or process.http_port)
        if listens != bool(process.metrics_port):
            yield f"{at}: what listens has a metrics_port, and nothing else has"
        if listens and (process.external or process.command_line):
            yield f"{at}: external or command_line, and listens"
        # Red lines 4 and 5: who clients can reach holds nothing and reaches nobody outside.
        if process.http_port and (process.stores or process.reads or process.internet):
            yield f"{at}: what clients reach has no store and no way to the internet"


def _callers(topology: Topology) -> Iterator[str]:
    served = [service for process in topology.processes.values() for service in process.allow]
    yield from (f"{service} is served by two processes" for service in _repeated(served))
    for name, process in topology.processes.items():
        for service, callers in process.allow.items():
            at = f"processes.{name}.allow: {service}"
            yield from _service(at, service, name)
            yield from (f"{at} names {caller} twice" for caller in _repeated(callers))
            for caller in callers:
                if caller not in topology.processes:
                    yield f"{at} names {caller}, which is no process"
            if name in callers:
                yield f"{at} names the process itself"


def _service(at: str, service: str, process: str) -> Iterator[str]:
    server = _GRPC_SERVICES.get(service)
    if server is None:
        near = difflib.get_close_matches(service, _GRPC_SERVICES, 1)
        meant = f": did you mean {near[0]}?" if near else ""
        yield f"{at} is no gRPC service of Tollgate{meant}"
    elif server != process:
        yield f"{at} is served by {server}"


def _ports(topology: Topology) -> Iterator[str]:
    taken: dict[int, str] = {}
    for name, process in topology.processes.items():
        for field in ("rpc_port", "http_port", "metrics_port"):
            port = getattr(process, field)
            if port is not None:
                yield from _port(port, f"processes.{name}.{field}", taken)
    for name, engine in topology.engines.items():
        if engine.port is not None:
            yield from _port(engine.port, f"engines.{name}.port", taken)
    local: dict[int, str] = {}
    for name, port in topology.usual_ports.items():
        yield from _port(port, f"local_ports.{name}", local)
    listening = {name for name, process in topology.processes.items() if process.metrics_port}
    known = {*listening, *topology.engines, PROVIDER}
    for name in topology.local_ports:
        if name not in known:
            yield f"local_ports: {name} does not listen"
    for name in sorted(listening - set(topology.local_ports)):
        yield f"local_ports: {name} is missing"


def _port(port: int, at: str, taken: dict[int, str]) -> Iterator[str]:
    if not 0 < port <= _PORT_MAX:
        yield f"{at} must be 1 to {_PORT_MAX}"
    elif port in taken:
        yield f"{at} is the port of {taken[port]}: {port}"
    else:
        taken[port] = at


def _start_order(topology: Topology) -> Iterator[str]:
    """Who waits for somebody that waits for it would never start."""
    waiting = {name: set(topology.callees(name)) - {name} for name in topology.servers}
    while started := [name for name, callees in waiting.items() if not callees & set(waiting)]:
        for name in started:
            del waiting[name]
    if waiting:
        yield f"none of these could start, for each waits for another: {', '.join(waiting)}"


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
