"""`tollgate vault` where the address is some other server's, or a Vault that is not ready."""

import contextlib
import http.server
import json
import ssl
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.integration.test_vault_command import Command
from tests.vault.server import VaultServer, vault_server
from tollgate_cli import main
from tollgate_cli.suite import keyring_status
from tollgate_cli.vault import connection

ANSWERS = {
    "page": b"<html>welcome</html>",
    "object": b"{}",
    "list": b"[]",
    "empty": b"",
    "nothing": b'{"request_id": "1", "data": null}',
    "number": b'{"request_id": "1", "data": {"keys": 5}}',
}
REFUSALS = {"number": {"errors": 5}, "numbers": {"errors": [5]}, "list": [], "null": None}


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Answers the same to everything."""

    said = b""
    status = 200

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.said)))
        self.end_headers()
        self.wfile.write(self.said)

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


class Dripping(Elsewhere):
    """Begins an answer, and sends one more byte of it now and then."""

    def do_GET(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        until = time.monotonic() + 3
        while time.monotonic() < until:
            self.wfile.write(b"x")
            time.sleep(0.05)


@pytest.fixture
def elsewhere(vault: VaultServer, monkeypatch) -> Iterator[type[Elsewhere]]:
    """A server with a certificate of Vault's authority, as the address that commands go by."""
    handler = type("Handler", (Elsewhere,), {"do_POST": Elsewhere.do_GET})
    with serving(vault, handler, monkeypatch):
        yield handler


@contextlib.contextmanager
def serving(vault: VaultServer, handler: type[Elsewhere], monkeypatch) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    place = vault.directory / "tls"
    tls.load_cert_chain(place / "vault.pem", place / "vault-key.pem")
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    address = f"https://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("VAULT_ADDR", address)
    monkeypatch.setenv("VAULT_CACERT", str(vault.ca_file))
    monkeypatch.setenv("VAULT_TOKEN", "hvs.canary-of-a-token")
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.mark.parametrize("said", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("words", [["init"], ["deliver", "router"], ["wrap-key", "pepper"]])
def test_another_server_is_named_as_what_it_is(
    elsewhere, tmp_path, monkeypatch, capfd, words, said
):
    """One sentence and no traceback, no token in it, and no file that looks like a delivery."""
    elsewhere.said = said
    out = [] if words == ["init"] else ["--out", str(tmp_path / "out.secret-id")]
    monkeypatch.setattr(sys, "argv", ["tollgate", "vault", *words, *out])
    with pytest.raises(SystemExit) as ended:
        main.main()
    told = "".join(capfd.readouterr())
    assert (1, True) == (ended.value.code, "is no Vault" in told), told
    assert "hvs." not in told
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_that_is_none_of_vaults(elsewhere, monkeypatch, capfd, refusal):
    """One sentence and no traceback for an error in a form that Vault does not have."""
    elsewhere.said, elsewhere.status = json.dumps(refusal).encode(), 400
    monkeypatch.setattr(sys, "argv", ["tollgate", "vault", "init"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    told = "".join(capfd.readouterr())
    assert (1, True) == (ended.value.code, "is no Vault" in told), told


def test_an_answer_that_never_ends_is_waited_for_within_a_bound(vault, monkeypatch, capfd):
    """A server that sends a byte now and then is given up, by `vault` and by `status`."""
    monkeypatch.setattr(connection, "_EXCHANGE_S", 0.3)
    monkeypatch.setattr(keyring_status, "_TIMEOUT_S", 0.15)
    monkeypatch.setattr(sys, "argv", ["tollgate", "vault", "init"])
    with serving(vault, Dripping, monkeypatch) as address:
        began = time.monotonic()
        with pytest.raises(SystemExit) as ended:
            main.main()
        assert "does not answer" == keyring_status._state(address, str(vault.ca_file))
        seconds = time.monotonic() - began
    told = "".join(capfd.readouterr())
    assert (1, True) == (ended.value.code, "did not finish an answer within" in told), told
    assert seconds < 2


def test_a_sealed_vault_is_named(vault_program, tmp_path):
    """Sealed, or without keys: said so, with the command that helps."""
    with vault_server(tmp_path) as sealed:
        wrap = Command(sealed, tmp_path)("wrap-key", "pepper", "--out", str(tmp_path / "p"), code=1)
        assert "make it: tollgate vault init" in wrap
        sealed.seal()
        assert "is sealed" in Command(sealed, tmp_path)("init", code=1)
