"""A metered stream of one protocol, told in another.

Promises: what is given back is whole frames of the client's protocol, in a legal order; the last
one is there exactly when the upstream's was; calls are of the tools that the client declared; no
more is kept of a stream than its state.
"""

from collections.abc import Sequence

from tollgate_dialects.common import sse
from tollgate_dialects.conversation.answer import Event
from tollgate_dialects.conversation.machine import IllegalEventError, Order
from tollgate_dialects.conversation.parts import Tool
from tollgate_dialects.conversation.tools import CallRestorer
from tollgate_dialects.conversation.translation import EventReader, EventWriter
from tollgate_dialects.pricing.usage import Usage


class StreamTranslator:
    """Feed it what a meter passes on."""

    def __init__(
        self, reader: EventReader, writer: EventWriter, tools: Sequence[Tool] = ()
    ) -> None:
        """`tools`: those of the client's request."""
        self._reader = reader
        self._writer = writer
        self._restorer = CallRestorer(tools)
        self._order = Order()

    @property
    def finished(self) -> bool:
        """Whether the client's last event was given back."""
        return self._order.finished

    def feed(self, frames: bytes, usage: Usage | None) -> bytes:
        """Whole frames in the client's protocol. Raises IllegalEventError."""
        written: list[bytes] = []
        try:
            for event in sse.events(frames):
                self._tell(self._reader.read(event), usage, written)
            self._tell(self._reader.close(), usage, written)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise IllegalEventError from None
        return b"".join(written)

    def _tell(self, events: Sequence[Event], usage: Usage | None, written: list[bytes]) -> None:
        for told in events:
            for event in self._restorer.restore(told):
                self._order.check(event)
                written.append(self._writer.write(event, usage))
