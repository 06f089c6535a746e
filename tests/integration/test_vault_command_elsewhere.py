"""`tollgate vault` where the address is some other server's, or a Vault that is not ready."""

import http.server
import ssl
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.integration.test_vault_command import Command
from tests.vault.server import VaultServer, vault_server
from tollgate_cli import main

ANSWERS = {"page": b"<html>welcome</html>", "object": b"{}", "list": b"[]", "empty": b""}


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Answers 200 to everything."""

    said = b""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.said)))
        self.end_headers()
        self.wfile.write(self.said)

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def elsewhere(vault: VaultServer, monkeypatch) -> Iterator[type[Elsewhere]]:
    """A server with a certificate of Vault's authority, as the address that commands go by."""
    handler = type("Handler", (Elsewhere,), {"do_POST": Elsewhere.do_GET})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    place = vault.directory / "tls"
    tls.load_cert_chain(place / "vault.pem", place / "vault-key.pem")
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    monkeypatch.setenv("VAULT_ADDR", f"https://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("VAULT_CACERT", str(vault.ca_file))
    monkeypatch.setenv("VAULT_TOKEN", "hvs.canary-of-a-token")
    try:
        yield handler
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


def test_a_sealed_vault_is_named(vault_program, tmp_path):
    """Sealed, or without keys: said so, with the command that helps."""
    with vault_server(tmp_path) as sealed:
        wrap = Command(sealed, tmp_path)("wrap-key", "pepper", "--out", str(tmp_path / "p"), code=1)
        assert "make it: tollgate vault init" in wrap
        sealed.seal()
        assert "is sealed" in Command(sealed, tmp_path)("init", code=1)
