"""The HTTP client to providers over TLS: who is believed, and that framing is the same."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.contract.router.upstream_server import (
    CHUNKED,
    FAST,
    OK,
    Peer,
    always,
    body_of,
    fault_of,
    once,
    running,
)
from tollgate_kit.clock import SystemClock
from tollgate_router.upstream.fault import Fault
from tollgate_router.upstream.upstream import Upstream


def server_tls(folder: Path, name: x509.GeneralName) -> ssl.SSLContext:
    """A server's TLS; its certificate, its own authority, is for one name and in trust.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "upstream")])
    now = datetime.fromtimestamp(SystemClock().unix_ms() / 1000, UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "trust.pem").write_bytes(pem)
    (folder / "both.pem").write_bytes(pem + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


HERE = x509.IPAddress(ip_address("127.0.0.1"))


async def test_tls_until_the_end(tmp_path, monkeypatch):
    """An answer without a length ends with its connection, over TLS as without."""
    tls = server_tls(tmp_path, HERE)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trust.pem"))
    async with running(once(b"HTTP/1.1 200 OK\r\n\r\nall of it"), tls=tls) as (upstream, head, _):
        assert await body_of(upstream, head) == b"all of it"


@pytest.mark.parametrize("pieces", [(OK,), (CHUNKED, b"2\r\nok\r\n", b"0\r\n\r\n")])
async def test_tls(tmp_path, monkeypatch, pieces):
    """A certificate of a known authority for the right name: calls pass and share a connection."""
    tls = server_tls(tmp_path, HERE)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trust.pem"))
    async with running(always(*pieces), tls=tls) as (upstream, head, server):
        assert await body_of(upstream, head) == b"ok"
        assert await body_of(upstream, head, b"x" * (3 << 20)) == b"ok"
        assert server.connections == 1


@pytest.mark.parametrize(("name", "is_trusted"), [(x509.DNSName("elsewhere"), True), (HERE, False)])
async def test_tls_that_is_not_to_be_trusted(tmp_path, monkeypatch, name, is_trusted):
    """Another's name, or nobody's authority: CONNECT, and not a byte of the request."""
    seen = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.reader.read(1))

    tls = server_tls(tmp_path, name)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trust.pem"))
    async with running(script, tls=tls) as (upstream, head, _):
        assert await fault_of(upstream, head) is Fault.CONNECT
    assert b"".join(seen) == b""


@pytest.mark.parametrize("content", [None, b"", b"garbage"])
async def test_authorities_that_cannot_be_read_end_the_start(tmp_path, monkeypatch, content):
    """OpenSSL would trust nobody, in silence, and each call would be as if nobody listened."""
    file = tmp_path / "trust.pem"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(OSError, match="SSL_CERT_FILE"):
        Upstream(FAST, allow_private=True)
