"""`tollgate keyring migrate` as a person uses it: a suite goes to a real Vault, and comes back."""

import json
import signal

import psycopg
import pytest

from tests.chaos.cut_short import commands
from tests.e2e.test_vault_suite import VaultHome, usual_ports
from tests.vault.server import vault_server
from tests.vault.setup import set_up

__all__ = ["usual_ports"]


@pytest.fixture
def home(vault_program, tmp_path):
    with vault_server(tmp_path) as vault:
        set_up(vault)
        yield VaultHome(tmp_path / "home", vault)


def migrated(home: VaultHome, *arguments: str) -> tuple[int, str]:
    home.token = home.vault.root_token
    at = ("--vault-addr", home.vault.address, "--vault-ca", str(home.vault.ca_file))
    done = home.run("keyring", "migrate", *arguments, *at)
    return done.returncode, done.stdout + done.stderr


def serves(home: VaultHome, *arguments: str) -> None:
    """A call is answered with the key and the provider that were there, and the log verifies."""
    with home.up(*arguments):
        assert 200 == home.call()
        verified = home.run("audit", "verify")
        assert 0 == verified.returncode, verified.stdout + verified.stderr


def turned_back(home: VaultHome) -> None:
    """Before its end a move lets nothing start, and may be gone back from, and on with again."""
    ended = home.root / "keyring.json"
    present = json.loads(ended.read_text())
    ended.write_text(json.dumps({"kind": "file", "moving": "vault"}))
    for started in (home.run("up", "--detach"), home.run("up", "--detach", *home.there)):
        assert (1, True) == (started.returncode, "has not ended" in started.stderr), started.stderr
    code, said = migrated(home, "--from", "vault", "--to", "file")
    assert (0, True) == (code, "going back" in said), said
    serves(home)
    code, said = migrated(home, "--from", "file", "--to", "vault")
    assert 0 == code, said
    assert present == json.loads(ended.read_text())


def turned_back_to_vault(home: VaultHome, key: str) -> None:
    """The other way, where the files have another log key by then: it leaves no line behind."""
    chosen = home.root / "keyring.json"
    present = json.loads(chosen.read_text())
    code, said = migrated(home, "--from", "vault", "--to", "file")
    assert 0 == code, said
    chosen.write_text(json.dumps({**present, "moving": "file"}))
    code, said = migrated(home, "--from", "file", "--to", "vault")
    assert (0, True) == (code, "going back" in said), said
    assert (present, "") == (
        json.loads(chosen.read_text()), (home.root / "audit-former.vkey").read_text()
    )  # fmt: skip
    assert key == (home.root / "audit.vkey").read_text()


@pytest.mark.timeout(700)
def test_a_suite_goes_to_vault_and_comes_back(home, usual_ports):
    """Keys, pseudonyms, log: all serve on as before. Back, where the log's key cannot come, too."""
    serves(home)
    key = (home.root / "audit.vkey").read_text()
    refused = migrated(home, "--from", "file", "--to", "vault")
    assert (1, True) == (refused[0], "--replace-log-key" in refused[1]), refused
    code, said = migrated(home, "--from", "file", "--to", "vault", "--replace-log-key")
    assert (0, True, True) == (code, "upstream keys [###" in said, "subject keys [" in said), said
    turned_back(home)
    serves(home, *home.there)
    assert key == (home.root / "audit.vkey").read_text(), "the log's key came along"
    for path in (home.root / "keyrings").iterdir():
        if path.suffix in (".json", ".unlock"):
            path.unlink()
    turned_back_to_vault(home, key)
    code, said = migrated(home, "--from", "vault", "--to", "file")
    assert 0 == code, said
    serves(home)
    keys = (home.root / "audit.vkey").read_text().splitlines()
    assert (2, key.strip()) == (len(keys), keys[1]), "a new key, and the former one after it"
    assert "is file already" in migrated(home, "--from", "vault", "--to", "file")[1]


@pytest.mark.timeout(400)
def test_a_row_that_nothing_opens_is_named_before_anything_moves(home, usual_ports):
    """The suite goes on with its files, as if nobody had tried; or all others are moved."""
    there = ("--from", "file", "--to", "vault", "--replace-log-key")
    with home.up():
        dsn = (home.root / "secrets" / "router-dsn").read_text()
        with psycopg.connect(dsn) as connection:
            connection.execute(
                "insert into provider_key (key_id, provider, tenant, sealed, create_revision,"
                " create_unix_ms) select 'spoilt', provider, tenant, sealed, 900000,"
                " create_unix_ms from provider_key limit 1"
            )
    code, said = migrated(home, *there)
    named = "spoilt is opened by neither keyring"
    assert (1, True, True) == (code, named in said, "--leave-unreadable" in said), said
    assert "" == json.loads((home.root / "keyring.json").read_text())["moving"]
    home.token = ""
    serves(home)
    code, said = migrated(home, *there, "--leave-unreadable")
    assert (0, True) == (code, named in said), said
    serves(home, *home.there)


def rotated(home: VaultHome, *arguments: str) -> None:
    done = home.run("rotate", *arguments)
    assert 0 == done.returncode, done.stdout + done.stderr


def cut_short(home: VaultHome, after: int, *arguments: str) -> None:
    """The command ends by kill -9 after so many steps."""
    with commands() as run:
        done = run.run("rotate", *arguments, environment=home.environment, cut_after=after)
    assert -signal.SIGKILL == done.returncode, done.stdout + done.stderr


def wrapped(home: VaultHome) -> list[str]:
    return sorted(path.stem for path in (home.root / "keyrings").glob("*.wrapped"))


@pytest.mark.timeout(500)
def test_every_version_goes_along_and_is_rotated_there(home, usual_ports):
    """Clients' keys serve under each pepper; in Vault a rotation that kill -9 cut ends well."""
    with home.up():
        assert 200 == home.call()
        rotated(home, "pepper")
        rotated(home, "reservation")
    code, said = migrated(home, "--from", "file", "--to", "vault", "--replace-log-key")
    assert 0 == code, said
    assert ["pepper", "pepper-2", "reservation-2"] == wrapped(home)
    with home.up(*home.there):
        assert 200 == home.call()
        home.token = home.vault.root_token
        for after in (1, 3):
            cut_short(home, after, "reservation")
            assert 200 == home.call()
            rotated(home, "reservation")
            assert 200 == home.call()
        older = home.run("rotate", "pepper", "--finish")
        assert 1 == older.returncode, "the demo's key stands under the first pepper"
        rotated(home, "log-key")
        rotated(home, "log-key", "--finish")
    assert ["pepper", "pepper-2", "reservation-4"] == wrapped(home)
    serves(home, *home.there)
    new, old = (home.root / "audit.vkey").read_text().split()
    code, said = migrated(home, "--from", "vault", "--to", "file")
    assert 0 == code, said
    serves(home)
    newest, *former = (home.root / "audit.vkey").read_text().split()
    assert newest not in (new, old), "the file has the first key yet, which may be stolen"
    assert {new, old} == {*former}
