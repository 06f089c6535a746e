"""The files of the checkout say what the topology says, and `make topology` makes it so."""

import shutil
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tollgate_cli.deployment import render, topology_file

ROOT = Path(__file__).parents[4]
TOPOLOGY = topology_file.packaged()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what `make topology` reads and writes."""
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    return tmp_path


def run(checkout: Path, monkeypatch) -> int:
    monkeypatch.setattr(sys, "argv", ["render", str(checkout)])
    return render.main()


def test_generated_files_are_up_to_date() -> None:
    """Nobody edited by hand what follows from deploy/topology.toml; otherwise run `make topology`."""
    differ = [
        str(path.relative_to(ROOT))
        for path, text in render.rendered(ROOT, TOPOLOGY).items()
        if text != path.read_text()
    ]
    assert [] == differ, "run `make topology`"


def test_every_file_of_a_process_is_rendered(checkout: Path) -> None:
    """No configuration below deploy/config is left out; the same topology gives the same text."""
    files = render.rendered(checkout, TOPOLOGY)
    assert set((checkout / "deploy/config").iterdir()) <= set(files)
    assert files == render.rendered(checkout, topology_file.load(checkout / render.SOURCE))


def test_a_change_reaches_every_file(checkout: Path, monkeypatch, capsys) -> None:
    """A port, a caller and a store are said once; who listens, calls and waits follows."""
    source = checkout / render.SOURCE
    text = source.read_text()
    for old, new in (
        ("rpc_port = 7102", "rpc_port = 7199"),
        ('"tollgate.budget.v1.BudgetReadService" = ["operator"]',
         '"tollgate.budget.v1.BudgetReadService" = ["operator", "authz"]'),
        ('stores = ["database", "keyring"]\nwaits_for = ["vault"]\ninternet',
         'stores = ["database", "rates", "keyring"]\nwaits_for = ["vault"]\ninternet'),
        ('database_owner = "audit_owner"', 'database_owner = "log_owner"'),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    source.write_text(text)
    # A table is explained by a person before it is filled in.
    assert 1 == run(checkout, monkeypatch)
    said = capsys.readouterr().err
    assert "router.toml: it lacks [redis]" in said
    assert "authz.toml: it lacks [budget]" in said
    for name, table in (("router", "redis"), ("authz", "budget")):
        with (checkout / f"deploy/config/{name}.toml").open("a") as file:
            file.write(f"\n[{table}]\n# Why.\n")
    assert 0 == run(checkout, monkeypatch)
    config = {
        path.stem: tomllib.loads(path.read_text())
        for path in (checkout / "deploy/config").iterdir()
    }
    assert "0.0.0.0:7199" == config["budget"]["rpc"]["listen"]
    for caller in ("edge-api", "operator", "authz"):
        assert ["budget:7199"] == config[caller]["budget"]["addresses"]
    reading = config["budget"]["rpc"]["allow"]["tollgate.budget.v1.BudgetReadService"]
    assert ["operator", "authz"] == reading
    services = yaml.safe_load((checkout / "docker-compose.yml").read_text())["services"]
    assert "budget" in services["authz"]["depends_on"]
    assert "router-redis-url" in {secret["source"] for secret in services["router"]["secrets"]}
    assert "log-owner-postgres-password" in services["postgres"]["secrets"]
    assert "audit:log_owner" in (checkout / "deploy/postgres/create-databases.sh").read_text()
    assert "written" in capsys.readouterr().out
    assert 0 == run(checkout, monkeypatch)
    assert "everything says so already\n" == capsys.readouterr().out


def test_nothing_is_written_while_anything_is_wrong(checkout: Path, monkeypatch, capsys) -> None:
    """A faulty topology, or a file that lost a mark, leaves every file as it was."""
    compose = checkout / "docker-compose.yml"
    compose.write_text(compose.read_text().replace("    # topology: redis\n", ""))
    source = checkout / render.SOURCE
    source.write_text(source.read_text().replace("rpc_port = 7101", "rpc_port = 7111"))
    before = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    assert 1 == run(checkout, monkeypatch)
    assert "marks" in capsys.readouterr().err
    source.write_text(source.read_text().replace("rpc_port = 7111", "rpc_port = 7102"))
    before[source] = source.read_bytes()
    assert 1 == run(checkout, monkeypatch)
    assert "is the port of processes.authz.rpc_port: 7102" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
