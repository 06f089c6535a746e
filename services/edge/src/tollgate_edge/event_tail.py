"""Holds back the last event of a stream until the record of the call is durable.

Owns the split of an SSE byte stream into what may leave now and its terminal event. Promises:
bytes leave in order and unchanged; a whole event leaves at once, unless it is the terminal one;
a part of an event waits for its end up to a bound. Never parses an event's data.
"""

import re
from collections.abc import Sequence

# An event that grows beyond this is let through as it comes: it is not a terminal one.
PART_BYTES_MAX = 1024 * 1024
_END_BYTES_MAX = 3  # less than a whole \r\n\r\n
_LINE_FEED = 0x0A
_EVENT_END = re.compile(rb"\r?\n\r?\n")


class EventTail:
    """Feed it what arrives; send what it gives back; `held` is the terminal event."""

    def __init__(self, terminal_lines: Sequence[bytes]) -> None:
        """`terminal_lines`: each is how a terminal event's telling line begins."""
        self._needles = tuple(terminal_lines)
        self._part = b""
        self._within = False  # the bytes so far end inside an event that was let through
        self._held = b""

    @property
    def held(self) -> bytes:
        """The terminal event; empty until it arrives."""
        return self._held

    @property
    def is_between_events(self) -> bool:
        """Whether something else may be sent before the next event."""
        return not self._within and not self._held

    @property
    def part(self) -> bytes:
        """The beginning of an event whose end has not arrived."""
        return self._part

    def feed(self, chunk: bytes) -> bytes:
        """What may leave now."""
        if self._held:
            self._hold(chunk)
            return b""
        data = self._part + chunk if self._part else chunk
        self._part = b""
        passed = b""
        if self._within:
            end = _EVENT_END.search(data)
            if end is None:
                return self._let_through(data)
            passed, data = data[: end.end()], data[end.end() :]
            self._within = False
        line = self._terminal_line(data)
        if line >= 0:
            start = _last_event_end(data[:line])
            self._hold(data[start:])
            return passed + data[:start]
        return passed + self._whole_events(data)

    def _terminal_line(self, data: bytes) -> int:
        """Where the first terminal line begins; -1 if there is none."""
        first = -1
        for needle in self._needles:
            at = data.find(needle)
            while at > 0 and data[at - 1] != _LINE_FEED:  # inside of another line
                at = data.find(needle, at + 1)
            if at >= 0 and (first < 0 or at < first):
                first = at
        return first

    def _hold(self, data: bytes) -> None:
        """Keep the terminal event; what an upstream sends after it is dropped."""
        self._held += data
        end = _EVENT_END.search(self._held)
        if end is not None:
            self._held = self._held[: end.end()]

    def _whole_events(self, data: bytes) -> bytes:
        if data.endswith((b"\n\n", b"\n\r\n")):
            return data
        cut = _last_event_end(data)
        if len(data) - cut > PART_BYTES_MAX:
            self._within = True
            return self._let_through(data)
        self._part = data[cut:]
        return data[:cut]

    def _let_through(self, data: bytes) -> bytes:
        """Pass a part of an oversized event, but not what may be half of its end."""
        self._part = data[-_END_BYTES_MAX:]
        return data[:-_END_BYTES_MAX]


def _last_event_end(data: bytes) -> int:
    """Where the last whole event ends; 0 if there is none."""
    unix = data.rfind(b"\n\n")
    dos = data.rfind(b"\n\r\n")
    return max(unix + 2 if unix >= 0 else 0, dos + 3 if dos >= 0 else 0)
