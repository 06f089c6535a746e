"""Server-sent events as bytes: where frames end, what is in one, and which one is the last.

Promises that the frames given back, joined, are the bytes that came in, however they were chunked,
with LF, CRLF or CR line ends; and that no more than 1 MiB waits for the end of a frame. Owns the
one answer to "is this the end of the stream", for whoever meters and for whoever holds it back.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

MAX_FRAME_BYTES: Final = 1024 * 1024

_LINE_END = rb"(?:\r\n|\n|\r)"
_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))" + _LINE_END)
_LONGEST_BLANK_LINE = len(b"\r\n\r\n")
_LINES = re.compile(_LINE_END)
_BLANKS = re.compile(rb"[\r\n]*+")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FIELDS = (b"data", b"event", b"id", b"retry")
# A whole frame as nearly everybody writes it, which needs no reading line by line; with an id and
# a comment, as DashScope's have, it is none that is simple.
_USUAL = re.compile(
    rb"(id:\d++\n)?(?:event:([ ]?[\w.]++)\n)?(:[^\r\n]*+\n)?"
    rb"data:([ ]?)(?!\s*+data:)([^\r\n]*+)\n\n"
)


class FrameError(Exception):
    """Bytes that are no frames."""


class FrameTooLongError(FrameError):
    """More than MAX_FRAME_BYTES without the end of a frame."""


class Event(NamedTuple):
    """The fields that are used; `data` has its lines joined."""

    name: bytes
    data: bytes
    # The frame is its data in one line, after its name if it has one, and a blank line.
    is_simple: bool
    # Some line is a field or a comment.
    is_event: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnd:
    """How a protocol's stream ends."""

    # The last event, as it is always written to a client; empty: it says what only the upstream
    # knows, so a stream without it has failed.
    frame: bytes
    # No last event is without it.
    marker: bytes
    # Whether an event is the last one, however its lines are written.
    is_last: Callable[[Event], bool]
    # The last event is a document like the others, and no bare word.
    is_document: bool
    # The protocol has no last event: `is_last` tells the document that ends the answer, and others
    # may follow until the upstream closes. They are passed on together with it.
    waits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameForm:
    """How a protocol writes its frames."""

    # Whether a frame, and the event in it, is as the protocol writes one of this name.
    is_own: Callable[[bytes, Event, bytes], bool]
    # A frame of this name with other data than it came with.
    written: Callable[[bytes, bytes, bytes], bytes]


def _written(_frame: bytes, name: bytes, data: bytes) -> bytes:
    return b"%bdata: %b\n\n" % (b"event: %b\n" % name if name else b"", data)


# The name in one line, if there is one, and the data in the next.
PLAIN: Final = FrameForm(
    is_own=lambda _frame, event, name: event.is_simple and event.name == name,
    written=_written,
)


class Framing(Protocol):
    """Makes frames of an upstream's bytes."""

    def push(self, chunk: bytes) -> bytes:
        """All frames that are whole now, joined. Raises FrameError."""

    def rest(self) -> bytes:
        """What is left when the stream has ended. Raises FrameError for what cannot pass so."""


class FrameBuffer:
    """Collects chunks and gives back whole frames, their blank lines included."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def push(self, chunk: bytes) -> bytes:
        """All frames that are whole now, joined; raises FrameTooLongError."""
        rest = self._rest
        if rest:
            # What waited holds no blank line, but perhaps the beginning of one.
            start = max(0, len(rest) - _LONGEST_BLANK_LINE + 1)
            rest += chunk
            end = _last_boundary(rest, start)
            frames = bytes(rest[:end])
            del rest[:end]
        else:
            end = _last_boundary(chunk, 0)
            frames = chunk[:end]
            rest += chunk[end:]
        if len(rest) > MAX_FRAME_BYTES:
            raise FrameTooLongError
        return frames

    @property
    def part(self) -> bytes:
        """The beginning of a frame whose end has not arrived."""
        return bytes(self._rest)

    def rest(self) -> bytes:
        """What is left when the stream has ended."""
        rest = self.part
        self._rest.clear()
        return rest


def _last_boundary(held: bytes | bytearray, start: int, end: int | None = None) -> int:
    """Return where the last blank line between two positions ends; 0 when there is none.

    A CR at the very end may be half of a CRLF: it ends nothing yet.
    """
    end = len(held) if end is None else end
    if held.find(b"\r", start, end) < 0:  # as nearly everybody writes
        at = held.rfind(b"\n\n", start, end)
        return at + 2 if at >= 0 else 0
    ends = [found.end() for found in _BLANK_LINE.finditer(held, start, end)]
    if ends and ends[-1] == end and held[end - 1 : end] == b"\r":
        del ends[-1]
    return ends[-1] if ends else 0


def frame_at(frames: bytes, position: int) -> tuple[int, int]:
    """Where the next frame begins, behind blank lines, and ends: after its own, or with all."""
    blanks = _BLANKS.match(frames, position)
    assert blanks, "matches anything"
    start = blanks.end()
    at = frames.find(b"\n\n", start)
    if at >= 0 and frames.find(b"\r", start, at) < 0:  # as nearly everybody writes
        return start, at + 2
    found = _BLANK_LINE.search(frames, start)
    return start, found.end() if found else len(frames)


def events(frames: bytes) -> Iterator[Event]:
    """What whole frames say, one after another."""
    position = 0
    while position < len(frames):
        if usual := _USUAL.match(frames, position):
            position = usual.end()
            yield _usual_event(usual)
        else:
            start, position = frame_at(frames, position)
            if frame := frames[start:position]:
                yield parse(frame)


def _usual_event(found: re.Match[bytes]) -> Event:
    number, name, comment, blank, data = found.groups(b"")
    is_simple = blank != b"" and name[:1] in (b"", b" ") and not (number or comment)
    return Event(name.lstrip(), data, is_simple, is_event=True)


def parse(frame: bytes) -> Event:
    """The event in a frame. Data that was framed twice loses its inner frame."""
    if usual := _USUAL.fullmatch(frame):
        return _usual_event(usual)
    name = b""
    data: list[bytes] = []
    lines = _LINES.split(frame.removeprefix(_BYTE_ORDER_MARK))
    is_event = False
    for line in lines:
        field, _, value = line.partition(b":")
        if field == b"data":
            while value.lstrip().startswith(b"data:"):
                value = value.lstrip()[5:]
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.strip()
        is_event = is_event or field in _FIELDS or line.startswith(b":")
    head = [b"event: " + name] if name else []
    # A client takes a mark for a part of the first name, but for one at a stream's beginning.
    is_marked = frame.startswith(_BYTE_ORDER_MARK)
    is_simple = len(data) == 1 and not is_marked and lines == [*head, b"data: " + data[0], b"", b""]
    return Event(name, b"\n".join(data), is_simple, is_event)


def end_of(frames: bytes, end: StreamEnd) -> int:
    """Where the terminal event begins in whole frames; -1 when it is not there."""
    at = frames.find(end.marker)
    if at < 0:
        return -1
    position = _last_boundary(frames, 0, at)
    while position < len(frames):
        start, position = frame_at(frames, position)
        frame = frames[start:position]
        if end.marker in frame and end.is_last(parse(frame)):
            return start
    return -1
