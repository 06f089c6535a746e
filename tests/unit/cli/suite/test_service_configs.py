"""The embedded suite's configuration gives each identity its own and no more."""

from pathlib import Path

import pytest

from tests.red_lines.test_5_portal_isolation import MAY
from tollgate_cli.chosen_keyring import Chosen
from tollgate_cli.deployment import toml_text, topology_file
from tollgate_cli.deployment.configs import Document
from tollgate_cli.home import Home
from tollgate_cli.suite import service_configs
from tollgate_cli.suite.service_configs import LocalPlaces
from tollgate_kit import config
from tollgate_kit.config import KeyringConfig


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Document]:
    places = LocalPlaces(
        home=Home(tmp_path),
        address=lambda name: f"127.0.0.1:1{len(name)}",
        metrics_address=lambda name: f"127.0.0.1:2{len(name)}",
    )
    edges = ["edge-api", "edge-api-2"]
    return service_configs.documents(topology_file.packaged(), places, edges, demo=False)


def test_the_allow_lists_are_the_promised_ones(written) -> None:
    """Who may call what is what red line 5 says."""
    allowed = {
        service: set(callers)
        for document in written.values()
        for service, callers in document.get("rpc", {}).get("allow", {}).items()
    }
    assert MAY == allowed


def test_no_process_is_told_of_anothers_secrets(written) -> None:
    """A configuration names only its own certificate key, keyring and database."""
    everybody = {"authz", "budget", "router", "audit", "edge-api", "operator"}
    assert everybody | {"edge-api-2"} == set(written)
    for name, document in written.items():
        text = toml_text.render(document)
        for other in everybody - {name.removesuffix("-2")}:
            for secret in (f"{other}-key.pem", f"{other}.unlock", f"{other}-dsn"):
                assert secret not in text


def test_on_vault_each_service_has_its_own_logins_and_wrapped_keys(tmp_path: Path) -> None:
    """Each table is one that the services read; router alone logs in twice."""
    chosen = Chosen("vault", "https://127.0.0.1:8200", "/ca.pem", "mine")
    address, metrics = (lambda _: "127.0.0.1:1"), (lambda _: "127.0.0.1:2")
    places = LocalPlaces(Home(tmp_path), address, metrics, chosen, signing={"tlog": 3})
    topology = topology_file.packaged()
    made = service_configs.documents(topology, places, ["edge-api"], demo=False)
    wrapped = {
        "authz": {"pepper"},
        "budget": {"reservation"},
        "router": {"reservation"},
        "audit": set(),
    }
    for name, keys in wrapped.items():
        path = tmp_path / f"{name}.toml"
        path.write_text(toml_text.render(made[name]["keyring"]))
        vault = config.load(path, KeyringConfig).vault
        assert vault is not None
        assert (f"tollgate-{name}", "https://127.0.0.1:8200", Path("/ca.pem"), "mine") == (
            vault.role, vault.address, vault.ca_file, vault.transit,
        )  # fmt: skip
        assert keys == set(vault.wrapped)
        assert ({"tlog": 3} if name == "audit" else {}) == vault.key_versions
        assert Home(tmp_path).vault_logins / f"{name}.secret-id" == vault.secret_id_file
        assert ("tollgate-router-admin" if name == "router" else None) == (
            vault.writer and vault.writer.role
        )


def test_on_vault_a_log_key_that_was_rotated_keeps_its_versions(tmp_path: Path) -> None:
    """A start goes by the lines in the home, and "tlog" is no name of the newest any more."""
    chosen = Chosen("vault", "https://127.0.0.1:8200", "/ca.pem", "transit")
    home = Home(tmp_path)
    places = LocalPlaces(home, lambda _: "127.0.0.1:1", lambda _: "127.0.0.1:2", chosen)
    home.keyrings.mkdir()
    for names, versions in ((("tlog", "tlog-2"), (1, 2)), (("tlog-4",), (4,))):
        for path in home.keyrings.iterdir():
            path.unlink()
        for name in names:
            (home.keyrings / f"{name}.vkey").write_text("a line\n")
        path = tmp_path / "audit.toml"
        path.write_text(toml_text.render(places.keyring("audit")))
        keyring = config.load(path, KeyringConfig)
        assert versions == keyring.versions_of("tlog")
        assert keyring.vault is not None
        assert {"tlog": 1} == keyring.vault.key_versions


def test_the_edge_has_no_store(written) -> None:
    """Nothing of a database or a keyring is in the edge's configuration."""
    tables = {"tls", "api", "metrics", "authz", "budget", "router", "audit"}
    assert tables == set(written["edge-api"]) == set(written["edge-api-2"])


def test_replicas_of_the_edge_differ_in_where_they_listen_alone(written) -> None:
    """A second edge has the identity and the peers of the first, and addresses of its own."""
    first, second = written["edge-api"], written["edge-api-2"]
    assert {"api", "metrics"} == {table for table in first if first[table] != second[table]}


def test_demo_prices_only_with_the_demo(written) -> None:
    """Without the demo no made-up model has a price."""
    assert False is written["router"]["catalogue"]["demo_prices"]
