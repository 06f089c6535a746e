"""Ends and borders of a connection that once went wrong, at the real listener."""

import asyncio
import contextlib
import gc
import json
import socket
import struct

import pytest

from tests.fakes.edge import ANSWER, CHAT, KEY, Edge, data, end, head, play, route, running
from tests.fakes.edge import connect as raw_connection
from tollgate_edge.api.call.call import Call
from tollgate_edge.config import LimitsConfig
from tollgate_edge.http.protocol import FIELDS_MAX, LimitedProtocol

LIVE = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
POST = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n".encode()
BODY = b'{"model": "m-openai", "max_tokens": 16, "messages": []}'
LENGTH = b"content-length: %d\r\n\r\n" % len(BODY)
ONE = POST + LENGTH + BODY
HALF = POST + b"content-length: 50\r\n\r\nabc"
ODD_CHUNK = POST + b"transfer-encoding: chunked\r\n\r\nZZ\r\n"


@pytest.fixture
async def connect():
    """Opens connections to an edge; they are gone after the test."""
    opened = []

    async def connecting(edge: Edge) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        opened.append(await raw_connection(edge))
        return opened[-1]

    yield connecting
    for _, writer in opened:
        writer.transport.abort()


async def rest_of(reader: asyncio.StreamReader, seconds: float = 8) -> bytes:
    """All that comes until the connection ends."""
    return await asyncio.wait_for(reader.read(), seconds)


def slowly(seconds: float):
    """The model's answer, after a while."""

    async def script(request):
        await asyncio.sleep(seconds)
        async for message in play(head(), data(ANSWER), end())(request):
            yield message

    return script


async def test_case_P1_half_a_request_behind_an_answer_cuts_no_answer(connect, mesh):
    """Its time begins when it is next: until then it may be we who do not read."""
    async with running(mesh, header_seconds=1) as edge:
        edge.script(slowly(1.5))
        reader, writer = await connect(edge)
        writer.write(ONE)
        await asyncio.sleep(0.2)
        writer.write(ONE + POST[:30])
        await asyncio.sleep(0.2)
        writer.write(POST[30:] + LENGTH + BODY)
        for _ in range(3):
            assert (await asyncio.wait_for(reader.readuntil(ANSWER), 5)).startswith(b"HTTP/1.1 200")
        writer.write(POST[:30])
        assert b"" == await rest_of(reader, 3)


async def test_case_P1_each_request_has_its_own_time(connect, mesh):
    """Heads that begin in the read that ended the last one, and one behind an empty line."""
    async with running(mesh, header_seconds=1) as edge:
        reader, writer = await connect(edge)
        writer.write(LIVE[:20])
        for _ in range(20):
            writer.write(LIVE[20:] + LIVE[:20])
            await asyncio.wait_for(reader.readuntil(b"}"), 1)
            await asyncio.sleep(0.1)
        writer.write(LIVE[20:] + b"\r\n")
        await asyncio.wait_for(reader.readuntil(b"}"), 1)
        await asyncio.sleep(0.7)
        writer.write(LIVE[:20])
        await asyncio.sleep(0.7)
        writer.write(LIVE[20:])
        assert await asyncio.wait_for(reader.readuntil(b"}"), 1)


@pytest.mark.parametrize(
    ("sent", "answers"),
    [(ONE + HALF, [200]), (ONE + ONE + HALF, [200, 200]), (ONE + POST, [200]),
     (ONE + ONE + ODD_CHUNK, [200, 200]), (ONE + ODD_CHUNK, [200])],
    ids=["half body", "two", "half head", "odd chunk behind two", "odd chunk"],
)  # fmt: skip
@pytest.mark.parametrize("fin", [False, True])
async def test_case_P19_whole_requests_are_answered_whatever_is_behind_them(
    connect, mesh, sent, answers, fin
):
    """What is not whole, or no HTTP, takes no answer from what came before it."""
    async with running(mesh, header_seconds=1, limits=LimitsConfig(body_seconds=1)) as edge:
        edge.script(slowly(0.5))
        reader, writer = await connect(edge)
        writer.write(sent)
        if fin:
            writer.write_eof()
        got = b""
        with contextlib.suppress(ConnectionError):
            while piece := await asyncio.wait_for(reader.read(65_536), 15):
                got += piece
        assert len(answers) == got.count(ANSWER) == got.count(b"HTTP/1.1 200")
        assert got.count(b"HTTP/1.1 4") <= 1


async def test_case_P1_nonsense_behind_a_large_answer_cuts_nothing_of_it(connect, edge):
    """A client that reads slowly still gets all of what it asked for first, then the 400."""
    large = b'{"choices":[],"x":"' + b"a" * (24 << 20) + b'"}'
    pieces = [data(large[at : at + (1 << 20)]) for at in range(0, len(large), 1 << 20)]
    edge.script(play(route(), head(), *pieces, end()))
    reader, writer = await connect(edge)
    writer.write(ONE + b"\x00garbage")
    await asyncio.sleep(4.5)
    got = await rest_of(reader, 20)
    assert large in got
    assert 1 == got.count(b"HTTP/1.1 400")


async def test_case_P1_more_fields_than_anybody_sends_are_refused(connect, edge):
    """Many empty fields are few bytes on the wire and many objects here."""
    reader, writer = await connect(edge)
    start = b"GET /health/live HTTP/1.1\r\nhost: x\r\n"
    writer.write(start + b"a:\r\n" * (FIELDS_MAX - 1) + b"\r\n")
    assert (await asyncio.wait_for(reader.readuntil(b"}"), 5)).startswith(b"HTTP/1.1 200")
    writer.write(start + b"a:\r\n" * (FIELDS_MAX + 1))
    assert (await rest_of(reader)).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("late", [b"hello", b"ZZ\r\n"], ids=["body", "odd chunk"])
async def test_case_P1_a_body_that_comes_after_its_answer_keeps_no_connection(connect, mesh, late):
    """A preflight with a body: one answer, and the connection ends."""
    framing = b"content-length: 5" if late == b"hello" else b"transfer-encoding: chunked"
    async with running(mesh, origins=("https://a.example",)) as edge:
        reader, writer = await connect(edge)
        writer.write(
            b"OPTIONS /v1/models HTTP/1.1\r\nhost: x\r\norigin: https://a.example\r\n"
            b"access-control-request-method: GET\r\n" + framing + b"\r\n\r\n"
        )
        got = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert got.startswith(b"HTTP/1.1 204")
        with contextlib.suppress(ConnectionError):
            writer.write(late)
            assert b"" == await rest_of(reader)


async def test_case_P1_nonsense_with_an_expectation_is_no_bug_of_ours(connect, edge):
    """100-continue is not written after the 400."""
    reader, writer = await connect(edge)
    writer.write(POST + b"expect: 100-continue\r\n" + ODD_CHUNK[len(POST) :])
    got = await rest_of(reader)
    assert (1, 0) == (got.count(b"HTTP/1.1 400"), got.count(b"100 Continue"))
    await asyncio.sleep(0.2)
    assert [] == [line for line in edge.lines() if line["event"].endswith(".bug")]


async def test_case_B1_a_refusal_that_waits_holds_no_body(connect, mesh):
    """Its share of the memory was given back, so the body is gone."""
    limits = LimitsConfig(body_bytes_max=4 << 20, bodies_bytes_max=8 << 20)
    refused = {"model": "nope", "max_tokens": 1, "messages": []}
    small = json.dumps(refused).encode()
    large = json.dumps({**refused, "user": "a" * (3 << 20)}).encode()

    def call(body: bytes) -> bytes:
        return POST + b"content-length: %d\r\n\r\n" % len(body) + body

    async with running(mesh, limits=limits) as edge:
        lines = [await connect(edge) for _ in range(200)]
        for _, writer in lines:
            writer.write(call(small) * 4)
        await asyncio.sleep(1)
        for _ in range(6):
            lines.append(await connect(edge))
            lines[-1][1].write(call(large))
            await asyncio.sleep(0.3)
        held = sum(len(one.body) for one in gc.get_objects() if isinstance(one, Call))
        assert held < len(large)


async def test_case_P11_an_http_1_0_client_gets_no_100(connect, edge):
    """RFC 9110 §10.1.1: its expectation is ignored, and its body read."""
    edge.script(play(head(), data(ANSWER), end()))
    reader, writer = await connect(edge)
    writer.write(
        ONE.replace(b"1.1", b"1.0", 1)[: -len(BODY)].replace(
            b"host", b"expect: 100-continue\r\nhost"
        )
    )
    await asyncio.sleep(0.3)
    writer.write(BODY)
    got = await rest_of(reader)
    assert (True, 0) == (got.startswith(b"HTTP/1.1 200"), got.count(b"100 Continue"))


async def test_case_B1_a_connection_that_was_reset_is_gone(connect, edge):
    """No timer keeps it, nor the head of its last request."""
    pad = b"a" * 30_000
    live = LIVE[:-2] + b"x-pad: " + pad + b"\r\n\r\n"
    for _ in range(30):
        reader, writer = await connect(edge)
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.write(live)
        await asyncio.wait_for(reader.readuntil(b"}"), 5)
        writer.transport.abort()
    await asyncio.sleep(0.5)
    gc.collect()
    held = [one for one in gc.get_objects() if isinstance(one, LimitedProtocol)]
    assert len(held) < 5
