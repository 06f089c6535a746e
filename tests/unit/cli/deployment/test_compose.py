"""Lists and networks as deployed say what the topology and red line 5 say, and no more."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.red_lines.test_5_portal_isolation import MAY
from tollgate_cli.deployment import topology_file

ROOT = Path(__file__).parents[4]
TOPOLOGY = topology_file.packaged()
STORES = ("authz", "budget", "router", "audit")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def networks(compose: dict[str, Any], service: str) -> set[str]:
    return set(compose["services"][service]["networks"])


def test_the_allow_lists_are_the_topologys_and_the_promised_ones() -> None:
    """Each gRPC service's list in each configuration is what deploy/topology.toml and red line 5 say."""
    written = {}
    for path in (ROOT / "deploy" / "config").glob("*.toml"):
        allow = tomllib.loads(path.read_text()).get("rpc", {}).get("allow", {})
        topology = TOPOLOGY.processes[path.stem].allow
        assert {service: list(callers) for service, callers in topology.items()} == allow
        written |= {service: set(callers) for service, callers in allow.items()}
    assert MAY == written, (
        "a new caller stands in MAY of tests/red_lines/test_5_portal_isolation.py, too"
    )


def test_a_configuration_knows_whom_its_process_may_call_and_nobody_else() -> None:
    """No address of a service is left in the file of a process that is on none of its lists."""
    for path in (ROOT / "deploy" / "config").glob("*.toml"):
        peers = {
            name
            for name, table in tomllib.loads(path.read_text()).items()
            if isinstance(table, dict) and "identity" in table
        }
        assert set(TOPOLOGY.callees(path.stem)) == peers


def test_networks_reach_whom_the_lists_allow(compose) -> None:
    """A caller shares a network with whom it may call; who serves nothing reaches nobody else.

    Services share one gRPC network: between them the allow-lists alone decide.
    """
    ours = [name for name in compose["services"] if name in TOPOLOGY.processes]
    assert set(ours) == set(TOPOLOGY.contained)
    meeting = {
        name: {other for other in compose["services"] if networks(compose, name) & networks(compose, other)}
        for name in ours
    }  # fmt: skip
    for name in ours:
        callees = set(TOPOLOGY.callees(name))
        assert callees <= meeting[name]
        if name not in TOPOLOGY.servers:
            assert callees == meeting[name] & set(TOPOLOGY.servers)
            delivers = TOPOLOGY.processes[name].delivers
            engines = {"vault", "s3"} if delivers else set()
            assert meeting[name] <= {*TOPOLOGY.servers, "edge-api", "operator", *engines}
    mesh = {name for name in compose["services"] if "mesh" in networks(compose, name)}
    assert {name for name in ours if name in TOPOLOGY.servers or TOPOLOGY.callees(name)} == mesh


def test_only_who_has_a_store_meets_its_engine(compose) -> None:
    """A container shares a network with an engine only for a store on that engine's network.

    Or because it prepares that engine and hands services their logins.
    """
    for name in TOPOLOGY.contained:
        needed = {
            TOPOLOGY.engines[TOPOLOGY.engine(store)].network
            for store in TOPOLOGY.processes[name].stores
        }
        if TOPOLOGY.processes[name].delivers:
            assert {TOPOLOGY.engines["vault"].network} == networks(compose, name) & {
                "data",
                "trust",
            }
            continue
        assert needed == networks(compose, name) & {"data", "trust"}
        assert needed == set() or name in STORES
