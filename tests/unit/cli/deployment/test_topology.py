"""What follows from the topology follows as the architecture says."""

from dataclasses import replace

from tollgate_cli import service_keys
from tollgate_cli.deployment import compose, containers, topology_file
from tollgate_cli.deployment.topology import Process

TOPOLOGY = topology_file.packaged()


def test_callees_follow_from_the_allow_lists() -> None:
    """Who is on a list of a process calls that process, and nobody else does."""
    everybody = ("authz", "budget", "router", "audit")
    assert everybody == TOPOLOGY.callees("edge-api") == TOPOLOGY.callees("operator")
    for name in ("authz", "budget", "router", "edge-portal", "edge-console"):
        assert ("audit",) == TOPOLOGY.callees(name)
    assert () == TOPOLOGY.callees("audit")


def test_networks_follow_from_what_a_process_needs() -> None:
    """Nobody is on a network for a reason that the file does not give."""
    assert ("front", "mesh") == TOPOLOGY.networks_of("edge-api")
    assert ("mesh", "data", "trust", "egress") == TOPOLOGY.networks_of("router")
    # Who prepares Vault and hands services their logins has to reach it.
    assert ("mesh", "trust") == TOPOLOGY.networks_of("operator")
    alone = replace(TOPOLOGY, processes={**TOPOLOGY.processes, "idle": Process()})
    assert () == alone.networks_of("idle")


def test_keyrings_are_made_for_who_has_one() -> None:
    """The processes with a keyring are those whose keys `keyrings` names."""
    having = {name for name, process in TOPOLOGY.processes.items() if "keyring" in process.stores}
    assert set(service_keys.KEYS) == having


def test_without_an_engine_for_keyrings_each_is_a_file() -> None:
    """One that takes the engine away has files again, and nobody is on its network for it."""
    engines = {name: engine for name, engine in TOPOLOGY.engines.items() if name != "vault"}
    waiting = {
        name: replace(process, waits_for=tuple(set(process.waits_for) - {"vault"}))
        for name, process in TOPOLOGY.processes.items()
    }
    without = replace(TOPOLOGY, engines=engines, processes=waiting)
    assert ("mesh", "data", "egress") == without.networks_of("router")
    assert ("mesh",) == without.networks_of("operator")
    at = "secrets/router-keyring"
    assert {f"{at}.json", f"{at}-unlock"} <= set(containers.mounted(without, "router"))
    assert not any("keyring" in path for path in containers.mounted(TOPOLOGY, "router"))
    text = "\n".join(compose.parts(without).values())
    assert ("/vault" in text, "VAULT_" in text) == (False, False)


def test_a_database_is_owned_by_one_role() -> None:
    """Each process owns its own; the log's belongs to a role that the service is not."""
    own = {"authz": "authz", "budget": "budget", "router": "router", "audit": "audit_owner"}
    assert own == TOPOLOGY.database_owners
    assert ("audit", "audit_owner") == TOPOLOGY.roles_of("audit")
