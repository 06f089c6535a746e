"""The secrets that docker-compose.yml asks for are made: all of them, private, and kept."""

from dataclasses import replace
from pathlib import Path

import psycopg
import yaml

from tollgate_cli import keyrings
from tollgate_cli.deployment import secrets, topology_file
from tollgate_kit.clock import ManualClock

ROOT = Path(__file__).parents[4]


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and "vault" not in path.name
    }


def test_compose_finds_every_secret_and_a_second_run_keeps_them(tmp_path: Path):
    """What compose names exists and can be read by its owner only; run again, nothing changes."""
    secrets.make(tmp_path, topology_file.packaged(), ManualClock())
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    for name, secret in compose["secrets"].items():
        path = tmp_path / secret["file"].partition("}/")[2]
        assert path.is_file(), name
        private = name == "ca.pem" or 0 == path.stat().st_mode & 0o077
        assert private, name
    before = contents(tmp_path)
    secrets.make(tmp_path, topology_file.packaged(), ManualClock())
    assert before == contents(tmp_path)


def test_each_service_has_a_directory_for_its_logins_at_vault(tmp_path: Path) -> None:
    """Nobody but its account looks into it; it is not made anew, for it may hold a wrapped key."""
    secrets.make(tmp_path, topology_file.packaged(), ManualClock())
    places = sorted((tmp_path / "vault").iterdir())
    assert ["audit", "authz", "budget", "router"] == [place.name for place in places]
    assert all(0 == place.stat().st_mode & 0o077 for place in places)
    (places[0] / "kept").touch()
    secrets.make(tmp_path, topology_file.packaged(), ManualClock())
    assert (places[0] / "kept").exists()


def test_without_vault_keyrings_are_files(tmp_path: Path, monkeypatch):
    """Made for each service that has keys, and for its account alone."""
    monkeypatch.setattr(keyrings.keyring_file, "Scrypt", CheapScrypt)
    given = topology_file.packaged()
    engines = {name: engine for name, engine in given.engines.items() if name != "vault"}
    secrets.make(tmp_path, replace(given, engines=engines), ManualClock())
    for name in ("audit", "authz", "budget", "router"):
        for file in (f"{name}-keyring.json", f"{name}-keyring-unlock"):
            assert 0o400 == (tmp_path / "secrets" / file).stat().st_mode & 0o777
    assert not (tmp_path / "vault").exists()


def test_database_passwords_agree(tmp_path: Path):
    """The password that Postgres is given for a role is the one in that service's DSN."""
    secrets.make(tmp_path, topology_file.packaged(), ManualClock())
    # Case R4: the log is owned by a role of its own.
    for name in ("authz", "budget", "router", "audit", "audit-owner"):
        dsn = (tmp_path / "secrets" / f"{name}-postgres-dsn").read_text()
        password = (tmp_path / "secrets" / f"{name}-postgres-password").read_text()
        user, database = name.replace("-", "_"), name.partition("-")[0]
        assert {"user": user, "dbname": database, "password": password} == {
            key: value
            for key, value in psycopg.conninfo.conninfo_to_dict(dsn).items()
            if key in {"user", "dbname", "password"}
        }


class CheapScrypt:
    """Stands in for a function that is slow on purpose; the keyring's own tests use the real one."""

    def __init__(self, *, salt: bytes, **_cost: int) -> None:
        self._salt = salt

    def derive(self, key: bytes) -> bytes:
        return (key + self._salt + bytes(32))[:32]
