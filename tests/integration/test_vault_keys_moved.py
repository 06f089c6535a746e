"""Keys that an operator brings to a real Vault, and what must not happen to those that are there."""

import base64
import os
import threading
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.contract.keyring.vault_world import World
from tollgate_cli import chosen_keyring
from tollgate_cli.chosen_keyring import VAULT, Chosen
from tollgate_cli.fault import Fault
from tollgate_cli.home import Home
from tollgate_cli.rotation.running import alone
from tollgate_cli.suite import keyring_commands, keyring_migration, vault_logins
from tollgate_cli.suite.keyring_migration import How
from tollgate_cli.suite.processes import lock
from tollgate_cli.suite.service_configs import ORIGIN
from tollgate_cli.suite.vault_logins import VaultLogins
from tollgate_cli.vault import delivery, key_moves
from tollgate_kit.secret import Secret
from tollgate_tlog.note import VerifierKey


@pytest.fixture
def world(vault, tmp_path):
    return World(vault, tmp_path)


def signs(world: World) -> bytes:
    """The public half of the log key that Vault signs with."""
    found = world.root.secrets.transit.read_key("tlog", mount_point=world.transit)["data"]
    return base64.b64decode(found["keys"][str(found["latest_version"])]["public_key"])


def test_a_log_key_is_replaced_only_if_that_was_said(world):
    """Whether Vault made it or it was imported: else what another suite signs would change."""
    made = signs(world)
    keys = [os.urandom(32) for _ in range(2)]
    public = [
        Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw() for key in keys
    ]
    for key, half, former in ((keys[0], public[0], made), (keys[1], public[1], public[0])):
        with pytest.raises(Fault, match="another log key") as refused:
            key_moves.import_log_key(world.root, world.transit, Secret(key), replace=False)
        assert ("--replace-log-key" in refused.value.remedy, former) == (True, signs(world))
        key_moves.import_log_key(world.root, world.transit, Secret(key), replace=True)
        assert half == signs(world)
        key_moves.import_log_key(world.root, world.transit, Secret(key), replace=False)


def test_of_two_who_wrap_a_key_at_once_one_is_told(world, tmp_path):
    """The file keeps the key of the first: the other is refused as if it had come later."""
    both = threading.Barrier(2, timeout=20)
    transit, out = world.root.secrets.transit, tmp_path / "pepper"

    def generated(*given, **named):
        answer = transit.generate_data_key(*given, **named)
        both.wait()
        return answer

    client = SimpleNamespace(
        secrets=SimpleNamespace(transit=SimpleNamespace(generate_data_key=generated))
    )
    ends = []

    def wrap():
        try:
            delivery.wrap_key(client, "pepper", out, mount=world.transit, key_file=None)
            ends.append(out.read_text())
        except Fault as fault:
            ends.append(fault.problem)

    threads = [threading.Thread(target=wrap) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    told = [end for end in ends if "is there already" in end]
    assert (1, 2, True) == (len(told), len(ends), out.read_text() in ends)
    assert ["pepper"] == [path.name for path in tmp_path.iterdir() if "pepper" in path.name]


@pytest.mark.parametrize(
    ("name", "begin", "why"),
    [
        ("rotation.lock", alone, "another rotation is under way"),
        (
            "move.lock",
            lambda home: keyring_migration.migrate(
                home, "vault", None, print, How(replace_log_key=False, leave_unreadable=False)
            ),
            "another move of the keys",
        ),
    ],
)
def test_one_at_a_time(tmp_path, name, begin, why):
    """A second rotation of any kind, or a second move, hears that one is under way."""
    held = lock.alone(tmp_path / name, "nobody has it yet")
    try:
        with pytest.raises(Fault, match=why):
            begin(Home(tmp_path))
    finally:
        os.close(held)


def test_a_move_leaves_no_token_to_its_children(tmp_path, monkeypatch):
    """Whoever is started from then on does not find the operator's token in its environment."""
    (tmp_path / "ca.pem").write_text("")
    monkeypatch.setenv("TOLLGATE_HOME", str(tmp_path))
    monkeypatch.setenv("VAULT_TOKEN", "hvs.canary")
    with pytest.raises(Fault, match="holds nothing yet"):
        keyring_commands.keyring_migrate(
            come_from="file", to="vault", address="https://v:1", ca_file=tmp_path / "ca.pem"
        )
    assert "VAULT_TOKEN" not in os.environ


def test_the_version_that_signed_goes_on_to_sign(world, tmp_path):
    """Found by the line that verifiers have; the newest where that is a former one, or of another."""
    home = Home(tmp_path / "home")
    home.make()
    chosen = Chosen(VAULT, world.server.address, str(world.server.ca_file), world.transit)
    logins = VaultLogins(chosen, Secret(world.server.root_token))
    assert {} == logins.signing(home)
    first = str(VerifierKey(ORIGIN, signs(world)))
    home.verifier_key.write_text(f"{first}\n")
    world.rotate("tlog")
    assert {"tlog": 1} == logins.signing(home)
    home.former_log_keys.write_text(f"{first}\n")
    assert {} == logins.signing(home)
    for line in (VerifierKey(ORIGIN, bytes(32)), "nonsense"):
        home.verifier_key.write_text(f"{line}\n")
        assert {} == logins.signing(home)


def test_what_a_service_lacks_is_named_with_the_whole_command(tmp_path):
    """A secret-id that was used up leaves no file: who delivers another need know nothing else."""
    home = Home(tmp_path / "a home")
    home.make()
    (home.root / "postgres" / "data").mkdir(parents=True)
    chosen_keyring.remember(home, Chosen(VAULT, "https://127.0.0.1:8200", "/ca.pem", "transit"))
    out = vault_logins.secret_id_file(home, "audit")
    command = (
        f"tollgate vault deliver audit --out '{out}' --address https://127.0.0.1:8200 "
        "--ca-file /ca.pem"
    )
    assert ([command], []) == (
        vault_logins.undelivered(home, "audit"), vault_logins.undelivered(home, "edge-api")
    )  # fmt: skip
    out.parent.mkdir(exist_ok=True)
    out.touch()
    assert [] == vault_logins.undelivered(home, "audit")
