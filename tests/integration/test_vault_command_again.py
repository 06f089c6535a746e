"""`tollgate vault` at a Vault where something is already: what it must not take away or mix up."""

import json
import stat
from collections.abc import Iterator

import pytest

from tests.integration.test_vault_command import Command, state
from tests.vault.server import VaultServer, vault_server
from tollgate_cli.vault import delivery, wanted


@pytest.fixture(scope="module")
def own(vault_program, tmp_path_factory) -> Iterator[VaultServer]:
    with vault_server(tmp_path_factory.mktemp("vault")) as server:
        yield server


@pytest.fixture
def ready(own, tmp_path) -> Command:
    """The command, after an `init`."""
    command = Command(own, tmp_path)
    command("init", "--replace-mount")
    return command


def test_each_delivery_has_a_role_id_of_its_own(ready, own, tmp_path):
    """Whatever the files are named: two services in one directory log in as themselves."""
    for service in ("router", "audit", "authz"):
        out = tmp_path / f"tollgate.{service}"
        said = ready("deliver", service, "--out", str(out))
        assert f"its role-id is in tollgate.{service}.role-id" in said
    for service in ("router", "audit", "authz"):
        answer = own.root().auth.approle.read_role_id(wanted.PREFIX + service)
        beside = delivery.role_id_file(tmp_path / f"tollgate.{service}")
        assert answer["data"]["role_id"] == beside.read_text().strip()
    usual = tmp_path / "budget.secret-id"
    assert tmp_path / "budget.role-id" == delivery.role_id_file(usual)


def test_policies_of_another_engine_are_not_rewritten_unasked(ready, own):
    """Services that run on it would lose their keys; once it is said, or the engine is gone, they are."""
    before = state(own)
    for dry in ((), ("--dry-run",)):
        said = ready("init", "--mount", "other", *dry, code=1)
        assert 1 == said.count("would take its keys from every service"), said
        assert "are of the engine transit" in said
        assert "--replace-mount" in said
        assert '-path "transit/decrypt/upstream-keys" {' in said
        assert before == state(own)
    ready("init", "--mount", "other", "--replace-mount")
    rules = own.root().sys.read_policy("tollgate-router")["data"]["rules"]
    assert '"other/decrypt/upstream-keys"' in rules
    assert "--mount other goes on with it" in ready("init", code=1)
    own.root().sys.disable_secrets_engine("other")
    assert "changes made" in ready("init")


def test_an_unwrapped_delivery_is_the_secret_id(ready, own, tmp_path):
    """For hosts without deliveries: what is in the file logs in as it is, and is not shown."""
    bound = [word for name in wanted.SERVICES for word in ("--cidr", f"{name}=127.0.0.1/32")]
    ready("init", "--secret-id-days", "30", *bound)
    out = tmp_path / "budget.secret-id"
    said = ready("deliver", "budget", "--out", str(out), "--unwrapped")
    secret_id = out.read_text().strip()
    assert (0o400, False) == (stat.S_IMODE(out.stat().st_mode), secret_id in said)
    role_id = delivery.role_id_file(out).read_text().strip()
    for _ in range(2):
        answer = own.client().auth.approle.login(role_id, secret_id)
        assert ["tollgate-budget"] == answer["auth"]["token_policies"]


def test_a_secret_id_that_is_good_once_is_not_delivered_unwrapped(ready, tmp_path):
    """The service would log in once, and never again: refused, with what to do; nothing is written."""
    out = tmp_path / "router.secret-id"
    said = ready("deliver", "router", "--out", str(out), "--unwrapped", code=1)
    assert "is good once" in said
    assert "--secret-id-days" in said
    assert [] == list(tmp_path.glob("router.*"))


def test_audit_devices_are_two_files(ready, own, tmp_path):
    """One file twice is refused before Vault is asked; one more later gets a name that is free."""
    one, two = str(tmp_path / "one.log"), str(tmp_path / "two.log")
    before = state(own)
    said = ready("init", "--audit-file", one, "--audit-file", one, code=1)
    assert ("names one file twice" in said, before) == (True, state(own))
    ready("init", "--audit-file", one)
    ready("init", "--audit-file", two)
    devices = own.root().sys.list_enabled_audit_devices()["data"]
    files = {name: device["options"]["file_path"] for name, device in devices.items()}
    assert {"tollgate-1/": one, "tollgate-2/": two}.items() <= files.items(), json.dumps(files)
    for name in ("tollgate-1", "tollgate-2"):
        own.root().sys.disable_audit_device(name)
