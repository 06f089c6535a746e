"""The secrets that docker-compose.yml asks for are made: all of them, private, and kept."""

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


def test_compose_finds_every_secret_and_a_second_run_keeps_them(tmp_path: Path, monkeypatch):
    """What compose names exists and can be read by its owner only; run again, nothing changes."""
    monkeypatch.setattr(keyrings.keyring_file, "Scrypt", CheapScrypt)
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


def test_database_passwords_agree(tmp_path: Path, monkeypatch):
    """The password that Postgres is given for a role is the one in that service's DSN."""
    monkeypatch.setattr(keyrings.keyring_file, "Scrypt", CheapScrypt)
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
