"""What is written in one turn of the loop leaves in one piece."""

import asyncio
from collections.abc import Callable

from tollgate_edge.http.turn_transport import WAITING_BYTES_MAX, TurnTransport


class Wire:
    """What reaches the socket's transport, in order."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def write_eof(self) -> None:
        self.told.append("eof")

    def close(self) -> None:
        self.told.append("close")

    def abort(self) -> None:
        self.told.append("abort")

    def get_write_buffer_size(self) -> int:
        return 5

    def is_closing(self) -> bool:
        return "close" in self.told


async def after(*steps: Callable[[TurnTransport], None]) -> list[object]:
    """What the wire was told once the steps and their turn were over."""
    wire = Wire()
    transport = TurnTransport(wire, asyncio.get_running_loop())  # type: ignore[arg-type]
    for step in steps:
        step(transport)
    await asyncio.sleep(0)
    return wire.told


async def test_parts_of_a_turn_are_one_write():
    """Head, body and an empty part leave together and in order; the next turn's apart."""
    assert await after(
        lambda t: t.write(b"head "), lambda t: t.write(b"body"), lambda t: t.write(b"")
    ) == [b"head body"]
    wire = Wire()
    transport = TurnTransport(wire, asyncio.get_running_loop())  # type: ignore[arg-type]
    for part in (b"one", b"two"):
        transport.write(part)
        assert transport.get_write_buffer_size() == 5 + len(part)
        await asyncio.sleep(0)
    assert wire.told == [b"one", b"two"]
    assert transport.get_write_buffer_size() == 5


async def test_nothing_is_lost_by_an_end_and_nothing_follows_it():
    """A close and a half-close come after what was written before, an abort takes it back."""
    assert await after(lambda t: t.write(b"last"), lambda t: t.close()) == [b"last", "close"]
    assert await after(lambda t: t.write(b"last"), lambda t: t.write_eof()) == [b"last", "eof"]
    assert await after(lambda t: t.write(b"lost"), lambda t: t.abort()) == ["abort"]
    assert await after(lambda t: t.close()) == ["close"]


async def test_a_client_that_has_gone_meanwhile_is_no_error():
    """What was to leave for a connection that is lost, or aborted, goes nowhere."""
    wire = Wire()
    transport = TurnTransport(wire, asyncio.get_running_loop())  # type: ignore[arg-type]
    transport.write(b"late")
    wire.close()  # as a reset does, without asking us
    await asyncio.sleep(0)
    transport.write(b"x" * (WAITING_BYTES_MAX + 1))
    assert wire.told == ["close"]


async def test_a_long_turn_is_bounded():
    """More than a write may hold does not wait for the end of the turn: the client's pace is felt."""
    wire = Wire()
    transport = TurnTransport(wire, asyncio.get_running_loop())  # type: ignore[arg-type]
    half = b"x" * (WAITING_BYTES_MAX // 2)
    for _ in range(3):
        transport.write(half)
    assert wire.told == [half * 3]
    transport.write(b"rest")
    await asyncio.sleep(0)
    assert wire.told == [half * 3, b"rest"]


async def test_whatever_else_is_asked_the_connection_answers():
    """The server sees one transport."""
    wire = Wire()
    transport = TurnTransport(wire, asyncio.get_running_loop())  # type: ignore[arg-type]
    assert not transport.is_closing()
    transport.close()
    assert transport.is_closing()
