"""The HTTP client to providers: whose a connection is, how many there are, and to whom."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.contract.router.upstream_server import (
    CHUNKED,
    FAST,
    OK,
    Peer,
    Server,
    always,
    body_of,
    fault_of,
    once,
    running,
)
from tollgate_kit.clock import SystemClock
from tollgate_router.providers.request_head import RequestHead
from tollgate_router.upstream import connection, pool
from tollgate_router.upstream.fault import Fault, UpstreamFault
from tollgate_router.upstream.upstream import Upstream, UpstreamConfig


async def test_a_connection_is_used_again():
    """Calls one after the other share a connection; those at once have one each."""
    async with running(always(OK)) as (upstream, head, server):
        for _ in range(3):
            assert await body_of(upstream, head) == b"ok"
        assert server.connections == 1
        await asyncio.gather(*(body_of(upstream, head) for _ in range(4)))
        assert server.connections == 4


@pytest.mark.parametrize("pieces", [(OK + OK,), (OK, OK), (OK, b"HTTP/1.1 500"), (OK, b"\x00")])
async def test_bytes_that_nobody_asked_for_are_nobodys_answer(pieces):
    """A second answer, or anything else behind one, ends the connection."""
    async with running(always(*pieces)) as (upstream, head, server):
        assert await body_of(upstream, head) == b"ok"
        await asyncio.sleep(0.05)
        assert await body_of(upstream, head) == b"ok"
        assert server.connections == 2


@pytest.mark.parametrize("said", [
    b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
])  # fmt: skip
async def test_an_upstream_may_want_no_second_request(said):
    """`connection: close` and HTTP/1.0 are believed."""
    async with running(always(said)) as (upstream, head, server):
        for _ in range(2):
            assert await body_of(upstream, head) == b"ok"
        assert server.connections == 2


async def test_a_cancelled_call_takes_its_connection_along_and_no_other():
    """Nobody reads the answer of somebody who left, and who left ends nobody's call."""

    async def slow(peer: Peer) -> None:
        while True:
            request = await peer.request()
            await asyncio.sleep(0.1)
            await peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n" + request[-1:])

    async with running(slow) as (upstream, head, _):
        for pause in (0.0, 0.05, 0.099, 0.1, 0.101, 0.102, 0.105):
            gone = asyncio.create_task(body_of(upstream, head, b"1"))
            await asyncio.sleep(pause)
            gone.cancel()
            assert await body_of(upstream, head, b"2") == b"2"


async def test_who_leaves_when_all_is_there_leaves_the_connection_to_the_next(monkeypatch):
    """A call that ends in the turn in which its answer has come does not end a shared connection."""
    complete = connection.Connection.on_message_complete
    async with running(always(OK)) as (upstream, head, server):
        gone = asyncio.create_task(body_of(upstream, head))

        def completed(self: connection.Connection) -> None:
            complete(self)
            gone.cancel()

        monkeypatch.setattr(connection.Connection, "on_message_complete", completed)
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert await body_of(upstream, head) == b"ok"
        assert server.connections == 1


async def test_connections_are_bounded():
    """Beyond the bound a call waits for its turn, and not for ever: then nothing was sent."""

    async def slow(peer: Peer) -> None:
        while True:
            await peer.request()
            await asyncio.sleep(0.4)
            await peer.say(OK)

    config = UpstreamConfig(
        connections_per_provider_max=2, connect_ms=600, first_byte_ms=5_000, idle_ms=500
    )
    async with running(slow, config=config) as (upstream, head, server):
        found = await asyncio.gather(
            *(body_of(upstream, head) for _ in range(6)), return_exceptions=True
        )
        assert server.connections == 2
        assert found.count(b"ok") == 4
        faults = [each.fault for each in found if isinstance(each, UpstreamFault)]
        assert faults == [Fault.CONNECT] * 2
        assert await body_of(upstream, head) == b"ok"


async def test_idle_connections_make_room_for_another_provider():
    """The bound over all counts idle ones, the oldest of which goes first."""
    config = UpstreamConfig(connections_max=1, connect_ms=500, first_byte_ms=1_000, idle_ms=500)
    async with running(always(OK), config=config) as (upstream, head, one):
        other = Server(always(OK))
        listener = await asyncio.start_server(other.serve, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        there = RequestHead.post(f"http://127.0.0.1:{port}/", {})
        for _ in range(2):
            assert await body_of(upstream, head) == b"ok"
            assert await body_of(upstream, there) == b"ok"
        assert (one.connections, other.connections) == (2, 2)
        listener.close()


async def test_an_old_idle_connection_is_closed(monkeypatch):
    """It is not met by a call, and not kept."""
    monkeypatch.setattr(pool, "KEEP_IDLE_SECONDS", 0.1)
    async with running(always(OK)) as (upstream, head, server):
        await body_of(upstream, head)
        await asyncio.wait_for(server.closed.wait(), 2)
        await body_of(upstream, head)
        assert server.connections == 2


@pytest.mark.parametrize(("rest", "connections"), [
    (b"0\r\n\r\n", 1),
    (b"3\r\n: x\r\n0\r\n\r\n", 1),
    (b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n2\r\nxx\r\n0\r\n\r\n", 2),
    (b"", 2),
])  # fmt: skip
async def test_the_last_bytes_behind_what_was_wanted(rest, connections):
    """A reader that has had enough waits a moment, in the background, to keep the connection."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.say(CHUNKED + b"2\r\nok\r\n")
            await asyncio.sleep(0.05)
            await peer.say(rest)

    async with running(script) as (upstream, head, server):
        for _ in range(2):
            answer = await upstream.send(head, b"{}")
            assert await answer.read() == b"ok"
            answer.discard_rest(0.2, 64 * 1024)
            await asyncio.sleep(0.4)
        assert server.connections == connections


async def test_nobody_listens():
    """A refused connection is CONNECT: nothing was sent."""
    async with running(always(OK)) as (upstream, _, _):
        assert await fault_of(upstream, RequestHead.post("http://127.0.0.1:1/", {})) is (
            Fault.CONNECT
        )


async def test_a_name_must_point_where_providers_may_be():
    """A public name for this machine is not connected to."""
    async with running(always(OK)) as (_, head, server):
        guarded = Upstream(FAST, allow_private=False)
        there = RequestHead.post(f"http://localhost:{head.origin.port}/", {})
        assert await fault_of(guarded, there) is Fault.CONNECT
        assert server.connections == 0
        await guarded.close()


async def test_a_name_is_asked_for_once(monkeypatch):
    """By all who want it at the same time, and again when its addresses are old; leaving is free."""
    loop = asyncio.get_running_loop()
    asked = 0
    ask = loop.getaddrinfo

    async def slow(*args: Any, **options: Any) -> Any:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.1)
        return await ask(*args, **options)

    async with running(always(OK)) as (upstream, head, _):
        monkeypatch.setattr(loop, "getaddrinfo", slow)
        gone = asyncio.create_task(body_of(upstream, head))
        rest = [asyncio.create_task(body_of(upstream, head)) for _ in range(4)]
        await asyncio.sleep(0.05)
        gone.cancel()
        assert await asyncio.gather(*rest) == [b"ok"] * 4
        assert asked == 1


async def test_a_connection_that_the_upstream_ends_is_not_used():
    """It was idle and got its end: no request is written into it."""

    async with running(once(OK)) as (upstream, head, server):
        for connections in (1, 2, 3):
            assert await body_of(upstream, head) == b"ok"
            assert server.connections == connections
            await asyncio.sleep(0.02)


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
