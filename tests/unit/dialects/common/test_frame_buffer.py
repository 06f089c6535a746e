"""The splitter of events: where frames end, however they arrive, and how much it looks at."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.common import sse

LINE = re.compile(rb"\r\n|\n|\r")


def ended(raw: bytes) -> list[bytes]:
    """The frames that are whole, found line by line from the very start."""
    frames, lines, start = [], [], 0
    for found in LINE.finditer(raw):
        if found[0] == b"\r" and found.end() == len(raw):
            break  # perhaps half of a CRLF
        line, start = raw[start : found.start()], found.end()
        if line:
            lines.append(line)
        elif lines:
            frames.append(b"|".join(lines))
            lines = []
    return frames


def split(frames: bytes) -> list[bytes]:
    """Frames and the blank lines before them, in turn."""
    pieces, position = [], 0
    while position < len(frames):
        start, end = sse.frame_at(frames, position)
        assert position <= start <= end
        pieces += [frames[position:start], frames[start:end]]
        position = end
    return pieces


def joined(frames: bytes) -> list[bytes]:
    pieces = (LINE.sub(b"|", piece.strip(b"\r\n")) for piece in split(frames))
    return [piece for piece in pieces if piece]


@given(st.binary(max_size=300) | st.text("\r\na:", max_size=40).map(str.encode))
def test_no_byte_is_in_two_frames_or_none(raw):
    """Frames and what is between them, joined, are what came in; no frame begins with a blank."""
    pieces = split(raw)
    assert raw == b"".join(pieces)
    assert not any(frame.startswith((b"\r", b"\n")) for frame in pieces[1::2])


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"bc"]), max_size=24).map(b"".join),
    st.lists(st.integers(0, 48), max_size=10),
)
def test_a_frame_leaves_with_the_read_that_ends_it(raw, cuts):
    """After each read, exactly the frames that a search of all bytes from the start finds."""
    buffer, passed = sse.FrameBuffer(), b""
    borders = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    for start, end in pairwise(borders):
        passed += buffer.push(raw[start:end])
        assert ended(raw[:end]) == joined(passed)
        assert raw[:end] == passed + buffer.part
    assert raw == passed + buffer.rest()
    assert b"" == buffer.part


@pytest.mark.parametrize("line", [b"x\ny", b"x\ry", b"x\r\ny"])
@pytest.mark.parametrize("size", [1, 16, 1000])
def test_what_waits_is_not_searched_again(monkeypatch, line, size):
    """A long frame in small reads: each byte is looked at once, and a few at each border."""
    looked = []
    search = sse._last_boundary

    def counted(held, start):
        looked.append(len(held) - start)
        return search(held, start)

    monkeypatch.setattr(sse, "_last_boundary", counted)
    buffer, raw = sse.FrameBuffer(), b"data: " + line * 5_000
    for at in range(0, len(raw), size):
        assert b"" == buffer.push(raw[at : at + size])
    assert raw + b"\n\n" == buffer.push(b"\n\n")
    assert sum(looked) <= len(raw) + 2 + 3 * len(looked)
