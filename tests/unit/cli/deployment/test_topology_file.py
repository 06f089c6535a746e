"""A topology that cannot be is refused, with everything that is wrong with it."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tollgate_cli.deployment import toml_text, topology_file
from tollgate_cli.fault import Fault

GIVEN = Path(topology_file.__file__).with_name("topology.toml")
APPEND = "tollgate.audit.v1.AuditService"
Change = Callable[[dict[str, Any]], object]


def faults(tmp_path: Path, *changes: Change) -> list[str]:
    """What is said of today's topology with some changes."""
    document = tomllib.loads(GIVEN.read_text())
    for change in changes:
        change(document)
    path = tmp_path / "topology.toml"
    path.write_text(toml_text.render(document))
    try:
        topology_file.load(path)
    except Fault as found:
        return [said.removeprefix(f"{path}: ") for said in found.problem.splitlines()]
    return []


def process(name: str, **settings: object) -> Change:
    return lambda document: document["processes"].setdefault(name, {}).update(settings)


def engine(name: str, **settings: object) -> Change:
    return lambda document: document["engines"].setdefault(name, {}).update(settings)


def network(name: str, **settings: object) -> Change:
    return lambda document: document["networks"].setdefault(name, {}).update(settings)


def allow(name: str, service: str, *callers: str) -> Change:
    return lambda document: document["processes"][name]["allow"].update({service: list(callers)})


def local(name: str, port: int) -> Change:
    return lambda document: document["local_ports"].update({name: port})


REFUSED: dict[str, Change] = {
    "processes.authz.rpc_prot is not a setting": process("authz", rpc_prot=1),
    "processes.authz.rpc_port must be int, not str": process("authz", rpc_port="7101"),
    "'Authz' is no name": process("Authz", external=True),
    "'a--b' is no name": process("a--b", external=True),
    "redis is the name of two": process("redis", external=True),
    "authz-migrate is the name of two": process("authz-migrate", external=True),
    "audit is the role of two databases": process("budget", database_owner="audit"),
    "'x y' is no role of Postgres": process("budget", database_owner="x y"),
    "networks.mesh: kind must be one of": network("mesh", kind="flat"),
    "no network is of kind internet": network("egress", kind="stores"),
    "only one network is of kind rpc": network("data", kind="rpc"),
    "engines.redis: there is no network nowhere": engine("redis", network="nowhere"),
    "engines.redis: mesh is no network for stores": engine("redis", network="mesh"),
    "engines.postgres: port is missing": lambda d: d["engines"]["postgres"].pop("port"),
    "two engines hold database": engine("redis", holds="database"),
    "no engine holds rates": engine("redis", holds="database"),
    "queue is no store": engine("redis", holds="queue"),
    "processes.authz: queue is no store": process("authz", stores=["queue"]),
    "processes.operator: queue is no store": process("operator", reads=["queue"]),
    "processes.authz: waits_for names no engine: kafka": process("authz", waits_for=["kafka"]),
    "processes.edge-api: database_owner without a database": process(
        "edge-api", database_owner="x"
    ),
    "processes.authz: rpc_port and http_port": process("authz", http_port=8401),
    "processes.authz: rpc_port and allow go together": process("authz", allow={}),
    "processes.edge-api: rpc_port and allow go together": process(
        "edge-api", allow={"tollgate.edge.v1.EdgeService": ["operator"]}
    ),
    "processes.authz: what listens has a metrics_port": lambda d: d["processes"]["authz"].pop(
        "metrics_port"
    ),
    "processes.operator: what listens has a metrics_port": process("operator", metrics_port=9999),
    "processes.authz: external or command_line, and listens": process("authz", external=True),
    "processes.edge-api: what clients reach has no store": process("edge-api", stores=["keyring"]),
    "edge-api: what clients reach has no store and no way": process("edge-api", internet=True),
    f"{APPEND} is served by two processes": allow("authz", APPEND, "operator"),
    "AuthzService is no gRPC service of Tollgate": allow("authz", "AuthzService", "edge-api"),
    "did you mean tollgate.authz.v1.AuthzService?": allow(
        "authz", "tollgate.authz.v1.AuthzServise", "edge-api"
    ),
    "tollgate.budget.v1.BudgetService is served by budget": allow(
        "authz", "tollgate.budget.v1.BudgetService", "edge-api"
    ),
    f"{APPEND} names nobody-here, which is no process": allow("audit", APPEND, "nobody-here"),
    f"{APPEND} names authz twice": allow("audit", APPEND, "authz", "authz"),
    f"{APPEND} names the process itself": allow("audit", APPEND, "audit"),
    "budget.rpc_port is the port of processes.authz.rpc_port: 7101": process(
        "budget", rpc_port=7101
    ),
    "edge-api.metrics_port is the port of processes.authz.rpc_port": process(
        "edge-api", metrics_port=7101
    ),
    "engines.redis.port is the port of processes.edge-api.http_port": engine("redis", port=8400),
    "processes.authz.rpc_port must be 1 to 65535": process("authz", rpc_port=65536),
    "local_ports.budget is the port of local_ports.authz": local("budget", 7401),
    "local_ports.edge-api-metrics is the port of local_ports.provider": local("provider", 8180),
    "local_ports: operator does not listen": local("operator", 7500),
    "local_ports: budget is missing": lambda d: d["local_ports"].pop("budget"),
    "none of these could start, for each waits for another: authz, budget, router, audit": allow(
        "authz", "tollgate.authz.v1.AuthzService", "audit"
    ),
}


def test_todays_topology_has_no_fault(tmp_path: Path) -> None:
    """What is shipped loads, and is the file that deploy/ shows: one file, no copy."""
    assert [] == faults(tmp_path)
    shown = Path(__file__).parents[4] / "deploy" / "topology.toml"
    assert shown.samefile(GIVEN), (
        "deploy/topology.toml is a link to it: an editor may have broken it"
    )
    assert topology_file.packaged() == topology_file.load(shown)


def test_keyrings_need_no_engine(tmp_path: Path) -> None:
    """Without one they are files: who has no Vault deploys all the same."""

    def without(document: dict[str, Any]) -> None:
        del document["engines"]["vault"]
        for settings in document["processes"].values():
            settings["waits_for"] = [e for e in settings.get("waits_for", []) if e != "vault"]

    assert [] == faults(tmp_path, without)


@pytest.mark.parametrize("fault", REFUSED)
def test_a_topology_that_cannot_be_is_refused(tmp_path: Path, fault: str) -> None:
    """Unknown names, clashes, callers that do not exist, stores that clients could reach: each is named."""
    found = faults(tmp_path, REFUSED[fault])
    assert any(fault in said for said in found), found


def test_every_fault_is_listed(tmp_path: Path) -> None:
    """One run shows all there is to mend."""
    found = faults(
        tmp_path,
        allow("audit", APPEND, "nobody-here"),
        process("budget", rpc_port=7101),
        process("edge-api", internet=True),
        engine("redis", network="nowhere"),
    )
    assert 4 == len(found), found
