"""Server-sent events as bytes: where frames end, and what is in one.

Promises that the frames given back, joined, are the bytes that came in, however they were chunked,
with LF, CRLF or CR line ends; and that no more than 1 MiB waits for the end of a frame.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

MAX_FRAME_BYTES: Final = 1024 * 1024

_LINE_END = rb"(?:\r\n|\n|\r)"
_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))" + _LINE_END)
_AFTER_BLANK_LINE = re.compile(_BLANK_LINE.pattern + rb"(?:\r|\n)*+([^\r\n]*+)")
_STRAY = re.compile(rb"\n\n\n*+(?!data|event|id|retry|:|\Z)")
_LINES = re.compile(_LINE_END)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FIELDS = (b"data", b"event", b"id", b"retry", b":")


class FrameTooLongError(Exception):
    """More than MAX_FRAME_BYTES without the end of a frame."""


class Event(NamedTuple):
    """The fields that are used; `data` has its lines joined."""

    name: bytes
    data: bytes
    data_lines: int


class FrameBuffer:
    """Collects chunks and gives back whole frames, their blank lines included."""

    def __init__(self) -> None:
        self._rest = b""

    def push(self, chunk: bytes) -> bytes:
        """All frames that are whole now, joined; raises FrameTooLongError."""
        held = self._rest + chunk if self._rest else chunk
        if b"\r" in held:
            end = _last_boundary(held)
        else:
            end = held.rfind(b"\n\n") + 2
            if end == 1:
                end = 0
        self._rest = held[end:]
        if len(self._rest) > MAX_FRAME_BYTES:
            raise FrameTooLongError
        return held[:end]

    def rest(self) -> bytes:
        """What is left when the stream has ended."""
        rest, self._rest = self._rest, b""
        return rest


def _last_boundary(held: bytes) -> int:
    """A CR at the very end may be half of a CRLF: it ends nothing yet."""
    end = 0
    for found in _BLANK_LINE.finditer(held):
        if found.end() < len(held) or held[-1:] == b"\n":
            end = found.end()
    return end


def split(frames: bytes) -> list[bytes]:
    """Whole frames, one by one; a last one without its blank line is kept.

    Blank lines before a frame are a piece of their own: they arrive with either neighbour.
    """
    ends = [found.end() for found in _BLANK_LINE.finditer(frames)]
    if not ends or ends[-1] != len(frames):
        ends.append(len(frames))
    starts = [0, *ends[:-1]]
    pieces: list[bytes] = []
    for start, end in zip(starts, ends, strict=True):
        frame = frames[start:end].lstrip(b"\r\n")
        pieces += [frames[start : end - len(frame)], frame]
    return [piece for piece in pieces if piece]


def parse(frame: bytes) -> Event:
    """The event in a frame."""
    name = b""
    data: list[bytes] = []
    for line in _LINES.split(frame.removeprefix(_BYTE_ORDER_MARK)):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.strip()
    return Event(name=name, data=b"\n".join(data), data_lines=len(data))


def first_of(frames: bytes, markers: Sequence[bytes]) -> int:
    """Where the first of the markers stands; the size when none occurs."""
    first = len(frames)
    for marker in markers:
        at = frames.find(marker, 0, first)
        if at >= 0:
            first = at
    return first


def quiet_part(frames: bytes, limit: int) -> int:
    """Size of the whole frames that end before limit.

    0 where line ends other than LF, a byte order mark or bytes that are no frames make the quick
    answer unsure.
    """
    end = frames.rfind(b"\n\n", 0, limit) + 2
    if end < 2 or b"\r" in frames or not frames.startswith(_FIELDS):  # noqa: PLR2004 - not found
        return 0
    return end if _STRAY.search(frames, 0, end) is None and end <= MAX_FRAME_BYTES else 0


def are_frames(frames: bytes) -> bool:
    """Whether each frame begins with a field or a comment; blank lines are allowed."""
    if not frames.startswith(_FIELDS):
        start = frames.removeprefix(_BYTE_ORDER_MARK).lstrip(b"\r\n")
        if start and not start.startswith(_FIELDS):
            return False
    if b"\r" in frames:
        return all(
            not line or line.startswith(_FIELDS) for line in _AFTER_BLANK_LINE.findall(frames)
        )
    return _STRAY.search(frames) is None
