"""`tollgate vault` against a real Vault: what it shows, changes, refuses and hands out."""

import base64
import contextlib
import http.server
import io
import json
import re
import ssl
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import hvac
import pytest

from tests.vault.server import VaultServer, vault_server
from tests.vault.setup import login
from tollgate_cli import main
from tollgate_cli.vault import wanted

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def own(vault_program, tmp_path_factory):
    with vault_server(tmp_path_factory.mktemp("vault")) as server:
        yield server


class Command:
    """The command as an operator types it, with the root token in a private file.

    In this process: what it does is asked of Vault, and starting Python for each is minutes.
    """

    def __init__(self, vault: VaultServer, place: Path) -> None:
        self._vault = vault
        self.token_file = place / "token"
        self.use(vault.root_token)

    def use(self, token: str) -> None:
        self.token_file.unlink(missing_ok=True)
        self.token_file.write_text(token + "\n")
        self.token_file.chmod(0o400)

    def __call__(self, *words: str, code: int = 0, **environment: str) -> str:
        place = {"VAULT_ADDR": self._vault.address, "VAULT_CACERT": str(self._vault.ca_file)}
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**place, **environment}.items():
                patch.setenv(name, value)
            argv = ["tollgate", "vault", *words, "--token-file", str(self.token_file)]
            patch.setattr(sys, "argv", argv)
            with (
                contextlib.redirect_stdout(said),
                contextlib.redirect_stderr(said),
                pytest.raises(SystemExit) as ended,
            ):
                main.main()
        assert code == ended.value.code, said.getvalue()
        # Whatever happens: no token of anybody is shown.
        assert not re.search(r"\bhvs\.", said.getvalue())
        return said.getvalue()


@pytest.fixture
def command(own, tmp_path) -> Command:
    return Command(own, tmp_path)


@pytest.fixture
def ready(command) -> Command:
    """The command, after an `init`."""
    command("init")
    return command


def state(vault: VaultServer) -> str:
    """Everything that `init` may change."""
    root = vault.root()
    policies = root.sys.list_policies()["data"]["policies"]
    shown = {
        "policies": {name: root.sys.read_policy(name) for name in policies if name != "root"},
        "engines": sorted(root.sys.list_mounted_secrets_engines()["data"]),
        "methods": sorted(root.sys.list_auth_methods()["data"]),
        "audit": sorted(root.sys.list_enabled_audit_devices()["data"]),
    }
    return re.sub(r'"request_id": "[^"]*"', "", json.dumps(shown, sort_keys=True))


def test_a_dry_run_shows_everything_and_changes_nothing(vault_program, tmp_path):
    """A new Vault: every key, role and policy is named, with its text, and none is made."""
    with vault_server(tmp_path) as fresh:
        before = state(fresh)
        said = Command(fresh, tmp_path)("init", "--dry-run", "--audit-file", "stdout")
        assert before == state(fresh)
    for name in (
        *(f"key transit/{key.name}" for key in wanted.KEYS),
        *(f"role tollgate-{service}" for service in wanted.SERVICES),
        *(f"policy {name}" for name in wanted.policies("transit")),
        "audit device tollgate-1", "secrets engine transit", "auth method approle",
    ):  # fmt: skip
        assert f"{name}:\n" in said
    assert '+path "transit/decrypt/upstream-keys" {' in said
    assert "+ secret_id_num_uses = 1" in said


def test_init_makes_what_is_wanted_and_a_second_one_changes_nothing(command, own):
    """After it keys, roles and policies are as trust demands, and there is no difference left."""
    networks = ("--cidr", "router=127.0.0.1/32", "--cidr", "router=fd00::/8")
    command("init", *networks)
    before = state(own)
    assert "nothing to change" in command("init"), "who is not named stays bound"
    assert "no difference" in command("init", "--dry-run", *networks)
    assert "+ token_bound_cidrs = any" in command("init", "--dry-run", "--cidr", "router=any")
    assert before == state(own)
    root = own.root()
    for key in wanted.KEYS:
        found = root.secrets.transit.read_key(key.name)["data"]
        assert (False, False, False) == (
            found["exportable"], found["allow_plaintext_backup"], found["deletion_allowed"]
        )  # fmt: skip
        assert (key.kind, key.is_derived) == (found["type"], found["derived"])
    role = root.auth.approle.read_role("tollgate-router")["data"]
    assert ("service", 900, 86400, True) == (
        role["token_type"], role["token_ttl"], role["token_explicit_max_ttl"],
        role["token_no_default_policy"],
    )  # fmt: skip
    bound = len(role["token_bound_cidrs"])
    assert (1, 600, 2) == (role["secret_id_num_uses"], role["secret_id_ttl"], bound)


def test_init_corrects_what_someone_changed_and_shows_it(ready, own):
    """A policy and a role that were widened are shown line by line, and put right."""
    root = own.root()
    widened = 'path "transit/*" {\n  capabilities = ["update"]\n}\n'
    root.sys.create_or_update_policy("tollgate-budget", widened)
    root.auth.approle.create_or_update_approle(
        "tollgate-budget", token_ttl="24h", token_policies=["tollgate-budget", "tollgate-router"]
    )
    root.secrets.transit.update_key_configuration("pepper", deletion_allowed=True)
    shown = ready("init", "--dry-run")
    assert "3 differences" in shown
    for line in (
        '-path "transit/*" {', '+path "transit/decrypt/reservation" {',
        "- token_ttl = 86400", "+ token_ttl = 900",
        "- token_policies = tollgate-budget, tollgate-router", "+ token_policies = tollgate-budget",
        "- deletion_allowed = true", "+ deletion_allowed = false",
    ):  # fmt: skip
        assert f"  {line}\n" in shown
    assert widened.strip() == root.sys.read_policy("tollgate-budget")["data"]["rules"].strip()
    assert "3 changes made" in ready("init")
    assert "nothing to change" in ready("init")


def test_an_operators_token_is_enough_and_opens_nothing(vault_program, tmp_path):
    """With deploy/vault/operator.hcl alone: init, a second init, deliver, wrap-key; no decrypt."""
    with vault_server(tmp_path) as fresh:
        rules = (ROOT / "deploy/vault/operator.hcl").read_text()
        fresh.root().sys.create_or_update_policy("tollgate-operator", rules)
        token = fresh.root().auth.token.create(policies=["tollgate-operator"], no_parent=True)
        operator = Command(fresh, tmp_path)
        operator.use(token["auth"]["client_token"])
        operator("init")
        assert "nothing to change\n" == operator("init")
        for service in wanted.SERVICES:
            operator("deliver", service, "--out", str(tmp_path / f"{service}.secret-id"))
        for name in wanted.WRAPPED_KEYS:
            operator("wrap-key", name, "--out", str(tmp_path / f"{name}.wrapped"))
        client = fresh.client(token["auth"]["client_token"])
        ciphertext = (tmp_path / "pepper.wrapped").read_text().strip()
        with pytest.raises(hvac.exceptions.Forbidden):
            client.secrets.transit.decrypt_data("pepper", ciphertext)
        with pytest.raises(hvac.exceptions.Forbidden):
            client.auth.approle.generate_secret_id("tollgate-router")


def test_what_is_not_tollgates_any_more_is_named_and_left(ready, own):
    """A role and a policy with our prefix that nothing wants: said, with what removes them."""
    root = own.root()
    root.sys.create_or_update_policy("tollgate-older", "# was")
    root.auth.approle.create_or_update_approle("tollgate-older", token_policies=["tollgate-older"])
    said = ready("init")
    assert "to remove it: vault policy delete tollgate-older" in said
    assert "to remove it: vault delete auth/approle/role/tollgate-older" in said
    assert root.auth.approle.read_role("tollgate-older")
    root.auth.approle.delete_role("tollgate-older")
    root.sys.delete_policy("tollgate-older")
    root.sys.disable_audit_device("two")
    assert "enable a second" in ready("init")
    ready("init", "--audit-file", str(own.audit_files[1]))
    assert "note:" not in ready("init", "--dry-run")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"key_type": "aes256-gcm96", "derived": False}, "derived"),
        ({"key_type": "chacha20-poly1305", "derived": True}, "type"),
        ({"key_type": "aes256-gcm96", "derived": True, "exportable": True}, "exportable"),
    ],
)
def test_a_key_that_cannot_be_corrected_is_refused_and_nothing_is_changed(
    command, own, settings, named
):
    """Another type, no derivation or exportable: said by name, with what to do; nothing is made."""
    root, mount = own.root(), f"other-{named}"
    root.sys.enable_secrets_engine("transit", path=mount)
    root.secrets.transit.create_key("upstream-keys", mount_point=mount, **settings)
    before = state(own)
    said = command("init", "--mount", mount, code=1)
    assert "nothing was changed" in said
    assert f"Vault cannot change {named} of a key that exists" in said
    assert "--mount" in said
    assert before == state(own)
    assert ["upstream-keys"] == root.secrets.transit.list_keys(mount_point=mount)["data"]["keys"]


def test_an_engine_of_another_type_is_refused(ready, own):
    """A place that another engine has, or that would change a policy's meaning: said, not used."""
    own.root().sys.enable_secrets_engine("kv", path="taken")
    before = state(own)
    assert "an engine of another type" in ready("init", "--mount", "taken", code=1)
    assert "is no place for an engine" in ready("init", "--mount", 'a"{}', code=1)
    assert before == state(own)


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Sends every request on, and remembers the tokens that it saw."""

    seen: ClassVar[list[str]] = []
    to = ""

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("X-Vault-Token", ""))
        self.send_response(307)
        self.send_header("Location", self.to)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def server(handler: type[http.server.BaseHTTPRequestHandler], tls: Path | None) -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listener:
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls / "vault.pem", tls / "vault-key.pem")
            listener.socket = context.wrap_socket(listener.socket, server_side=True)
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        try:
            yield listener.server_address[1]
        finally:
            listener.shutdown()
            thread.join()


def test_the_token_goes_nowhere_else(command, own):
    """Neither where an answer sends it on to, nor through a proxy of the environment."""

    class Thief(Elsewhere):
        seen: ClassVar[list[str]] = []

    class Sender(Elsewhere):
        seen: ClassVar[list[str]] = []

    with server(Thief, None) as port, server(Sender, own.directory / "tls") as first:
        Sender.to = f"http://127.0.0.1:{port}/v1/sys/audit"
        said = command("init", "--dry-run", code=1, VAULT_ADDR=f"https://127.0.0.1:{first}")
        assert "sends this request on to" in said
        assert ([own.root_token], []) == (Sender.seen, Thief.seen)
        proxy = f"http://127.0.0.1:{port}"
        command("init", "--dry-run", HTTPS_PROXY=proxy, https_proxy=proxy, NO_PROXY="", no_proxy="")
        assert [] == Thief.seen


def test_another_mount_is_in_every_policy(vault_program, tmp_path):
    """With --mount no policy names the usual engine any more."""
    with vault_server(tmp_path) as fresh:
        Command(fresh, tmp_path)("init", "--mount", "tollgate-transit")
        for name in wanted.policies("transit"):
            rules = fresh.root().sys.read_policy(name)["data"]["rules"]
            assert '"transit/' not in rules
        root = fresh.root()
        assert 6 == len(root.secrets.transit.list_keys("tollgate-transit")["data"]["keys"])


def test_a_delivery_is_wrapped_and_only_its_owner_reads_it(ready, own, tmp_path):
    """The file holds a wrapping token for the role's secret-id; it and the role-id log in once."""
    out = tmp_path / "run" / "audit.secret-id"
    ready("deliver", "audit", "--out", str(out), "--ttl-s", "60")
    beside = out.with_suffix(".role-id")
    assert {0o400} == {stat.S_IMODE(path.stat().st_mode) for path in (out, beside)}
    token = out.read_text().strip()
    looked = own.client().write("sys/wrapping/lookup", token=token)["data"]
    assert ("auth/approle/role/tollgate-audit/secret-id", 60) == (
        looked["creation_path"], looked["creation_ttl"]
    )  # fmt: skip
    secret_id = own.client(token).sys.unwrap()["data"]["secret_id"]
    client = own.client()
    answer = client.auth.approle.login(beside.read_text().strip(), secret_id)
    assert ["tollgate-audit"] == answer["auth"]["token_policies"]


def test_a_token_that_may_only_deliver_delivers(ready, own, tmp_path):
    """With the delivery policy alone: refused until the role-id is there, then written."""
    out = tmp_path / "authz.secret-id"
    token = own.root().auth.token.create(policies=["tollgate-deliver-authz"], no_parent=True)
    ready.use(token["auth"]["client_token"])
    assert "may not read the role-id" in ready("deliver", "authz", "--out", str(out), code=1)
    ready.use(own.root_token)
    ready("deliver", "authz", "--out", str(out))
    first = out.read_text()
    ready.use(token["auth"]["client_token"])
    ready("deliver", "authz", "--out", str(out))
    assert first != out.read_text()
    said = ready("deliver", "router", "--out", str(tmp_path / "router.secret-id"), code=1)
    assert "Vault refuses this token" in said or "may not read" in said


def test_a_new_wrapped_key_is_32_bytes_that_only_vault_opens(ready, own, tmp_path):
    """Its plaintext stands in no answer and no file; what is there is never replaced."""
    out = tmp_path / "pepper.wrapped"
    ready("wrap-key", "pepper", "--out", str(out))
    ciphertext = out.read_text().strip()
    assert ciphertext.startswith("vault:v1:")
    opened = login(own, "authz").secrets.transit.decrypt_data("pepper", ciphertext)
    assert 32 == len(base64.b64decode(opened["data"]["plaintext"]))
    with pytest.raises(hvac.exceptions.Forbidden):
        login(own, "budget").secrets.transit.decrypt_data("pepper", ciphertext)
    assert "is not replaced" in ready("wrap-key", "pepper", "--out", str(out), code=1)
    assert ciphertext == out.read_text().strip()


def test_a_given_key_is_wrapped_as_it_is(ready, own, tmp_path):
    """The key of a file comes out the same; one of another length or open to others is refused."""
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o400)
    out = tmp_path / "reservation.wrapped"
    ready("wrap-key", "reservation", "--out", str(out), "--key-file", str(key))
    transit = login(own, "router").secrets.transit
    opened = transit.decrypt_data("reservation", out.read_text().strip())["data"]["plaintext"]
    assert bytes(range(32)) == base64.b64decode(opened)
    for content, mode in ((b"short", 0o400), (bytes(32), 0o644)):
        bad = tmp_path / f"bad-{mode}"
        bad.write_bytes(content)
        bad.chmod(mode)
        words = ("wrap-key", "reservation", "--out", str(tmp_path / "x"), "--key-file", str(bad))
        assert "holds no key, or others can read it" in ready(*words, code=1)


def test_what_is_wrong_is_said_in_two_lines(command, own, tmp_path):
    """No token, a readable one, a wrong one, a stranger's certificate, nobody there, bad options."""
    assert "Vault refuses this token" in command_with(command, "hvs.nonsense")
    command.token_file.chmod(0o644)
    assert "can be read by others" in command("init", code=1)
    command.token_file.chmod(0o400)
    stranger = tmp_path / "other.pem"
    stranger.write_text((own.directory / "tls" / "vault.pem").read_text())
    said = command("init", code=1, VAULT_CACERT=str(stranger))
    assert "does not answer" in said
    assert "object at 0x" not in said
    assert "does not answer" in command("init", code=1, VAULT_ADDR="https://127.0.0.1:9")
    assert "is no address" in command("init", code=1, VAULT_ADDR="http://127.0.0.1:8200")
    assert "no Vault is named" in command("init", code=1, VAULT_ADDR="")
    said = command("init", "--cidr", "nobody=10.0.0.0/8", "--cidr", "router=10.0.0.1/8", code=1)
    assert "there is no service 'nobody'" in said
    assert "has host bits set" in said
    assert "must be bound to a network" in command("init", "--secret-id-days", "30", code=1)


def command_with(command: Command, token: str) -> str:
    command.use(token)
    return command("init", code=1)
