"""Holds back the last event of a stream until the record of the call is durable.

Owns the split of an SSE byte stream into what may leave now and its terminal event. Promises:
bytes leave in order and unchanged; a whole event leaves at once, unless it is the terminal one,
which `sse` tells; a part of an event waits for its end up to a bound. Never parses an event's data.
"""

from tollgate_dialects.common import sse


class EventTail:
    """Feed it what arrives; send what it gives back; `held` is the terminal event."""

    def __init__(self, end: sse.StreamEnd) -> None:
        self._end = end
        self._frames = sse.FrameBuffer()
        self._held = b""

    @property
    def held(self) -> bytes:
        """The terminal event, or all from the end of the answer on; empty until it arrives."""
        return self._held

    @property
    def is_between_events(self) -> bool:
        """Whether something else may be sent before the next event: only whole ones were."""
        return not self._held

    @property
    def part(self) -> bytes:
        """The beginning of an event whose end has not arrived."""
        return b"" if self._held else self._frames.part

    def feed(self, chunk: bytes) -> bytes:
        """What may leave now. Raises sse.FrameTooLongError: router passes no such event."""
        if self._held and not self._end.waits:
            return b""
        whole = self._frames.push(chunk)
        if self._held:
            self._hold(whole)
            return b""
        end = sse.end_of(whole, self._end)
        if end < 0:
            return whole
        self._hold(whole[end:] if self._end.waits else whole[slice(*sse.frame_at(whole, end))])
        return whole[:end]

    def _hold(self, frames: bytes) -> None:
        self._held += frames
        if len(self._held) > sse.MAX_FRAME_BYTES:
            raise sse.FrameTooLongError
