"""What a connection may send that is no body: every byte and every second of it is bounded."""

import asyncio
import contextlib

import pytest

from tests.fakes.edge import ANSWER, CHAT, KEY, connect, data, end, head, play, running, stream_of
from tollgate_edge.http.protocol import PIPELINED_MAX

LIVE = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
POST = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n"
BODY = b'{"model": "m-openai", "max_tokens": 16, "messages": []}'
# More than any listener keeps for one connection, and enough that no kernel buffer hides it.
ENDLESS_BYTES = 16 << 20
PIECE = b"a" * 16_384


async def send_until_cut(writer: asyncio.StreamWriter, piece: bytes) -> int:
    """How many bytes went out before the other side ended the connection."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < ENDLESS_BYTES:
            writer.write(piece)
            await asyncio.wait_for(writer.drain(), 5)
            sent += len(piece)
    return sent


@pytest.mark.parametrize(
    "start",
    [
        b"GET /" + b"a",
        b"GET / HTTP/1.1\r\nhost: x\r\nx-long: a",
        b"GET / HTTP/1.1\r\nhost: x\r\na",
        POST.encode() + b"transfer-encoding: chunked\r\n\r\n2;a",
        POST.encode() + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-trailer: a",
    ],
    ids=["target", "value", "name", "extension", "trailer"],
)
async def test_case_P1_an_endless_line_is_refused_long_before_its_time(mesh, start):
    """A line without an end is not kept, nor read until the time for it is over."""
    async with running(mesh, header_seconds=60) as edge:
        reader, writer = await connect(edge)
        writer.write(start)
        answer = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
        assert await send_until_cut(writer, PIECE) < ENDLESS_BYTES
        assert (await answer).startswith(b"HTTP/1.1 400")
        writer.transport.abort()
        assert [] == edge.router.requests
        # Everybody else is served.
        _, other = await connect(edge)
        other.transport.abort()
        assert (await edge.client.get(edge.url + "/health/live")).status_code == 200


async def test_case_P1_chunks_of_one_byte_are_a_body(edge):
    """The bound on framing refuses no client that cuts its body small."""
    edge.script(play(head(), data(ANSWER), end()))
    body = BODY[:-1] + b" " * 40_000 + b"}"
    reader, writer = await connect(edge)
    writer.write(POST.encode() + b"transfer-encoding: chunked\r\n\r\n")
    writer.write(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
    await writer.drain()
    got = await asyncio.wait_for(reader.readuntil(ANSWER), 10)
    assert got.startswith(b"HTTP/1.1 200")
    assert body == edge.router.requests[0].body
    writer.close()


@pytest.mark.parametrize("before", [b"", LIVE], ids=["new", "kept alive"])
async def test_case_P1_empty_lines_keep_no_connection(mesh, before):
    """RFC 9112 §2.2 lets a server skip an empty line; it buys no time."""
    async with running(mesh, header_seconds=1) as edge:
        reader, writer = await connect(edge)
        if before:
            writer.write(before)
            await asyncio.wait_for(reader.readuntil(b"}"), 5)
        async with asyncio.timeout(4):
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b"\r\n")
                    await writer.drain()
                    with contextlib.suppress(TimeoutError):
                        if not await asyncio.wait_for(reader.read(1), 0.2):
                            break
        writer.transport.abort()


async def test_case_P1_an_empty_line_behind_a_request_cuts_no_answer(mesh):
    """Old clients send one after a body: the answer takes its time, and the next request comes."""
    hold = asyncio.Event()

    async def slow(request):
        await hold.wait()
        async for message in play(head(), data(ANSWER), end())(request):
            yield message

    async with running(mesh, header_seconds=1) as edge:
        edge.script(slow)
        reader, writer = await connect(edge)
        one = POST.encode() + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
        writer.write(one + b"\r\n")
        await asyncio.sleep(0.5)
        writer.write(b"\r\n")
        await asyncio.sleep(1.5)
        hold.set()
        await asyncio.wait_for(reader.readuntil(ANSWER), 5)
        writer.write(one)
        await asyncio.wait_for(reader.readuntil(ANSWER), 5)
        writer.close()


async def test_case_P1_pipelined_requests_are_answered_up_to_a_number(edge):
    """So many behind one are answered, each once and in order; then the connection ends."""
    reader, writer = await connect(edge)
    writer.write(LIVE * 5_000)
    got = await asyncio.wait_for(reader.read(), 5)
    assert 1 + PIPELINED_MAX == got.count(b"HTTP/1.1 200")
    assert 1 == got.count(b"HTTP/1.1 400")
    assert got.rindex(b"HTTP/1.1 200") < got.index(b"HTTP/1.1 400")
    writer.close()


async def test_case_P1_who_pipelines_within_the_number_is_served(edge):
    """A full pipeline, again and again on one connection."""
    reader, writer = await connect(edge)
    for _ in range(3):
        writer.write(LIVE * (1 + PIPELINED_MAX))
        seen = b""
        while seen.count(b"HTTP/1.1 200") < 1 + PIPELINED_MAX or not seen.endswith(b"}"):
            seen += await asyncio.wait_for(reader.read(65_536), 5)
        assert b" 400" not in seen
    writer.close()


async def test_case_P1_nothing_is_read_behind_a_pipeline(edge):
    """While requests wait, the next ones wait in the client's socket, not in our memory."""
    hold = asyncio.Event()

    async def slow(request):
        await hold.wait()
        async for message in stream_of([b"data: [DONE]\n\n"])(request):
            yield message

    edge.script(slow)
    _, writer = await connect(edge)
    writer.write(POST.encode() + b"content-length: %d\r\n\r\n" % len(BODY) + BODY + LIVE)
    await asyncio.sleep(0.2)
    big = b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-pad: " + b"a" * 30_000 + b"\r\n\r\n"
    writer.transport.set_write_buffer_limits(high=0)
    with pytest.raises(TimeoutError):
        for _ in range(2_000):
            writer.write(big)
            await asyncio.wait_for(writer.drain(), 1)
    hold.set()
    writer.transport.abort()
