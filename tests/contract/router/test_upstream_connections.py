"""The HTTP client to providers: whose a connection is, how many there are, and to whom."""

import asyncio
import contextlib
import socket
import threading
import time
from typing import Any

import pytest

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
    asked = 0
    ask = socket.getaddrinfo

    def slow(*args: Any, **options: Any) -> Any:
        nonlocal asked
        asked += 1
        time.sleep(0.1)
        return ask(*args, **options)

    async with running(always(OK)) as (upstream, head, _):
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        gone = asyncio.create_task(body_of(upstream, head))
        rest = [asyncio.create_task(body_of(upstream, head)) for _ in range(4)]
        await asyncio.sleep(0.05)
        gone.cancel()
        assert await asyncio.gather(*rest) == [b"ok"] * 4
        assert asked == 1


async def test_one_slow_name_does_not_hold_up_the_others(monkeypatch):
    """Many calls to a provider whose name nobody answers for, and others are reached at once."""
    ask, over = socket.getaddrinfo, threading.Event()

    def answered(host: str, *args: Any, **options: Any) -> Any:
        if host == "slow.example":
            over.wait(5)
        return ask("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answered)
    async with running(always(OK)) as (upstream, head, _):
        there = RequestHead.post(f"http://slow.example:{head.origin.port}/", {})
        waiting = [asyncio.create_task(body_of(upstream, there)) for _ in range(40)]
        await asyncio.sleep(0.05)
        async with asyncio.timeout(1):
            assert await body_of(upstream, head) == b"ok"
        over.set()
        assert await asyncio.gather(*waiting) == [b"ok"] * 40


async def test_addresses_to_which_nobody_connects_are_forgotten(monkeypatch):
    """A provider that has moved is found as soon as its name says so."""
    where = "::1"
    ask = socket.getaddrinfo

    def answered(_host: str, *args: Any, **options: Any) -> Any:
        return ask(where, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answered)
    async with running(always(OK)) as (upstream, head, _):
        moved = RequestHead.post(f"http://moved.example:{head.origin.port}/", {})
        assert await fault_of(upstream, moved) is Fault.CONNECT
        where = "127.0.0.1"
        assert await body_of(upstream, moved) == b"ok"


async def test_a_late_second_answer_that_was_not_read_yet_is_nobodys():
    """The loop was busy: the bytes wait in the kernel when the next call takes the connection."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=answer_twice, args=(listener,), daemon=True).start()
        upstream = Upstream(FAST, allow_private=True)
        head = RequestHead.post(f"http://127.0.0.1:{listener.getsockname()[1]}/", {})
        for at in range(6):
            assert await body_of(upstream, head, b"%d" % at) == b"%d" % at
            time.sleep(0.03)  # the loop does nothing meanwhile, as in a busy moment
        await upstream.close()


def answer_twice(listener: socket.socket) -> None:
    """A server outside the loop: each answer, its request's last byte, again 10 ms later."""
    with contextlib.suppress(OSError):
        while True:
            connected, _peer = listener.accept()
            threading.Thread(target=_twice, args=(connected,), daemon=True).start()


def _twice(connected: socket.socket) -> None:
    with contextlib.suppress(OSError), connected:
        while request := connected.recv(65536):
            said = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n" + request[-1:]
            connected.sendall(said)
            time.sleep(0.01)
            connected.sendall(said)


async def test_the_bound_counts_connections_that_are_being_made():
    """Ten idle at one provider and ten calls to another at once: never more than ten open."""
    config = UpstreamConfig(connections_max=10, connect_ms=2_000, first_byte_ms=1_000)
    most = 0

    async def counted(peer: Peer) -> None:
        nonlocal most
        while True:
            await peer.request()
            most = max(most, len(upstream._pool._open))
            await asyncio.sleep(0.05)
            await peer.say(OK)

    async with running(counted, config=config) as (upstream, head, _):
        other = Server(counted)
        listener = await asyncio.start_server(other.serve, "127.0.0.1", 0)
        there = RequestHead.post(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/", {})
        for target in (head, there):
            await asyncio.gather(*(body_of(upstream, target) for _ in range(10)))
        assert most == 10
        listener.close()


@pytest.mark.parametrize("pieces", [1, 100])
async def test_a_turn_is_given_back_by_whoever_reads_no_further(pieces):
    """A cancelled reader's connection is closed; one that nobody reads ends with its time in all."""

    async def slow(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n")
        for _ in range(pieces):
            await peer.say(b"x" * 50_000)
        await peer.reader.read()

    config = UpstreamConfig(
        connections_per_provider_max=1, connect_ms=1_500, first_byte_ms=3_000, total_ms=1_000
    )
    async with running(slow, config=config) as (upstream, head, server):
        reader = asyncio.create_task(body_of(upstream, head))
        await asyncio.sleep(0.2)
        reader.cancel()
        async with asyncio.timeout(0.5):
            forgotten = await upstream.send(head, b"{}")
        await asyncio.sleep(0.7)
        assert (await upstream.send(head, b"{}")).status == 200
        assert not forgotten.is_whole
        assert server.connections == 3


async def test_who_speaks_first_is_no_server():
    """Bytes before the request are not its answer, and the request is not sent."""

    async def rude(peer: Peer) -> None:
        await peer.say(OK)
        await peer.reader.read()

    async with running(rude) as (upstream, head, _):
        assert await fault_of(upstream, head) in (Fault.CONNECT, Fault.BROKEN)


async def test_a_connection_that_the_upstream_ends_is_not_used():
    """It was idle and got its end: no request is written into it."""

    async with running(once(OK)) as (upstream, head, server):
        for connections in (1, 2, 3):
            assert await body_of(upstream, head) == b"ok"
            assert server.connections == connections
            await asyncio.sleep(0.02)
