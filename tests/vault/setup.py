"""A Vault as `tollgate vault init` makes it, and logins of its services, for tests."""

from collections.abc import Mapping
from pathlib import Path

import hvac

from tests.vault.server import VaultServer
from tollgate_cli.vault import changes, delivery, wanted
from tollgate_cli.vault.wanted import LoginTerms

LOOPBACK = ("127.0.0.1/32",)


def set_up(vault: VaultServer, *, cidrs: Mapping[str, tuple[str, ...]] | None = None) -> None:
    """Makes every change that is needed; each service is bound to loopback, or as `cidrs` says."""
    bound = dict.fromkeys(wanted.SERVICES, LOOPBACK) if cidrs is None else cidrs
    for change in changes.difference(
        vault.root(), mount=wanted.MOUNT, terms=LoginTerms(bound), audit_files=()
    ):
        assert not change.refusal, change.refusal
        change.make()


def deliver(vault: VaultServer, service: str, directory: Path, *, ttl_s: int = 120) -> Path:
    """The file with a wrapped secret-id; its role-id is beside it (`delivery.role_id_file`)."""
    out = directory / f"{service}.secret-id"
    delivery.deliver(vault.root(), service, out, ttl_s=ttl_s)
    return out


def login(vault: VaultServer, service: str) -> hvac.Client:
    """A client that is logged in as a service."""
    name, root = wanted.PREFIX + service, vault.root()
    role_id = root.auth.approle.read_role_id(name)["data"]["role_id"]
    secret_id = root.auth.approle.generate_secret_id(name)["data"]["secret_id"]
    client = vault.client()
    client.auth.approle.login(role_id, secret_id)
    return client


def wrap_key(vault: VaultServer, name: str, directory: Path) -> Path:
    """The file with a new key of a name, wrapped."""
    out = directory / f"{name}.wrapped"
    delivery.wrap_key(vault.root(), name, out, mount=wanted.MOUNT, key_file=None)
    return out
