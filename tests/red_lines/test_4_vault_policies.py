"""Red line 4, in Vault: each identity may do what its work needs, and nothing else.

The table below is the promise: identity x path, asked of a real Vault with each identity's own
login. Every answer is either what was asked for or 403; another one is wrong, too.
"""

import base64
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.vault.server import VaultServer, vault_server
from tests.vault.setup import login, set_up
from tollgate_cli.vault import wanted

CONTEXT = base64.b64encode(b"tenant|key|https://api.example:443").decode()
CANARY = "sk-canary-" + "vau1t" * 8
DELIVERED = tuple(f"deliver-{service}" for service in wanted.SERVICES)
EVERYBODY = (*wanted.SERVICES, *DELIVERED)
ROLE = "auth/approle/role/tollgate-"

# What is asked of Vault, and who of EVERYBODY may: by name; nobody, where none stands.
TABLE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    # Upstream keys: what opens them cannot take one in, what takes them in can open none.
    ("POST", "transit/decrypt/upstream-keys", ("router",)),
    ("POST", "transit/rewrap/upstream-keys", ("router",)),
    ("POST", "transit/rewrap/subject-keys", ("audit",)),
    ("POST", "transit/encrypt/upstream-keys", ("router-admin",)),
    # The key that budget and router share.
    ("POST", "transit/decrypt/reservation", ("router", "budget")),
    ("POST", "transit/encrypt/reservation", ()),
    ("POST", "transit/hmac/reservation/sha2-256", ()),
    ("POST", "transit/decrypt/pepper", ("authz",)),
    ("POST", "transit/encrypt/pepper", ()),
    ("POST", "transit/rewrap/pepper", ()),
    ("POST", "transit/decrypt/oidc-client", ("authz",)),
    ("POST", "transit/encrypt/oidc-client", ("authz-admin",)),
    # The log: signatures, the public half, and the people in it.
    ("POST", "transit/sign/tlog", ("audit",)),
    ("GET", "transit/keys/tlog", ("audit",)),
    ("POST", "transit/decrypt/subject-keys", ("audit",)),
    ("POST", "transit/encrypt/subject-keys", ("audit",)),
    # Keys leave Vault for nobody, and nobody changes, makes or removes one.
    ("GET", "transit/export/encryption-key/upstream-keys", ()),
    ("GET", "transit/export/signing-key/tlog", ()),
    ("GET", "transit/backup/upstream-keys", ()),
    ("POST", "transit/datakey/plaintext/pepper", ()),
    ("POST", "transit/datakey/wrapped/reservation", ()),
    ("GET", "transit/keys/upstream-keys", ()),
    ("LIST", "transit/keys", ()),
    ("POST", "transit/keys/upstream-keys/rotate", ()),
    ("POST", "transit/keys/upstream-keys/config", ()),
    ("POST", "transit/keys/upstream-keys/trim", ()),
    ("POST", "transit/keys/another", ()),
    ("POST", "transit/encrypt/another", ()),
    ("DELETE", "transit/keys/pepper", ()),
    # Certificates: each edge its own.
    ("POST", "pki/issue/tollgate-edge-api", ("edge-api",)),
    ("POST", "pki/issue/tollgate-edge-portal", ("edge-portal",)),
    ("POST", "pki/issue/tollgate-edge-console", ("edge-console",)),
    ("POST", "pki/sign/tollgate-edge-api", ()),
    # Logins: a secret-id is made by its own delivery alone, and nobody reads or changes a role.
    *(("POST", f"{ROLE}{service}/secret-id", (f"deliver-{service}",))
      for service in wanted.SERVICES),
    ("GET", f"{ROLE}router", ()),
    ("POST", f"{ROLE}router", ()),
    ("GET", f"{ROLE}router/role-id", ()),
    ("LIST", f"{ROLE}router/secret-id", ()),
    ("POST", f"{ROLE}router/custom-secret-id", ()),
    # Vault itself.
    ("POST", "auth/token/create", ()),
    ("LIST", "auth/token/accessors", ()),
    ("POST", "identity/entity", ()),
    ("GET", "sys/policies/acl/tollgate-router", ()),
    ("PUT", "sys/policies/acl/tollgate-router", ()),
    ("GET", "sys/mounts", ()),
    ("POST", "sys/mounts/another", ()),
    ("GET", "sys/audit", ()),
    ("DELETE", "sys/audit/one", ()),
    ("GET", "sys/raw/core", ()),
    ("GET", "sys/storage/raft/snapshot", ()),
    ("POST", "sys/wrapping/wrap", ()),
    ("PUT", "cubbyhole/note", ()),
    # Its own token: last, as it is gone afterwards.
    ("GET", "auth/token/lookup-self", wanted.SERVICES),
    ("POST", "auth/token/renew-self", wanted.SERVICES),
    ("POST", "auth/token/revoke-self", wanted.SERVICES),
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """A Vault as `tollgate vault init` makes it, in which every key has encrypted something."""

    vault: VaultServer
    bodies: Mapping[str, dict[str, Any]]

    def token(self, identity: str) -> str:
        """A fresh login; who delivers has a token that an operator made."""
        if identity in wanted.SERVICES:
            return login(self.vault, identity).token
        made = self.vault.root().auth.token.create(
            policies=[wanted.PREFIX + identity], no_default_policy=True, no_parent=True
        )
        return made["auth"]["client_token"]

    def ask(
        self,
        token: str,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        **headers: str,
    ) -> httpx.Response:
        """One request, over a connection of its own."""
        given = self.bodies.get(path, {}) if body is None else body
        with client(self.vault) as connection:
            return connection.request(
                method, f"/v1/{path}", json=None if method in {"GET", "LIST"} else given,
                headers={"X-Vault-Token": token, **headers},
            )  # fmt: skip


def client(vault: VaultServer, source: str = "127.0.0.1") -> httpx.Client:
    """A connection from an address of this machine."""
    trusted = ssl.create_default_context(cafile=vault.ca_file)
    transport = httpx.HTTPTransport(verify=trusted, local_address=source)
    return httpx.Client(base_url=vault.address, transport=transport, timeout=30)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture(scope="module")
def world(vault_program, tmp_path_factory) -> Iterator[World]:
    """A server of this module's own: a wrong policy may do anything to it."""
    with vault_server(tmp_path_factory.mktemp("vault")) as vault:
        set_up(vault)
        _make_authority(vault)
        bodies: dict[str, dict[str, Any]] = {"transit/sign/tlog": {"input": b64("checkpoint")}}
        transit = vault.root().secrets.transit
        for key in wanted.KEYS:
            if key.kind != "aes256-gcm96":
                continue
            context = {"context": CONTEXT} if key.is_derived else {}
            said = transit.encrypt_data(key.name, plaintext=b64(CANARY), **context)
            ciphertext = {"ciphertext": said["data"]["ciphertext"], **context}
            bodies[f"transit/decrypt/{key.name}"] = ciphertext
            bodies[f"transit/rewrap/{key.name}"] = ciphertext
            bodies[f"transit/encrypt/{key.name}"] = {"plaintext": b64("new"), **context}
        for edge in ("api", "portal", "console"):
            name = f"edge-{edge}.tollgate.internal"
            bodies[f"pki/issue/tollgate-edge-{edge}"] = {"common_name": name}
        yield World(vault, bodies)


def _make_authority(vault: VaultServer) -> None:
    """The PKI that an operator may have: a role for each edge, for its own name."""
    root = vault.root()
    root.sys.enable_secrets_engine("pki")
    root.write("pki/root/generate/internal", common_name="Tollgate test")
    for edge in ("api", "portal", "console"):
        name = f"edge-{edge}.tollgate.internal"
        root.write(
            f"pki/roles/tollgate-edge-{edge}", allowed_domains=[name], allow_bare_domains=True,
            max_ttl="24h",
        )  # fmt: skip


def test_the_table_is_as_large_as_it_was_promised():
    """Nine logins and a delivery for each, on more than 28 paths; each row names who exists."""
    assert len(wanted.SERVICES) * len(TABLE) >= 224
    assert len({(method, path) for method, path, _ in TABLE}) == len(TABLE)
    assert {name for _, _, allowed in TABLE for name in allowed} <= set(EVERYBODY)
    # Nobody stands in it without a right, or else a spoilt login would look like a closed door.
    assert set(EVERYBODY) == {name for _, _, allowed in TABLE for name in allowed}


@pytest.mark.parametrize("identity", EVERYBODY)
def test_trust_47_an_identity_may_do_its_own_work_and_nothing_else(world: World, identity: str):
    """Every row of the table, asked with this identity's own token: done, or 403."""
    token = world.token(identity)
    wrong = []
    for method, path, allowed in TABLE:
        headers = {"X-Vault-Wrap-TTL": "60s"} if path.endswith("/secret-id") else {}
        status = world.ask(token, method, path, **headers).status_code
        if (status in {200, 204}) != (identity in allowed) or status not in {200, 204, 403}:
            wrong.append((method, path, status))
    assert [] == wrong


@pytest.mark.parametrize("identity", EVERYBODY)
def test_no_path_that_vault_has_is_open_beside_the_table(world: World, identity: str):
    """Vault's own description of every path it serves: no capability on any that has no row."""
    described = world.vault.root().read("sys/internal/specs/openapi")["paths"]
    # Names of keys, roles and mounts as Tollgate has them, so that they are not just unknown.
    names = ("upstream-keys", "pepper", "tlog", "tollgate-router", "tollgate-edge-api")
    paths = set()
    for path in described:
        for name in names:
            parts = (name if part.startswith("{") else part for part in path.strip("/").split("/"))
            paths.add("/".join(parts))
    assert len(paths) > 500
    asked = {"token": world.token(identity), "paths": sorted(paths)}
    found = world.ask(world.vault.root_token, "POST", "sys/capabilities", body=asked).json()
    rows = {path for _, path, allowed in TABLE if identity in allowed}
    open_to_it = {path for path in paths if found[path] != ["deny"]}
    assert open_to_it <= rows


def test_a_token_is_short_of_life_and_bare(world: World):
    """15 minutes, 24 hours at most, one policy, no default one; renewed it ends all the same."""
    for service in wanted.SERVICES:
        token = world.token(service)
        found = world.ask(token, "GET", "auth/token/lookup-self").json()["data"]
        assert [wanted.PREFIX + service] == found["policies"]
        assert not found.get("identity_policies")
        assert (900, 86400) == (found["creation_ttl"], found["explicit_max_ttl"])
        assert ("service", True, 0) == (found["type"], found["renewable"], found["num_uses"])
        renewed = world.ask(token, "POST", "auth/token/renew-self", body={"increment": "30d"})
        assert renewed.json()["auth"]["lease_duration"] <= 86400


def test_a_token_that_is_revoked_is_dead_at_once(world: World):
    """By its owner, or by an operator who knows its accessor alone: 403 from the next request on."""
    path = "transit/decrypt/reservation"
    first, second = world.token("budget"), world.token("budget")
    accessor = world.ask(second, "GET", "auth/token/lookup-self").json()["data"]["accessor"]
    assert 204 == world.ask(first, "POST", "auth/token/revoke-self").status_code
    assert (403, 200) == tuple(world.ask(t, "POST", path).status_code for t in (first, second))
    world.vault.root().auth.token.revoke_accessor(accessor)
    assert 403 == world.ask(second, "POST", path).status_code


def test_a_policy_that_is_taken_away_holds_from_the_next_request_on(world: World):
    """A token in use loses what its policy lost, and has it back when the policy is put right."""
    token, path = world.token("budget"), "transit/decrypt/reservation"
    name = "tollgate-budget"
    world.vault.root().sys.create_or_update_policy(name, "# nothing\n")
    try:
        assert 403 == world.ask(token, "POST", path).status_code
    finally:
        set_up(world.vault)
    assert 200 == world.ask(token, "POST", path).status_code


def test_a_ciphertext_opens_in_its_own_place_only(world: World):
    """Another context, none, another key: refused, though the token may use the key."""
    token, path = world.token("router"), "transit/decrypt/upstream-keys"
    body = world.bodies[path]
    opened = world.ask(token, "POST", path).json()["data"]["plaintext"]
    assert CANARY == base64.b64decode(opened).decode()
    elsewhere = b64("tenant|key|https://evil.example:443")
    for wrong in ({**body, "context": elsewhere}, {"ciphertext": body["ciphertext"]}):
        assert 400 == world.ask(token, "POST", path, body=wrong).status_code
    moved = {"ciphertext": body["ciphertext"]}
    assert 400 == world.ask(token, "POST", "transit/decrypt/reservation", body=moved).status_code


def test_nothing_secret_stands_in_what_vault_writes_down(world: World):
    """Neither the canary, encoded or not, nor a token is in an audit file or Vault's own log."""
    token = world.token("router")
    assert 200 == world.ask(token, "POST", "transit/decrypt/upstream-keys").status_code
    for path in (*world.vault.audit_files, world.vault.log):
        text = path.read_text()
        assert len(text) > 1000
        for secret in (CANARY, b64(CANARY), token, world.vault.root_token):
            assert secret not in text
