"""Clients of every protocol that leave, that read slowly or that wait: the same for each."""

import asyncio
import json
import re

import pytest

from tests.demo import WIRES, event
from tests.fakes.edge import KEY, Edge, Wire, connect, data, end, head, route, running
from tollgate.audit.v1 import audit_pb2
from tollgate_edge.config import LimitsConfig
from tollgate_router.messages import PROTOCOLS

FINISHED = audit_pb2.ENTRY_KIND_CALL_FINISHED
CLIENTS = ("openai", "anthropic", "responses", "gemini", "dashscope")
EACH = pytest.mark.parametrize("client", CLIENTS)
WAYS = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
# Google's SDK fails on a comment.
SILENT = ("gemini",)


LAST = {
    "openai": b"data: [DONE]\n\n",
    "anthropic": b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    "responses": b'event: response.completed\ndata: {"type":"response.completed"}\n\n',
    "gemini": b'data: {"candidates":[{"content":{"parts":[{"text":""}]},"finishReason":"STOP"}]}\n\n',
    "dashscope": b'id:9\nevent:result\n:HTTP_STATUS/200\ndata:{"output":{"choices":'
    b'[{"message":{"content":""},"finish_reason":"stop"}]}}\n\n',
}  # fmt: skip


async def begin(edge: Edge, client: str, *, stream: bool) -> Wire:
    """A call over a socket of its own."""
    reader, writer = await connect(edge)
    wire = WIRES[client]
    body = json.dumps(wire.body("m-openai", 16, stream)).encode()
    lines = [
        f"POST {wire.path('m-openai', stream)} HTTP/1.1", "host: x", f"x-api-key: {KEY}",
        f"content-length: {len(body)}", *(f"{n}: {v}" for n, v in wire.streams.items() if stream),
    ]  # fmt: skip
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    return Wire(reader, writer)


async def nothing_is_left(edge: Edge) -> None:
    """No call, no connection and no settlement is kept for those who left."""
    kept = ("calls_in_flight", "connections", "settle_queue")
    async with asyncio.timeout(5):
        while True:
            text = (await edge.client.get(f"{edge.metrics_url}/metrics")).text
            found = {
                name: float(
                    re.search(rf"^tollgate_{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)[1]
                )
                for name in kept
            }
            if set(found.values()) == {0}:
                return
            await edge.client.aclose()  # its own connection is one of them
            edge.client = type(edge.client)()
            await asyncio.sleep(0.05)


@EACH
@WAYS
async def test_who_leaves_pays_for_the_whole_answer(edge, client, stream):
    """The answer is read to its end, charged once and recorded; nothing is kept of the call."""
    left = asyncio.Event()

    async def script(request):
        yield route()
        yield head("text/event-stream" if stream else "application/json")
        yield data(event(client, "first") if stream else b'{"half')
        await left.wait()
        for _ in range(50):
            yield data(event(client, "more") if stream else b" ")
        yield end(cost=77)

    edge.script(script)
    wire = await begin(edge, client, stream=stream)
    if stream:
        await wire.until(b"first")
    async with asyncio.timeout(3):
        while not edge.router.requests:
            await asyncio.sleep(0.01)
    wire.abort()
    await asyncio.sleep(0.05)
    left.set()
    async with asyncio.timeout(3):
        while not edge.audit.of(FINISHED):
            await asyncio.sleep(0.01)
    await edge.quiet()
    assert ([[77]], 0, 1) == (edge.budget.charges(), edge.router.cancelled, edge.router.ended)
    assert [77] == [entry["cost_nano_usd"] for entry in edge.audit.of(FINISHED)]
    await nothing_is_left(edge)


async def test_the_draining_for_those_who_left_is_bounded(mesh):
    """After drain_seconds each call is left: router is told, the amount stays counted.

    A whole answer has nothing to find out with whether a client that closed only waits: a reset.
    """
    async with running(mesh, limits=LimitsConfig(drain_seconds=1)) as edge:

        async def script(request):
            yield head("text/event-stream" if request.stream else "application/json")
            yield data(b": nothing that any protocol has\n\n" if request.stream else b"{")
            await asyncio.Event().wait()

        edge.script(script)
        ways = [(client, stream) for client in CLIENTS for stream in (True, False)]
        wires = [await begin(edge, client, stream=stream) for client, stream in ways]
        async with asyncio.timeout(8):
            while len(edge.router.requests) < len(ways):
                await asyncio.sleep(0.02)
            for wire in wires:
                wire.reset()
            while len(edge.audit.of(FINISHED)) < len(ways) or edge.router.cancelled < len(ways):
                await asyncio.sleep(0.02)
        assert {(False, "client_gone", "quarantined_client_gone")} == {
            (one["charged"], one["end_reason"], one["charge_reason"])
            for one in edge.audit.of(FINISHED)
        }
        await edge.quiet()
        assert [["quarantined"]] * len(ways) == edge.budget.charges()
        await nothing_is_left(edge)


@EACH
async def test_a_slow_client_holds_back_its_own_upstream_only(edge, client):
    """What it does not read is not read from its upstream either; others get theirs meanwhile."""
    pieces, text = 2000, "x" * 32_768
    given = 0

    async def script(request):
        nonlocal given
        yield head("text/event-stream")
        if edge.router.requests[0] is not request:
            yield data(event(client, "quick"))
        else:
            for _ in range(pieces):
                yield data(event(client, text))
                given += 1
        yield data(LAST[client])
        yield end()

    edge.script(script)
    slow = await begin(edge, client, stream=True)
    await slow.until(b"200 OK")
    before = -1
    async with asyncio.timeout(8):
        while before != given:
            before = given
            await asyncio.sleep(0.25)
    assert 0 < given < pieces / 2
    quick = await begin(edge, client, stream=True)
    assert b"quick" in await quick.until(LAST[client].strip())
    assert before == given
    slow.abort()
    quick.abort()
    async with asyncio.timeout(8):
        while edge.router.ended < 2:
            await asyncio.sleep(0.02)
    await edge.quiet()
    assert given == pieces


async def test_a_silent_stream_beats_where_its_protocol_has_comments(mesh):
    """Before the first event and between two; where clients take no comment, nothing is said."""
    async with running(mesh, limits=LimitsConfig(beat_seconds=1)) as edge:
        spoken = {WIRES[client].dialect: client for client in CLIENTS}

        async def script(request):
            client = spoken[PROTOCOLS[request.client_protocol]]
            yield head("text/event-stream")
            await asyncio.sleep(1.3)
            yield data(event(client, "first"))
            await asyncio.sleep(1.3)
            yield data(LAST[client])
            yield end()

        edge.script(script)

        async def told(client: str) -> list[int]:
            wire = await begin(edge, client, stream=True)
            got = await wire.until(LAST[client].strip(), 8)
            wire.abort()
            before, _, after = got.partition(b"first")
            return [part.count(b": keep-alive\n") for part in (before, after)]

        beats = dict(zip(CLIENTS, await asyncio.gather(*map(told, CLIENTS)), strict=True))
    for client, found in beats.items():
        assert found == [0, 0] if client in SILENT else min(found) > 0, client
