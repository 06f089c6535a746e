"""AWS's event streams: the same messages as its own SDK finds, however they are cut."""

import contextlib
import struct
import zlib

import pytest
from botocore.eventstream import EventStreamBuffer, ParserError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.dialects.bedrock_converse.aws import message
from tollgate_dialects.common import sse
from tollgate_dialects.common.aws_eventstream import BrokenMessageError, MessageBuffer

ONE = message(b'{"a":1}', event_type="x", message_type="event")
TWO = message(b"", event_type="y")


def pushed(raw: bytes, sizes=(1_000_000,)):
    """The messages of some bytes in chunks of these sizes, and whether they are whole."""
    buffer, found, at, turn = MessageBuffer(), [], 0, 0
    while at < len(raw):
        size = sizes[turn % len(sizes)]
        found += [(one.headers, one.payload) for one in buffer.push(raw[at : at + size])]
        at, turn = at + size, turn + 1
    return found, buffer.is_empty


def of_the_sdk(raw: bytes):
    buffer = EventStreamBuffer()
    buffer.add_data(raw)
    return [
        ({k: v for k, v in one.headers.items() if isinstance(v, str)}, one.payload)
        for one in buffer
    ]


HEADERS = st.dictionaries(
    st.sampled_from(("event_type", "message_type", "content_type", "x")), st.text(max_size=9)
)
MESSAGES = st.builds(lambda payload, headers: message(payload, **headers), st.binary(), HEADERS)


@settings(max_examples=200, deadline=None)
@given(st.lists(MESSAGES, max_size=4), st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_messages_are_those_of_the_sdk(messages, sizes):
    """However the bytes are cut, headers and payloads are what botocore finds."""
    raw = b"".join(messages)
    assert (of_the_sdk(raw), True) == pushed(raw, sizes)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(ONE) - 1), st.integers(1, 255), st.integers(1, 60))
def test_no_changed_byte_passes(at, change, size):
    """A message with one byte changed is a fault, or waits for more; so it is to the SDK."""
    broken = bytearray(ONE)
    broken[at] ^= change
    with contextlib.suppress(ParserError):
        assert [] == of_the_sdk(bytes(broken))
    with contextlib.suppress(sse.FrameError):
        assert ([], False) == pushed(bytes(broken), (size,))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_whatever_comes_is_a_message_or_one_fault(raw):
    """Only FrameError leaves the buffer."""
    try:
        pushed(raw, (7,))
    except sse.FrameError:
        return


def test_what_came_before_a_fault_is_told_however_it_was_cut():
    """Whole messages are given back, and the fault is raised behind them."""
    buffer = MessageBuffer()
    assert 1 == len(buffer.push(ONE + b"garbage that is no message"))
    assert not buffer.is_empty
    with pytest.raises(BrokenMessageError):
        buffer.push(b"")


def test_half_a_message_waits():
    """It is no message until its last byte is there."""
    buffer = MessageBuffer()
    assert [] == buffer.push(ONE[:-1])
    assert not buffer.is_empty
    assert 2 == len(buffer.push(ONE[-1:] + TWO))
    assert buffer.is_empty


def test_no_more_than_a_mebibyte_waits():
    """A size beyond it is a fault at once: nothing of it has to come first."""
    prelude = struct.pack(">II", sse.MAX_FRAME_BYTES + 1, 0)
    with pytest.raises(sse.FrameTooLongError):
        MessageBuffer().push(prelude + struct.pack(">I", zlib.crc32(prelude)))
    largest = message(b"x" * (sse.MAX_FRAME_BYTES - 16))
    assert 1 == len(MessageBuffer().push(largest))


def test_headers_of_every_kind_are_read_over():
    """Those that are no texts are skipped by their size; what is no kind is a fault."""
    values = [
        (0, b""), (1, b""), (2, b"b"), (3, b"bb"), (4, b"bbbb"), (5, b"b" * 8),
        (6, b"\0\2bb"), (8, b"b" * 8), (9, b"b" * 16), (7, b"\0\1t"),
    ]  # fmt: skip
    packed = b"".join(b"\1%c%c%b" % (97 + kind, kind, value) for kind, value in values)
    assert [({"h": "t"}, b"p")] == pushed(_framed(packed, b"p"))[0]
    for bad in (b"\1a\x0a", b"\1a\7\0\5t", b"\5a", b"\1a\7\0\1\xff", packed + b"\1h\0"):
        with pytest.raises(BrokenMessageError):
            pushed(_framed(bad, b""))


def _framed(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    whole = prelude + headers + payload
    return whole + struct.pack(">I", zlib.crc32(whole))
