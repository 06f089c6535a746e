"""Large bodies are read in a process of their own: the same facts, and the loop runs on."""

import asyncio
import json

import pytest

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import close_bound, request
from tollgate_dialects.tokens import calibration
from tollgate_edge.api import request_reader
from tollgate_edge.api.request_reader import (
    LARGE_BYTES,
    LARGE_TEXT_BYTES,
    ReaderLost,
    RequestReader,
)

CHAT = Protocol.OPENAI_CHAT
RULES = DIALECTS[CHAT].request


def body(size: int, **fields: object) -> bytes:
    document = {"model": "m", "messages": [{"role": "user", "content": "a b " * (size // 4)}]}
    return json.dumps({**document, **fields}).encode()


@pytest.fixture
def reader():
    reader = RequestReader()
    yield reader
    reader.close()


async def test_the_same_is_read_here_and_there(reader):
    """Facts and refusals, on either side of the size, one after another."""
    for size in (10, LARGE_BYTES, 3 * LARGE_BYTES):
        text = body(size, stream=True, max_tokens=7)
        assert request.read(text, RULES) == await reader.read(text, CHAT)
        for fault in (body(size, max_tokens="7"), body(size)[:-1], b'{"n":1,"n":2,' + text[1:]):
            with pytest.raises(request.BadRequest) as here:
                request.read(fault, RULES)
            with pytest.raises(request.BadRequest) as there:
                await reader.read(fault, CHAT)
            assert vars(here.value) == vars(there.value)


async def test_case_B2_the_loop_runs_on_while_a_large_body_is_read(reader):
    """32 MB: the loop takes many turns meanwhile; read here it takes none, in a thread a few."""
    await reader.read(body(2 * LARGE_BYTES), CHAT)
    reading = asyncio.ensure_future(reader.read(body(32_000_000), CHAT))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert "m" == (await reading).model
    assert turns > 10


async def test_a_small_large_body_overtakes_the_largest(reader):
    """Whoever sends many of 32 MB does not make everybody wait for all of them."""
    ended = []

    async def one(name: str, size: int) -> None:
        await reader.read(body(size), CHAT)
        ended.append(name)

    async with asyncio.TaskGroup() as tasks:
        for number in range(4):
            tasks.create_task(one(f"large {number}", 8_000_000))
        await asyncio.sleep(0)
        tasks.create_task(one("small", 2 * LARGE_BYTES))
    assert "small" in ended[:2]


async def test_a_reader_that_dies_is_replaced(reader):
    """The body it died of is not read; the next one is, by another process."""
    await reader.read(body(2 * LARGE_BYTES), CHAT)
    first = reader._child
    first.kill()
    first.wait()
    assert "m" == (await reader.read(body(2 * LARGE_BYTES), CHAT)).model
    first = reader._child
    reading = asyncio.ensure_future(reader.read(body(32_000_000), CHAT))
    await asyncio.sleep(0.05)
    first.kill()
    with pytest.raises(ReaderLost):
        await reading
    assert "m" == (await reader.read(body(2 * LARGE_BYTES), CHAT)).model


async def test_a_reading_without_end_is_ended(reader, monkeypatch):
    """It takes too long, or its call is cancelled: the process goes, and the next body has one."""
    monkeypatch.setattr(request_reader, "READ_SECONDS", 0.001)
    with pytest.raises(ReaderLost):
        await reader.read(body(32_000_000), CHAT)
    monkeypatch.setattr(request_reader, "READ_SECONDS", 10.0)
    reading = asyncio.ensure_future(reader.read(body(16_000_000), CHAT))
    waiting = asyncio.ensure_future(reader.read(body(2 * LARGE_BYTES), CHAT))
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert "m" == (await waiting).model


async def test_tokens_are_counted_alike_here_and_there(reader):
    """The same bound on either side of the size."""
    known = calibration.BY_WORD["gpt-5"]
    for size in (10, LARGE_TEXT_BYTES, 3 * LARGE_TEXT_BYTES):
        text = body(size)
        assert close_bound.count(text, RULES, known) == await reader.close_bound(text, CHAT, known)
    assert reader._child is not None
