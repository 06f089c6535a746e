"""Red line 4, in Vault: a login is delivered so that who steals it is noticed, or gains nothing."""

import ssl
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.live import wait_until
from tests.vault.server import VaultServer, vault_server
from tests.vault.setup import LOOPBACK, login, set_up
from tollgate_cli.vault import wanted

SERVICE = "router"
PATH = f"auth/approle/role/tollgate-{SERVICE}/secret-id"


class World:
    """A Vault as `tollgate vault init` makes it, asked from any address of this machine."""

    def __init__(self, vault: VaultServer) -> None:
        self.vault = vault

    def ask(
        self, token: str, path: str, body: dict[str, Any] | None = None, *,
        source: str = "127.0.0.1", **headers: str,
    ) -> httpx.Response:  # fmt: skip
        """One POST, over a connection of its own."""
        trusted = ssl.create_default_context(cafile=self.vault.ca_file)
        transport = httpx.HTTPTransport(verify=trusted, local_address=source)
        with httpx.Client(base_url=self.vault.address, transport=transport, timeout=30) as client:
            return client.post(
                f"/v1/{path}", json=body, headers={"X-Vault-Token": token, **headers}
            )

    def deliverer(self, service: str = SERVICE) -> str:
        """The token of whatever starts a service."""
        made = self.vault.root().auth.token.create(
            policies=[f"tollgate-deliver-{service}"], no_default_policy=True, no_parent=True
        )
        return made["auth"]["client_token"]

    def wrapped(self, ttl: str = "60s") -> str:
        """A wrapping token, as a service finds it in its file."""
        answer = self.ask(self.deliverer(), PATH, **{"X-Vault-Wrap-TTL": ttl})
        return answer.json()["wrap_info"]["token"]

    def role_id(self, service: str = SERVICE) -> str:
        found = self.vault.root().auth.approle.read_role_id(wanted.PREFIX + service)
        return found["data"]["role_id"]

    def secret_id(self) -> str:
        """What is in the wrapping."""
        return self.ask(self.wrapped(), "sys/wrapping/unwrap").json()["data"]["secret_id"]

    def log_in(self, secret_id: str, *, service: str = SERVICE, source: str = "127.0.0.1") -> Any:
        body = {"role_id": self.role_id(service), "secret_id": secret_id}
        return self.ask("", "auth/approle/login", body, source=source)


@pytest.fixture(scope="module")
def world(vault_program, tmp_path_factory) -> Iterator[World]:
    """A server of this module's own: it is sealed, stopped and its roles are changed."""
    with vault_server(tmp_path_factory.mktemp("vault")) as vault:
        set_up(vault)
        yield World(vault)


def test_a_delivery_without_wrapping_is_refused(world: World):
    """Who delivers cannot read a secret-id: without a wrapping, Vault makes it none."""
    answer = world.ask(world.deliverer(), PATH)
    assert 403 == answer.status_code
    assert "secret_id" not in answer.text


@pytest.mark.parametrize("ttl", ["1s", "14s", "301s", "1h"])
def test_a_wrapping_of_another_length_is_refused(world: World, ttl: str):
    """Shorter than 15 s nobody can read it in time; longer than 300 s it lies about."""
    assert 403 == world.ask(world.deliverer(), PATH, **{"X-Vault-Wrap-TTL": ttl}).status_code


@pytest.mark.parametrize("ttl", ["15s", "300s"])
def test_a_wrapping_at_either_bound_is_made(world: World, ttl: str):
    """The bounds are part of what is allowed."""
    assert 200 == world.ask(world.deliverer(), PATH, **{"X-Vault-Wrap-TTL": ttl}).status_code


def test_a_second_reader_gets_nothing(world: World):
    """A wrapping opens once: who comes second is refused, and so knows that somebody was first."""
    token = world.wrapped()
    assert 200 == world.ask(token, "sys/wrapping/unwrap").status_code
    for _ in range(2):
        assert 400 == world.ask(token, "sys/wrapping/unwrap").status_code


def test_a_look_at_a_wrapping_does_not_use_it_up(world: World):
    """Its origin and length can be asked for first; what is in it is still there afterwards."""
    token = world.wrapped("120s")
    for _ in range(2):
        found = world.ask("", "sys/wrapping/lookup", {"token": token}).json()["data"]
        assert (PATH, 120) == (found["creation_path"], found["creation_ttl"])
    assert 200 == world.ask(token, "sys/wrapping/unwrap").status_code


def test_a_forged_wrapping_shows_where_it_comes_from(world: World):
    """A thief who opened one and wraps it again cannot give it its first origin."""
    stolen = world.secret_id()
    body = {"secret_id": stolen, "secret_id_accessor": "x"}
    headers = {"X-Vault-Wrap-TTL": "60s"}
    forged = world.ask(world.vault.root_token, "sys/wrapping/wrap", body, **headers).json()
    token = forged["wrap_info"]["token"]
    found = world.ask("", "sys/wrapping/lookup", {"token": token}).json()["data"]
    assert "sys/wrapping/wrap" == found["creation_path"]


def test_a_wrapping_of_another_role_shows_it(world: World):
    """Two deliveries that were exchanged are told apart before they are opened."""
    path = "auth/approle/role/tollgate-audit/secret-id"
    answer = world.ask(world.deliverer("audit"), path, **{"X-Vault-Wrap-TTL": "60s"})
    token = answer.json()["wrap_info"]["token"]
    found = world.ask("", "sys/wrapping/lookup", {"token": token}).json()["data"]
    assert path == found["creation_path"]


def test_a_wrapping_token_does_nothing_else(world: World):
    """It reads no key, makes no token, and a login takes it for no secret-id."""
    token = world.wrapped()
    body = {"plaintext": "eA==", "context": "eA=="}
    assert 403 == world.ask(token, "transit/encrypt/upstream-keys", body).status_code
    assert 403 == world.ask(token, "auth/token/create", {}).status_code
    assert 400 == world.log_in(token).status_code


def test_a_wrapping_that_nobody_read_in_time_is_gone(world: World):
    """After its length it opens for nobody: a file that was forgotten is worth nothing."""
    made = world.ask(world.vault.root_token, PATH, **{"X-Vault-Wrap-TTL": "1s"})
    token = made.json()["wrap_info"]["token"]
    time.sleep(1.5)
    assert 400 == world.ask(token, "sys/wrapping/unwrap").status_code


def test_a_secret_id_is_good_once(world: World):
    """The second login with it is refused: a copy of what a service read is worth nothing."""
    secret_id = world.secret_id()
    assert 200 == world.log_in(secret_id).status_code
    assert 400 == world.log_in(secret_id).status_code


def test_a_secret_id_is_good_for_its_role_alone(world: World):
    """With another service's role-id it logs nobody in."""
    assert 400 == world.log_in(world.secret_id(), service="audit").status_code


def test_a_secret_id_ends_with_its_time(world: World):
    """One that was not used ends by itself: ten minutes as delivered, one second here.

    Vault looks for those whose time is over once a minute, and whenever it is told to; a login
    does not look at the time. So the end is up to a minute late.
    """
    root, name = world.vault.root(), "tollgate-router"
    found = root.auth.approle.read_role(name)["data"]
    assert (1, 600) == (found["secret_id_num_uses"], found["secret_id_ttl"])
    secret_id = world.ask(root.token, PATH, {"ttl": "1s"}).json()["data"]["secret_id"]
    assert (1, 1) == (
        root.auth.approle.read_secret_id(name, secret_id)["data"]["secret_id_num_uses"],
        root.auth.approle.read_secret_id(name, secret_id)["data"]["secret_id_ttl"],
    )
    time.sleep(1.5)
    assert 202 == world.ask(root.token, "auth/approle/tidy/secret-id", {}).status_code
    wait_until(lambda: _is_gone(world, secret_id), 30)
    assert 400 == world.log_in(secret_id).status_code


def _is_gone(world: World, secret_id: str) -> bool:
    path = f"{PATH}/lookup"
    return world.ask(world.vault.root_token, path, {"secret_id": secret_id}).status_code == 204


def test_from_another_network_neither_login_nor_token_is_good(world: World):
    """A role that is bound to an address: a stolen secret-id or token elsewhere opens nothing."""
    secret_id = world.secret_id()
    assert world.log_in(secret_id, source="127.0.0.2").status_code in {400, 403}
    token = login(world.vault, SERVICE).token
    path = "auth/token/renew-self"
    assert 403 == world.ask(token, path, {}, source="127.0.0.2").status_code
    assert 200 == world.ask(token, path, {}).status_code


def test_a_token_ends_however_often_it_is_renewed(world: World):
    """The end of a token is fixed when it is made: with 3 s in place of 24 h, renewals included."""
    root, name = world.vault.root(), "tollgate-budget"
    root.auth.approle.create_or_update_approle(name, token_ttl="2s", token_explicit_max_ttl="3s")
    try:
        token = login(world.vault, "budget").token
    finally:
        set_up(world.vault)
    began = time.monotonic()
    while world.ask(token, "auth/token/renew-self", {}).status_code == 200:
        assert time.monotonic() - began < 10
        time.sleep(0.5)
    use = "transit/decrypt/reservation"
    wait_until(lambda: world.ask(token, use, {"ciphertext": "-"}).status_code == 403, 10)
    assert 2 < time.monotonic() - began < 15


def test_a_sealed_vault_opens_nothing_and_recovers(world: World):
    """Sealed, every request and every login is 503; unsealed, the same token works on."""
    token, secret_id = login(world.vault, SERVICE).token, world.secret_id()
    world.vault.seal()
    try:
        assert 503 == world.ask(token, "auth/token/renew-self", {}).status_code
        body = {"role_id": "x", "secret_id": secret_id}
        assert 503 == world.ask("", "auth/approle/login", body).status_code
    finally:
        world.vault.unseal()
    assert 200 == world.ask(token, "auth/token/renew-self", {}).status_code
    assert 200 == world.log_in(secret_id).status_code


def test_a_restart_keeps_tokens_revocations_and_what_was_used_up(world: World):
    """After kill -9 a token works on, a revoked one does not, a used secret-id stays used."""
    kept, revoked = login(world.vault, SERVICE).token, login(world.vault, SERVICE).token
    used, wrapping = world.secret_id(), world.wrapped()
    assert 200 == world.log_in(used).status_code
    assert 200 == world.ask(wrapping, "sys/wrapping/unwrap").status_code
    assert 204 == world.ask(revoked, "auth/token/revoke-self").status_code
    world.vault.kill()
    world.vault.start()
    renew = "auth/token/renew-self"
    assert (200, 403) == tuple(world.ask(t, renew, {}).status_code for t in (kept, revoked))
    assert 400 == world.log_in(used).status_code
    assert 400 == world.ask(wrapping, "sys/wrapping/unwrap").status_code


def test_secret_ids_of_many_days_are_still_bound_to_a_network(world: World):
    """Where nobody delivers: several logins with one secret-id, from its own network alone."""
    from tollgate_cli.vault import changes

    terms = wanted.LoginTerms(dict.fromkeys(wanted.SERVICES, LOOPBACK), secret_id_days=30)
    root = world.vault.root()
    for change in changes.difference(root, mount="transit", terms=terms, audit_files=()):
        change.make()
    try:
        secret_id = world.secret_id()
        assert [200, 200] == [world.log_in(secret_id).status_code for _ in range(2)]
        assert world.log_in(secret_id, source="127.0.0.2").status_code in {400, 403}
    finally:
        set_up(world.vault)
