from collections.abc import Iterable

import pytest

from tests.bench import canned, load
from tests.bench.canned import Dialect, Shape
from tests.bench.load import Connection, Endpoint, Tally

CHAT = Shape(Dialect.CHAT)
STREAM = Shape(Dialect.CHAT, stream=True)
OK = b"HTTP/1.1 200 OK\r\n"


class Wire:
    """The transport of a connection whose other end is the test."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def abort(self) -> None:
        self.aborted = True


class Exchange:
    """One connection, and what it made of the bytes it was given."""

    def __init__(self, shape: Shape, *, deadline: float = 0.0) -> None:
        self.tally = Tally(deadline)
        self.ended = 0
        self.wire = Wire()
        self.connection = Connection(shape, b"request", self._end)
        self.connection.connection_made(self.wire)
        self.connection.start(self.tally)

    def feed(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            self.connection.data_received(part)

    def _end(self) -> None:
        self.ended += 1


def chunked(events: list[bytes]) -> list[bytes]:
    head = OK + b"transfer-encoding: chunked\r\n\r\n"
    return [head, *(b"%x\r\n%s\r\n" % (len(event), event) for event in events), b"0\r\n\r\n"]


def plain(body: bytes) -> bytes:
    return OK + b"content-length: %d\r\n\r\n" % len(body) + body


RIGHT = plain(canned.answer_body(Dialect.CHAT))


def test_a_whole_answer_is_timed() -> None:
    """A right answer counts once, however the network cuts it."""
    exchange = Exchange(CHAT)
    exchange.feed([RIGHT[:30], RIGHT[30:31], RIGHT[31:-1]])
    assert [] == exchange.tally.latencies_ms
    exchange.feed([RIGHT[-1:]])
    assert (1, 0, 1) == (len(exchange.tally.latencies_ms), exchange.tally.wrong, exchange.ended)


def test_the_next_call_follows_on_the_same_connection() -> None:
    """Before the deadline a client always has exactly one call in flight."""
    exchange = Exchange(CHAT, deadline=float("inf"))
    exchange.feed([RIGHT] * 3)
    assert (3, 0) == (len(exchange.tally.latencies_ms), exchange.ended)
    assert [b"request"] * 4 == exchange.wire.sent


def test_the_first_chunk_is_the_first_event() -> None:
    """A comment ahead of the stream is not its first chunk; later chunks change nothing."""
    exchange = Exchange(STREAM)
    head, *rest = chunked([b": comment\n\n", *canned.answer_events(Dialect.CHAT)])
    exchange.feed([head, rest[0]])
    assert 0.0 == exchange.connection._first_at
    exchange.feed([rest[1]])
    first_at = exchange.connection._first_at
    assert first_at > 0
    exchange.feed(rest[2:])
    assert first_at == exchange.connection._first_at
    assert 1 == len(exchange.tally.first_chunks_ms)


@pytest.mark.parametrize(
    ("shape", "parts", "why"),
    [
        (CHAT, [b"HTTP/1.1 503 Unavailable\r\ncontent-length: 4\r\n\r\noops"], "status 503"),
        (CHAT, [plain(b"{}")], "status 200, 2 bytes"),
        # The right text under the wrong status is wrong, too.
        (CHAT, [RIGHT.replace(b"200 OK", b"500 Error")], "status 500"),
        (CHAT, [b"what?\r\n\r\n"], "no HTTP answer"),
        (STREAM, chunked(canned.answer_events(Dialect.CHAT)[:-1]), "status 200"),
    ],
)
def test_a_wrong_answer_is_never_timed(shape: Shape, parts: list[bytes], why: str) -> None:
    """It is told, leaves no latency, and its connection is not used again."""
    exchange = Exchange(shape, deadline=float("inf"))
    exchange.feed(parts)
    assert (1, [], 1) == (exchange.tally.wrong, exchange.tally.latencies_ms, exchange.ended)
    assert why in exchange.tally.first_wrong
    assert exchange.wire.aborted


def test_a_cut_answer_is_never_timed() -> None:
    """A connection that closes in the middle of an answer gave a wrong one; afterwards it may."""
    cut = Exchange(CHAT)
    cut.feed([RIGHT[:-1]])
    cut.connection.connection_lost(None)
    assert (1, 1) == (cut.tally.wrong, cut.ended)
    whole = Exchange(CHAT)
    whole.feed([RIGHT])
    whole.connection.connection_lost(None)
    assert (0, 1) == (whole.tally.wrong, whole.ended)


def test_a_hanging_answer_ends_the_round() -> None:
    """A call that is given up is a wrong answer."""
    exchange = Exchange(CHAT)
    exchange.connection.stop_waiting()
    assert (1, 1) == (exchange.tally.wrong, exchange.ended)


@pytest.mark.parametrize(
    ("dialect", "credential"),
    [(Dialect.CHAT, b"authorization: Bearer K"), (Dialect.MESSAGES, b"x-api-key: K")],
)
def test_requests_are_as_the_sdks_send_them(dialect: Dialect, credential: bytes) -> None:
    """Each protocol's path, credential and exact length."""
    head, _, body = load.request_bytes(Endpoint(1, "K"), Shape(dialect)).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert f"POST {dialect.path} HTTP/1.1".encode() == lines[0]
    assert credential in lines
    assert b"content-length: %d" % len(body) in lines
