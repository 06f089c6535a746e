"""The HTTP client to providers: what is sent, what an answer is, and what is none."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.router.upstream_server import (
    CHUNKED,
    OK,
    Peer,
    always,
    body_of,
    fault_of,
    once,
    running,
)
from tollgate_router.upstream import connection
from tollgate_router.upstream.answer import Answer
from tollgate_router.upstream.fault import Fault, UpstreamFault
from tollgate_router.upstream.upstream import UpstreamConfig


async def test_what_is_sent_and_read():
    """The head is exact, the answer's names are in lower case, of two fields the first counts."""
    seen = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.say(
            b"HTTP/1.1 201 Created\r\nX-One: 1\r\nx-one: 2\r\nContent-Length: 1\r\n\r\nx"
        )

    async with running(script) as (upstream, head, _):
        answer = await upstream.send(head.with_headers({"A": "c", "B": "d"}), b"{}")
        assert (answer.status, answer.headers["x-one"]) == (201, "1")
        assert await answer.read_all(10) == b"x"
        assert await answer.read() == b""
        assert seen == [
            b"POST /v1/x HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
            b"A: c\r\nB: d\r\nContent-Length: 2\r\n\r\n{}" % head.origin.port
        ]


async def test_informational_heads_are_passed_over():
    """100 and 103 before the answer are no answer, and their fields none of its fields."""
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    async with running(always(early + OK)) as (upstream, head, server):
        for _ in range(2):
            answer = await upstream.send(head, b"{}")
            assert (answer.status, await answer.read_all(9)) == (200, b"ok")
            assert "link" not in answer.headers
        assert server.connections == 1


@pytest.mark.parametrize(("said", "body"), [
    (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
    (CHUNKED + b"2;ext=1\r\nok\r\n0\r\ntrailer: x\r\n\r\n", b"ok"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
])  # fmt: skip
async def test_every_way_to_delimit_a_body(said, body):
    """No body, until the connection's end, chunks with extensions and a trailer, no bytes."""
    async with running(once(said)) as (upstream, head, _):
        assert await body_of(upstream, head) == body


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
async def test_however_its_bytes_are_cut_an_answer_is_the_same(data):
    """Informational head, chunks, trailer: cut anywhere."""
    said = b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\nt: x\r\n\r\n"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(said) - 1), max_size=12)))
    pieces = [said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    async with running(always(*pieces)) as (upstream, head, server):
        for _ in range(2):
            assert await body_of(upstream, head) == b"abcde"
        assert server.connections == 1


_OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(("fault", "said"), [
    (Fault.BROKEN, b""),
    (Fault.BROKEN, b"HTTP/1.1 200"),
    (Fault.BROKEN, b"SSH-2.0-x\r\n"),
    (Fault.BROKEN, _OK + b"content-length: 3\r\n\r\nab"),
    (Fault.BROKEN, CHUNKED + b"2\r\nab\r\n"),
    (Fault.BROKEN, CHUNKED + b"zz\r\nab\r\n"),
    (Fault.BROKEN, b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
    (Fault.BROKEN, _OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
    (Fault.BROKEN, _OK + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    (Fault.BROKEN, _OK + b"a: b\r\n" * 200 + b"\r\n"),
    (Fault.BROKEN, _OK + b"content-length : 500\r\n\r\nhello"),
    (Fault.BROKEN, _OK + b"transfer-encoding : chunked\r\n\r\n5\r\nhe"),
    (Fault.BROKEN, _OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (Fault.BROKEN, b"HTTP/1.1 000 C\r\ncontent-length: 5\r\n\r\nhello" + OK),
    (Fault.BROKEN, b"HTTP/1.1 999 C\r\ncontent-length: 0\r\n\r\n"),
    (Fault.OVERSIZE, _OK + b"a: " + b"b" * 100_000),
    (Fault.OVERSIZE, CHUNKED + b"1;" + b"e" * 100_000),
    (Fault.ENCODED, _OK + b"content-encoding: gzip\r\ncontent-length: 1\r\n\r\nx"),
])  # fmt: skip
async def test_what_is_no_answer_is_a_fault_at_once(fault, said):
    """Not HTTP, cut short, two lengths, endless heads and extensions, encoded: one word each."""
    async with running(once(said)) as (upstream, head, _), asyncio.timeout(0.9):
        assert await fault_of(upstream, head) is fault


async def test_informational_heads_without_end_are_a_fault():
    """They are counted with the head they come before, their bytes and their fields."""
    early = b"HTTP/1.1 103 Early Hints\r\na: b\r\n\r\n"
    async with running(once(early * 10_000)) as (upstream, head, _), asyncio.timeout(0.9):
        assert await fault_of(upstream, head) in (Fault.BROKEN, Fault.OVERSIZE)


async def test_what_came_before_a_fault_is_read_first():
    """A cut stream gives its bytes, then the fault."""
    async with running(once(CHUNKED + b"2\r\nab\r\n")) as (upstream, head, _):
        answer = await upstream.send(head, b"{}")
        await asyncio.sleep(0.05)
        assert await answer.read() == b"ab"
        with pytest.raises(UpstreamFault):
            await answer.read()


async def test_silence_is_a_timeout():
    """No head, or a body that stops, within the bounds of each."""

    async def nothing(peer: Peer) -> None:
        await peer.request()
        await peer.reader.read()

    async with running(nothing) as (upstream, head, server):
        assert await fault_of(upstream, head) is Fault.TIMEOUT
        await asyncio.wait_for(server.closed.wait(), 2)

    async def stops(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED + b"2\r\nab\r\n")
        await peer.reader.read()

    async with running(stops) as (upstream, head, _):
        answer = await upstream.send(head, b"{}")
        assert await answer.read() == b"ab"
        with pytest.raises(UpstreamFault) as raised:
            await answer.read()
        assert raised.value.fault is Fault.TIMEOUT


async def test_a_drip_has_its_time_in_all():
    """Bytes that keep coming do not hold a call longer than total_ms."""

    async def drip(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED)
        for _ in range(100):
            await peer.say(b"1\r\nx\r\n")
            await asyncio.sleep(0.05)

    config = UpstreamConfig(connect_ms=2_000, first_byte_ms=1_000, idle_ms=500, total_ms=1_000)
    async with running(drip, config=config) as (upstream, head, _):
        assert await fault_of(upstream, head) is Fault.TIMEOUT


async def test_who_reads_slowly_has_no_longer_time_either():
    """The bound in all holds though there is always something to read."""

    async def flood(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED)
        while True:
            await peer.say(b"400\r\n" + b"x" * 1024 + b"\r\n")

    config = UpstreamConfig(connect_ms=2_000, first_byte_ms=500, idle_ms=500, total_ms=500)
    async with running(flood, config=config) as (upstream, head, _), asyncio.timeout(3):
        answer = await upstream.send(head, b"{}")
        with pytest.raises(UpstreamFault) as raised:
            while await answer.read():
                await asyncio.sleep(0.1)
        assert raised.value.fault is Fault.TIMEOUT


async def test_what_comes_in_the_last_half_millisecond_changes_no_limit():
    """A wait that is begun again right before its end is a time-out (uvloop rounds such timers)."""

    async def silent(peer: Peer) -> None:
        await peer.reader.read()

    loop = asyncio.get_running_loop()
    async with running(silent) as (upstream, head, _):
        connected = await upstream._pool.take(head.origin)
        answer = Answer(connected, loop, until=loop.time() + 1, idle_s=1)
        sent = asyncio.create_task(connected.send(answer, b"", b"", loop.time() + 0.0004))
        await asyncio.sleep(0)
        connected.data_received(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        with pytest.raises(UpstreamFault) as raised:
            await sent
        assert raised.value.fault is Fault.TIMEOUT


@pytest.mark.parametrize(("said", "body"), [
    (b"", None),
    (_OK + b"\r\nthe whole answer", b"the whole answer"),
    (_OK + b"content-length: 50\r\n\r\ncut", None),
])  # fmt: skip
async def test_an_end_while_the_request_is_sent_is_seen_at_once(said, body):
    """The upstream reads no further, says something or nothing, and half-closes."""

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.writer.transport.pause_reading()
        await asyncio.sleep(0.1)
        await peer.say(said)
        peer.writer.write_eof()
        await asyncio.sleep(3)

    async with running(script) as (upstream, head, _), asyncio.timeout(0.9):
        if body is None:
            assert await fault_of(upstream, head, b"x" * (30 << 20)) is Fault.BROKEN
        else:
            assert await body_of(upstream, head, b"x" * (30 << 20)) == body


async def test_our_own_end_is_no_end_of_an_answer():
    """A client that is closed leaves an answer without a length a fault, and not whole."""

    async def open_end(peer: Peer) -> None:
        await peer.request()
        await peer.say(_OK + b"\r\nhalf")
        await peer.reader.read()

    async with running(open_end) as (upstream, head, _):
        answer = await upstream.send(head, b"{}")
        assert await answer.read() == b"half"
        await upstream.close()
        with pytest.raises(UpstreamFault):
            await answer.read()


async def test_an_answer_that_comes_before_the_request_is_sent():
    """A refusal of a large body is heard, and the half-sent request's connection not used again."""

    async def refuse(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await asyncio.sleep(0.3)

    async with running(refuse) as (upstream, head, server):
        for connections in (1, 2):
            answer = await upstream.send(head, b"x" * (24 << 20))
            assert (answer.status, await answer.read_all(9)) == (413, b"no")
            assert server.connections == connections


async def test_a_large_body_arrives_whole():
    """What is written in pieces is one body, and its connection is used again."""
    seen = []

    async def script(peer: Peer) -> None:
        while True:
            seen.append((await peer.request()).partition(b"\r\n\r\n")[2])
            await peer.say(OK)

    body = bytes(range(256)) * (5 << 12)
    async with running(script) as (upstream, head, server):
        for _ in range(2):
            assert await body_of(upstream, head, body) == b"ok"
        assert seen == [body, body]
        assert server.connections == 1


async def test_an_upstream_waits_for_a_slow_reader():
    """Unread bytes are bounded; read at last, nothing is missing and the connection is free."""
    sent = 0
    size = 32 << 20

    async def flood(peer: Peer) -> None:
        nonlocal sent
        while True:
            await peer.request()
            await peer.say(_OK + b"content-length: %d\r\n\r\n" % size)
            for _ in range(size >> 16):
                await peer.say(b"x" * (1 << 16))
                sent += 1 << 16

    async with running(flood) as (upstream, head, server):
        answer = await upstream.send(head, b"{}")
        await asyncio.sleep(0.3)
        assert sent < size / 2
        assert len(await answer.read_all(size)) == size
        assert len(await body_of(upstream, head)) == size
        assert server.connections == 1


def test_the_bounds_of_the_head_are_those_that_are_promised():
    """64 KiB of head, 128 fields."""
    assert (connection.HEAD_BYTES_MAX, connection.FIELDS_MAX) == (64 * 1024, 128)
