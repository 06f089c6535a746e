"""Ports: the usual ones, others if those are taken, the same ones again at the next start."""

import json
import socket
from pathlib import Path

import pytest

from tollgate_cli.fault import Fault
from tollgate_cli.suite.processes import ports


@pytest.fixture
def taken():
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_is_not_chosen(tmp_path: Path, taken: int) -> None:
    """Another program's port is left to it."""
    assert taken != ports.Ports(tmp_path / "ports.json", usual={"authz": taken}).port("authz")


def test_a_usual_port_is_chosen(tmp_path: Path) -> None:
    """A free usual port is taken, a process's own and that of its metrics."""
    own, metrics = ports.free_port(), ports.free_port()
    chosen = ports.Ports(tmp_path / "ports.json", usual={"authz": own, "authz-metrics": metrics})
    assert f"{ports.LOOPBACK}:{own}" == chosen.address("authz")
    assert f"{ports.LOOPBACK}:{metrics}" == chosen.metrics_address("authz")


def test_a_port_asked_for_by_name_is_that_or_a_fault(tmp_path: Path, taken: int) -> None:
    """--api-port is a wish that is met or refused in words."""
    asked = ports.Ports(tmp_path / "ports.json", fixed={"edge-api": taken})
    with pytest.raises(Fault, match=f"port {taken}.*is taken"):
        asked.port("edge-api")


def test_ports_are_remembered(tmp_path: Path) -> None:
    """The second start listens where the first one did."""
    first = ports.Ports(tmp_path / "ports.json")
    chosen = [first.port(name) for name in ("edge-api", "edge-api-2", "authz", "authz-metrics")]
    first.save()
    second = ports.Ports(tmp_path / "ports.json")
    assert chosen == [
        second.port(name) for name in ("edge-api", "edge-api-2", "authz", "authz-metrics")
    ]
    assert 4 == len(set(chosen))


def test_ports_that_are_not_bound_yet_differ(monkeypatch):
    """Several asked for at once are not one port twice, however small the choice is."""
    monkeypatch.setattr(ports, "_LOWEST", ports._EPHEMERAL - 400)
    given = [ports.free_port() for _ in range(200)]
    assert len(set(given)) == 200


def test_a_port_that_another_program_has_is_told(tmp_path: Path, taken: int) -> None:
    """Its usual one, or that of the last start; not where a process has what it wants."""
    free = ports.free_port()
    usual = {"edge-api": taken, "authz": free}
    chosen = ports.Ports(tmp_path / "ports.json", usual=usual)
    assert (taken, None, None) == tuple(map(chosen.displaced, ("edge-api", "authz", "budget")))
    (tmp_path / "known.json").write_text(json.dumps({"edge-api": taken}))
    again = ports.Ports(tmp_path / "known.json", usual={"edge-api": free})
    assert (taken, free) == (again.displaced("edge-api"), again.port("edge-api"))
