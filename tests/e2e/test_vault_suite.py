"""`tollgate up --keyring vault` on a real Vault, as a person uses it."""

import contextlib
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests import memory
from tests.integration.test_up import TOLLGATE, Home, usual_ports
from tests.live import wait_until
from tests.vault.server import VaultServer, vault_server
from tests.vault.setup import set_up
from tollgate_cli.vault import wanted

__all__ = ["usual_ports"]

OPERATOR = Path(__file__).parents[2] / "deploy" / "vault" / "operator.hcl"
LOGINS = {"router", "router-admin", "authz", "budget", "audit"}
# A key in use is kept for a minute; what hangs on a clock here gets as long again.
KEPT_S = 60
CRASH = "needs a secret-id of Vault to be started again"


class VaultHome(Home):
    """A home and its Vault."""

    def __init__(self, root: Path, vault: VaultServer) -> None:
        super().__init__(root)
        self.vault = vault
        self.token = vault.root_token

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in super().environment.items() if not k.startswith("VAULT_")}
        return {**kept, "VAULT_TOKEN": self.token} if self.token else kept

    @contextlib.contextmanager
    def up(self, *arguments: str) -> Iterator[None]:
        """A suite in the background, until it serves; stopped at the end."""
        done = self.run("up", "-d", "--wait", *arguments)
        assert 0 == done.returncode, done.stdout + done.stderr
        self.token = ""
        try:
            yield
        finally:
            stopped = self.run("down")
        assert "stopped" in stopped.stdout, stopped

    @property
    def there(self) -> tuple[str, ...]:
        """The options that name its Vault."""
        at = ("--vault-addr", self.vault.address, "--vault-ca", str(self.vault.ca_file))
        return ("--keyring", "vault", *at)

    def status(self) -> dict:
        return json.loads(self.run("status", "--json").stdout)

    def call(self) -> int:
        """The status of one call through the demo provider."""
        dev = self.dev()
        body = {
            "model": "demo-gpt",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "Hi"}],
        }
        return httpx.post(
            f"{dev['api_url']}/v1/chat/completions",
            json=body, headers={"authorization": f"Bearer {dev['demo_key']}"}, timeout=30,
        ).status_code  # fmt: skip

    def call_until(self, ended: threading.Event, answers: list[int]) -> None:
        """One call after the other."""
        while not ended.is_set():
            answers.append(self.call())

    def logged_in(self) -> set[str]:
        """Who has a token at Vault."""
        tokens = self.vault.root().auth.token
        metas = [
            tokens.lookup_accessor(accessor)["data"]["meta"]
            for accessor in tokens.list_accessors()["data"]["keys"]
        ]
        return {meta["role_name"].removeprefix(wanted.PREFIX) for meta in metas if meta}

    def holding(self, secret: str) -> list[str]:
        """Files of the home, and environments and arguments of its processes, with a text."""
        places = [f for f in self.root.rglob("*") if f.is_file() and not f.is_symlink()]
        told = {str(place): place.read_bytes() for place in places}
        pids = [service["pid"] for service in self.dev()["services"].values()]
        for pid in (*pids, self.dev()["supervisor_pid"]):
            for part in ("environ", "cmdline"):
                told[f"{part} of {pid}"] = memory.told_of(pid, part)
        return [place for place, text in told.items() if secret.encode() in text]


@pytest.fixture
def home(vault_program, tmp_path) -> Iterator[VaultHome]:
    """A home, a Vault that `tollgate vault init` has prepared, and a token of deploy/vault's policy."""
    with vault_server(tmp_path) as vault:
        set_up(vault)
        made = VaultHome(tmp_path / "home", vault)
        vault.root().sys.create_or_update_policy("tollgate-operator", OPERATOR.read_text())
        token = vault.root().auth.token.create(policies=["tollgate-operator"], ttl="1h")
        made.token = token["auth"]["client_token"]
        yield made


@pytest.mark.timeout(400)
def test_a_sealed_vault_stops_no_call_that_a_kept_key_serves_and_heals_without_a_restart(home):
    """Up on Vault; sealed: calls go on for a minute, then 503; unsealed: 200; down: no token left.

    The operator's token was used at the start, and is in no file and no process of the suite.
    """
    token = home.token
    with home.up(*home.there):
        assert 200 == home.call()
        added = home.run(
            "provider", "add", "second", "--base-url", f"{home.dev()['provider_url']}/v1",
            "--model", "other", stdin="sk-second-key-of-a-test",
        )  # fmt: skip
        assert 0 == added.returncode, added.stderr
        assert LOGINS == home.logged_in()
        assert [] == home.holding(token)
        assert [] == [*(home.root / "keyrings").rglob("*.secret-id")]
        keyring = home.status()["keyring"]
        assert ("vault", "up", LOGINS - {"router-admin"}) == (
            keyring["kind"], keyring["state"], set(keyring["tokens"]),
        )  # fmt: skip

        home.vault.seal()
        sealed = time.monotonic()
        assert "sealed" in home.run("status").stdout
        while time.monotonic() - sealed < KEPT_S / 2:
            assert 200 == home.call()
            time.sleep(0.5)
        wait_until(lambda: 503 == home.call(), KEPT_S, every=1)
        home.vault.unseal()
        wait_until(lambda: 200 == home.call(), 30, every=0.5)
        pids = {name: service["pid"] for name, service in home.dev()["services"].items()}
        assert pids == {name: p["pid"] for name, p in home.status()["services"].items()}
        assert LOGINS == home.logged_in()
    assert set() == home.logged_in()
    assert [] == home.processes()


def test_a_service_that_crashed_waits_for_the_secret_id_that_the_log_asks_for(home):
    """The token is gone by then: the suite says which command delivers, and goes on after it."""
    token = home.token
    with home.up(*home.there, "--no-demo"):
        log = home.root / "logs" / "suite.log"
        os.kill(home.dev()["services"]["router"]["pid"], signal.SIGKILL)
        wait_until(lambda: CRASH in log.read_text(), 30)
        commands = re.findall(r"vault deliver (\S+) --out (\S+?);?\s", log.read_text() + "\n")
        assert ["router", "router-admin"] == [login for login, _ in commands]
        home.token = token
        for login, out in commands:
            said = f"vault deliver {login} --out {out} "
            at = f"--address {home.vault.address} --ca-file {home.vault.ca_file}"
            assert f"{said}{at}" in log.read_text()
            done = home.run(*said.split(), *at.split())
            assert 0 == done.returncode, done.stderr
        wait_until(lambda: "running" == home.status()["state"], 30, every=0.5)


def test_what_encrypts_upstreams_keys_is_rotated_while_calls_go_on(home):
    """By Vault, and rows by router's own login: the old version opens nothing; no secret-id is left."""
    token = home.token
    transit = home.vault.root().secrets.transit
    with home.up(*home.there):
        home.token = token
        answers: list[int] = []
        ended = threading.Event()
        with ThreadPoolExecutor() as pool:
            calling = pool.submit(home.call_until, ended, answers)
            try:
                done = [home.run("rotate", f"{name}-keys") for name in ("upstream", "subject")]
            finally:
                ended.set()
            calling.result(timeout=60)
        assert [0, 0] == [one.returncode for one in done], [one.stderr for one in done]
        for name in ("upstream-keys", "subject-keys"):
            found = transit.read_key(name)["data"]
            assert (2, 2) == (found["latest_version"], found["min_decryption_version"])
        assert (True, {200}) == (len(answers) > 5, set(answers))
        assert [] == home.holding(token)
        assert [] == [*home.root.rglob("*.secret-id")]
        assert LOGINS == home.logged_in()
        home.token = ""
        no_token = home.run("rotate", "upstream-keys")
        assert (1, True) == (no_token.returncode, "no token to ask Vault with" in no_token.stderr)
    assert set() == home.logged_in()


def test_a_second_start_needs_a_token_alone_and_has_the_same_keys(home):
    """Where Vault is was remembered; its keys still open what they encrypted; files are refused.

    The log's key goes on to sign with the version that signed, though Vault has a newer one by now.
    """
    token = home.token
    with home.up(*home.there):
        key = home.dev()["demo_key"]
    refused = home.run("up", "--keyring", "file").stderr
    assert "tollgate keyring migrate --from vault --to file" in refused.replace(
        str(Path(TOLLGATE)), "tollgate"
    )
    assert "no token to ask Vault with" in home.run("up").stderr
    home.token = token
    line = (home.root / "audit.vkey").read_text()
    home.vault.root().secrets.transit.rotate_key("tlog")
    with home.up():
        assert key == home.dev()["demo_key"]
        assert 200 == home.call()
        assert "running" == home.status()["state"]
        assert line == (home.root / "audit.vkey").read_text()
    assert set() == home.logged_in()


def test_everything_that_is_missing_is_said_at_once_and_nothing_is_started(vault_program, tmp_path):
    """Options, then a token that may do nothing at a Vault that holds nothing, then a sealed one."""
    with vault_server(tmp_path) as vault:
        home = VaultHome(tmp_path / "home", vault)
        home.token = ""
        said = home.run("up", "--keyring", "vault").stderr
        for words in ("no Vault is named", "--vault-addr", "--vault-ca", "--vault-token-file"):
            assert words in said, said
        at = ("--vault-addr", vault.address, "--vault-ca", str(vault.ca_file))
        home.token = vault.root().auth.token.create(policies=["default"])["auth"]["client_token"]
        said = home.run("up", "--keyring", "vault", *at).stderr
        for login in LOGINS:
            assert f"role/tollgate-{login}/secret-id" in said, said
        home.token = vault.root_token
        said = home.run("up", "--keyring", "vault", *at).stderr
        for words in (*(f"no role tollgate-{name}" for name in LOGINS), "no key transit/tlog"):
            assert words in said, said
        assert f"vault init --address {vault.address}" in said
        home.token = "hvs.nobody"
        assert "refuses this token" in home.run("up", "--keyring", "vault", *at).stderr
        home.token = vault.root_token
        vault.seal()
        assert "vault operator unseal" in home.run("up", "--keyring", "vault", *at).stderr
        assert not (home.root / "postgres" / "data").exists()
