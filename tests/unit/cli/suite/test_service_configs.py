"""The embedded suite's configuration gives each identity its own and no more."""

import tomllib
from pathlib import Path

import pytest

from tests.red_lines.test_5_portal_isolation import MAY
from tollgate_cli.deployment import toml_text
from tollgate_cli.home import Home
from tollgate_cli.suite import service_configs


@pytest.fixture
def wiring(tmp_path: Path) -> service_configs.Wiring:
    return service_configs.Wiring(
        home=Home(tmp_path),
        address=lambda name: f"127.0.0.1:1{len(name)}",
        metrics_address=lambda name: f"127.0.0.1:2{len(name)}",
        demo=False,
    )


def test_the_allow_lists_are_the_promised_ones() -> None:
    """Who may call what is what red line 5 says."""
    written = {
        service: set(callers)
        for services in service_configs.ALLOW.values()
        for service, callers in services.items()
    }
    assert MAY == written


def test_no_process_is_told_of_anothers_secrets(wiring: service_configs.Wiring) -> None:
    """A configuration names only its own certificate key, keyring and database."""
    for name in ("authz", "budget", "router", "audit"):
        text = toml_text.render(getattr(service_configs, name)(wiring))
        others = {"authz", "budget", "router", "audit", "edge-api", "operator"} - {name}
        for other in others:
            for secret in (f"{other}-key.pem", f"{other}.unlock", f"{other}-dsn"):
                assert secret not in text


def test_the_edge_has_no_store(wiring: service_configs.Wiring) -> None:
    """Nothing of a database or a keyring is in the edge's configuration."""
    document = tomllib.loads(toml_text.render(service_configs.edge(wiring, "edge-api")))
    assert {"tls", "api", "metrics", "authz", "budget", "router", "audit"} == set(document)


def test_demo_prices_only_with_the_demo(wiring: service_configs.Wiring) -> None:
    """Without the demo no made-up model has a price."""
    assert False is service_configs.router(wiring)["catalogue"]["demo_prices"]
