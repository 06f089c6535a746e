"""`tollgate status` on keys: whose token ends soon, which move was cut short, and what helps."""

import dataclasses
import http.server
import json
import threading
from collections.abc import Iterator

import pytest
import typer

from tollgate_cli import chosen_keyring
from tollgate_cli.chosen_keyring import FILE, VAULT, Chosen
from tollgate_cli.home import Home
from tollgate_cli.suite import commands, keyring_status
from tollgate_cli.suite.processes.ports import free_port


class Service(http.server.BaseHTTPRequestHandler):
    """A service's metrics: what is left of its token."""

    left = 0.0

    def do_GET(self) -> None:
        body = f'tollgate_vault_token_ttl_seconds{{service="x"}} {self.left}\n'.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def metrics() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as listener:
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.server_address[1]}"
        finally:
            listener.shutdown()
            thread.join()


@pytest.fixture
def home(tmp_path) -> Home:
    made = Home(tmp_path)
    made.make()
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    away = f"https://127.0.0.1:{free_port()}"
    chosen_keyring.remember(made, Chosen(VAULT, away, str(tmp_path / "ca.pem"), "transit"))
    return made


@pytest.mark.parametrize(("left", "asked"), [(0.0, True), (200.0, True), (320.0, False)])
def test_a_token_near_its_end_is_said_with_each_delivery(home, metrics, monkeypatch, left, asked):
    """One that is renewed has a third of its life left at least; router logs in twice."""
    monkeypatch.setattr(Service, "left", left)
    found = keyring_status.look(home, {"router": metrics, "edge-api": metrics, "authz": None})
    assert ({"router": int(left)}, "does not answer") == (found.tokens, found.state)
    wanted = [f"vault deliver {login} --out " for login in ("router", "router-admin")]
    assert (wanted if asked else []) == [
        command for remedy in found.remedies for command in wanted if command in remedy
    ]


def test_files_have_no_state(home):
    """Nothing is asked where keyrings are files."""
    chosen_keyring.remember(home, Chosen())
    assert keyring_status.KeyringStatus("file", "", "", {}) == keyring_status.look(home, {})


@pytest.mark.parametrize(("kind", "to"), [(FILE, VAULT), (VAULT, FILE)])
def test_a_move_that_was_cut_short_is_said(home, monkeypatch, capsys, kind, to):
    """Until it has ended no suite starts: status names it, and the command that ends it."""
    before = chosen_keyring.remembered(home)
    former = Chosen() if kind == FILE else before
    chosen_keyring.remember(home, dataclasses.replace(former, moving=to))
    monkeypatch.setenv("TOLLGATE_HOME", str(home.root))
    command = f"tollgate keyring migrate --from {kind} --to {to}"
    for as_json in (False, True):
        with pytest.raises(typer.Exit):
            commands.status(as_json=as_json)
        said = capsys.readouterr().out
        assert command in said, said
    assert (to, command) == tuple(json.loads(said)["keyring"][name] for name in ("moving", "go_on"))
    chosen_keyring.remember(home, before)
    with pytest.raises(typer.Exit):
        commands.status()
    assert "migrate" not in capsys.readouterr().out
