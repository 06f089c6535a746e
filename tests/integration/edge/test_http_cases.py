"""Inputs of HTTP that once failed, at the real listener: one request, one answer, always."""

import asyncio
import json

import pytest

from tests.fakes.edge import (
    ANSWER,
    CHAT,
    KEY,
    OPENAI_EVENTS,
    connect,
    data,
    end,
    head,
    play,
    running,
    stream_of,
)
from tollgate_edge.config import LimitsConfig

BODY = json.dumps({"model": "m-openai", "max_tokens": 16, "messages": []}).encode()
STREAM = json.dumps({"model": "m-openai", "stream": True, "messages": []}).encode()
OFFER = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"


def request(body: bytes = BODY, extra: str = "", version: str = "1.1", host: str = "host: x\r\n"):
    lines = f"POST {CHAT} HTTP/{version}\r\n{host}x-api-key: {KEY}\r\n{extra}"
    return f"{lines}content-length: {len(body)}\r\n\r\n".encode() + body


async def one(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    """Status, head and body of one answer with a content-length."""
    got = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    size = int(got.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return int(got.split()[1]), got.lower(), await asyncio.wait_for(reader.readexactly(size), 5)


@pytest.mark.parametrize("cut", [0, 1, 40, 137, -len(BODY), 1 - len(BODY)], ids=str)
async def test_case_P1_an_offer_to_upgrade_is_ignored_and_the_body_read(edge, cut):
    """RFC 9110 §7.8: what stock JDK clients send is one request with one answer, however cut."""
    edge.script(play(head(), data(ANSWER), end()))
    reader, writer = await connect(edge)
    whole = request(extra=OFFER)
    for part in (whole[:cut], whole[cut:]) if cut else (whole,):
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0.05)
    assert (200, ANSWER) == (await one(reader))[::2]
    # The connection goes on: nothing of the first body was taken for a second request.
    writer.write(request())
    assert (200, ANSWER) == (await one(reader))[::2]
    assert 2 == len(edge.router.requests)
    assert BODY == edge.router.requests[0].body
    writer.close()


async def test_case_P1_byte_by_byte_and_pipelined(edge):
    """The offer in a request that comes in single bytes, with two more behind it."""
    edge.script(play(head(), data(ANSWER), end()))
    reader, writer = await connect(edge)
    for byte in request(extra=OFFER) + request(extra=OFFER) + request():
        writer.write(bytes((byte,)))
        await writer.drain()
    for _ in range(3):
        assert (200, ANSWER) == (await one(reader))[::2]
    assert [BODY] * 3 == [sent.body for sent in edge.router.requests]
    writer.close()


@pytest.mark.parametrize("upgrade", ["websocket", "TLS/1.0", "h2c, websocket"])
async def test_case_P1_no_other_offer_is_taken_either(edge, upgrade):
    """Whatever is offered, and without a body, too: HTTP/1.1 goes on."""
    reader, writer = await connect(edge)
    offer = f"connection: keep-alive, Upgrade\r\nupgrade: {upgrade}\r\n"
    writer.write(f"GET /health/live HTTP/1.1\r\nhost: x\r\n{offer}\r\n".encode())
    assert 200 == (await one(reader))[0]
    writer.write(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
    assert 200 == (await one(reader))[0]
    writer.close()


async def test_case_P1_connect_is_refused_and_the_connection_ends(edge):
    """A tunnel is not offered here: no byte after the head is taken for anything."""
    reader, writer = await connect(edge)
    writer.write(
        b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\nGET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
    )
    got = await asyncio.wait_for(reader.read(), 5)
    assert (b"400", 1) == (got.split()[1], got.count(b"HTTP/1.1 4"))
    writer.close()


async def test_case_P11_an_http_1_0_stream_is_delimited_by_its_end(edge):
    """RFC 9112 §6.1: no chunks for who does not know them; the whole stream, then the end."""
    edge.script(stream_of(OPENAI_EVENTS))
    reader, writer = await connect(edge)
    writer.write(request(STREAM, version="1.0", host=""))
    got = await asyncio.wait_for(reader.read(), 5)
    top, _, body = got.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in top.lower()
    assert b"connection: close" in top.lower()
    assert body.startswith(OPENAI_EVENTS[0])
    assert body.endswith(OPENAI_EVENTS[-1])
    writer.close()


async def test_case_P11_an_http_1_0_answer_has_its_length(edge):
    """A whole answer is told by its length, and the connection ends."""
    edge.script(play(head(), data(ANSWER), end()))
    reader, writer = await connect(edge)
    writer.write(request(version="1.0", host=""))
    got = await asyncio.wait_for(reader.read(), 5)
    assert got.endswith(b"\r\n\r\n" + ANSWER)
    assert b"content-length: %d" % len(ANSWER) in got.lower()
    writer.close()


@pytest.mark.parametrize("stream", [False, True])
async def test_case_P19_who_half_closes_is_answered_in_full(edge, stream):
    """SHUT_WR right after the request means "no more requests", not "no answer": every time."""
    edge.script(stream_of(OPENAI_EVENTS) if stream else play(head(), data(ANSWER), end()))
    for _ in range(30):
        reader, writer = await connect(edge)
        writer.write(request(STREAM if stream else BODY))
        writer.write_eof()
        got = await asyncio.wait_for(reader.read(), 5)
        assert got.startswith(b"HTTP/1.1 200")
        assert (b"[DONE]" if stream else ANSWER) in got
        writer.close()


async def test_case_P19_a_client_that_closed_is_found_by_a_write(mesh):
    """A closed client looks like a half-closed one until something is written to it."""
    async with running(mesh, limits=LimitsConfig(drain_seconds=1)) as edge:
        hold = asyncio.Event()

        async def script(request):
            yield head("text/event-stream")
            yield data(OPENAI_EVENTS[0])
            await hold.wait()

        edge.script(script)
        reader, writer = await connect(edge)
        writer.write(request(STREAM))
        await asyncio.wait_for(reader.readuntil(OPENAI_EVENTS[0]), 5)
        writer.close()
        # Its drain time runs: the call ends long before its own time-out.
        async with asyncio.timeout(5):
            while not edge.router.cancelled:
                await asyncio.sleep(0.02)
        hold.set()


@pytest.mark.parametrize("host", ["", "host: x\r\nhost: x\r\n"], ids=["none", "two"])
async def test_case_P1_exactly_one_host(edge, host):
    """RFC 9112 §3.2: HTTP/1.1 without a Host, or with two, is 400."""
    reader, writer = await connect(edge)
    writer.write(request(host=host))
    got = await asyncio.wait_for(reader.read(), 5)
    assert (b"400", 1) == (got.split()[1], got.count(b"HTTP/1.1 4"))
    assert [] == edge.router.requests
    writer.close()


async def test_case_P1_white_space_around_a_value_is_no_part_of_it(edge):
    """RFC 9110 §5.5, in every header: host, key, length and the client's own id."""
    reader, writer = await connect(edge)
    extra = "x-request-id: \t mine \t \r\n"
    writer.write(
        request(extra=extra, host="host: x \t\r\n").replace(KEY.encode(), KEY.encode() + b" ")
    )
    status, top, _ = await one(reader)
    assert (200, True) == (status, b"x-request-id: mine\r\n" in top)
    writer.close()


@pytest.mark.parametrize("path", ["/nowhere", "/health/live", "/v1/models"])
async def test_case_P1_an_answer_that_left_a_body_unread_ends_the_connection(edge, path):
    """What comes next might be that body, or another request: nobody can tell."""
    reader, writer = await connect(edge)
    writer.write(
        f"GET {path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n"
        f"x-api-key: {KEY}\r\ncontent-length: 50\r\n\r\n".encode()
    )
    _, top, _ = await one(reader)
    assert b"connection: close" in top
    assert b"" == await asyncio.wait_for(reader.read(), 5)
    writer.close()
