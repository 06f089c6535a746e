"""A home remembers which keyring it was made with, and is not started with another."""

import os

import pytest

from tollgate_cli import chosen_keyring, keyrings
from tollgate_cli.chosen_keyring import FILE, VAULT, Chosen
from tollgate_cli.fault import Fault
from tollgate_cli.home import Home
from tollgate_cli.private_file import secret
from tollgate_cli.suite import keyring_migration, vault_logins
from tollgate_cli.suite.processes import lock
from tollgate_cli.suite.vault_logins import Asked
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.secret import Secret

AT = Chosen(VAULT, "https://vault:8200", "/ca.pem", "transit")


@pytest.fixture
def home(tmp_path) -> Home:
    made = Home(tmp_path / "home")
    made.make()
    (made.root / "postgres" / "data").mkdir(parents=True)
    return made


@pytest.mark.parametrize(("made", "other"), [(Chosen(), VAULT), (AT, FILE)])
def test_the_other_keyring_is_refused_with_the_way_there(home, made, other) -> None:
    """Its keys are in the first one: they are moved, or it is started with that."""
    chosen_keyring.remember(home, made)
    assert made == chosen_keyring.remembered(home)
    with pytest.raises(Fault) as refused:
        vault_logins.asked(home, Asked(other))
    assert f"tollgate keyring migrate --from {made.kind} --to {other}" in refused.value.remedy


def test_a_home_of_before_has_files(home) -> None:
    """One with data that does not say so was made with files."""
    assert Chosen() == chosen_keyring.remembered(home)
    assert vault_logins.asked(home, Asked()) is None


def test_a_home_that_holds_nothing_may_have_either(tmp_path) -> None:
    """A first start that failed has decided nothing."""
    home = Home(tmp_path / "home")
    home.make()
    chosen_keyring.remember(home, AT)
    assert chosen_keyring.remembered(home) is None
    chosen_keyring.check_same(home, FILE)


def test_a_home_between_two_keyrings_starts_with_none(home) -> None:
    """Its rows are in both: only the move itself reads both."""
    chosen_keyring.remember(home, Chosen(moving=VAULT))
    for kind in (FILE, VAULT):
        with pytest.raises(Fault, match="has not ended") as refused:
            chosen_keyring.check_same(home, kind)
        assert "--from file --to vault" in refused.value.remedy


def test_a_home_of_vaults_that_lost_its_note_is_not_taken_for_files(home) -> None:
    """New keys would be made for it, under the old names."""
    (home.keyrings / "pepper.wrapped").write_text("vault:v1:x")
    with pytest.raises(Fault, match=r"keyring\.json is missing"):
        chosen_keyring.remembered(home)


def test_a_log_key_that_was_rotated_is_not_left_behind(home) -> None:
    """A move takes its first version; with another there it moves nothing."""
    keyrings.ensure(home.keyrings)
    keyring_migration.require_first_log_key(home)
    path, unlock = keyrings.files(home.keyrings, "audit")
    added = {"tlog-2": ("ed25519", Secret(b"k" * 32))}
    keyring_file.change(path, Secret(secret(unlock)), add=added)
    with pytest.raises(Fault, match="the log's key as tlog, tlog-2"):
        keyring_migration.require_first_log_key(home)


def test_two_rotations_are_not_at_once(tmp_path) -> None:
    """Each would make a version of its own."""
    held = lock.alone(tmp_path / "rotation.lock", "another is under way")
    with pytest.raises(Fault, match="another is under way"):
        lock.alone(tmp_path / "rotation.lock", "another is under way")
    os.close(held)
    os.close(lock.alone(tmp_path / "rotation.lock", "another is under way"))


@pytest.mark.parametrize("text", ['{"kind": "paper"}', "[]", '{"kind": "vault", "mount": 7}'])
def test_a_spoilt_note_is_named(home, text) -> None:
    """It is not guessed at: a wrong guess would make new keys beside old data."""
    home.keyring_json.write_text(text)
    with pytest.raises(Fault, match="was altered"):
        chosen_keyring.remembered(home)


def test_what_is_not_said_is_as_last_time(home, tmp_path) -> None:
    """The second start needs a token alone; what is missing of it is said together."""
    authority, token = tmp_path / "ca.pem", tmp_path / "token"
    authority.touch()
    token.write_text("hvs.a")
    token.chmod(0o400)
    chosen = Chosen(VAULT, "https://vault:8200", str(authority), "mine")
    chosen_keyring.remember(home, chosen)
    made = vault_logins.asked(home, Asked(token_file=token))
    assert made is not None
    assert (chosen, "hvs.a") == (made.chosen, made.token.reveal())
    made.drop()
    with pytest.raises(Fault):
        _ = made.token


def test_options_of_vault_without_it_are_refused(tmp_path) -> None:
    """Rather than a suite on files that its user takes for one on Vault."""
    with pytest.raises(Fault, match="go with --keyring vault"):
        vault_logins.asked(Home(tmp_path), Asked(address="https://vault:8200"))
