"""A binary stream of AWS's as frames of events; what a message is, each dialect says.

An exception becomes the event `error`.
"""

from abc import ABC, abstractmethod
from typing import Any, Final

import orjson

from tollgate_dialects.common.aws_eventstream import BrokenMessageError, Message, MessageBuffer

_MESSAGES: Final = ("message", "Message")


class EventStreamFraming(ABC):
    """Makes frames of one stream's bytes."""

    def __init__(self) -> None:
        self._messages = MessageBuffer()

    def push(self, chunk: bytes) -> bytes:
        """All frames that are whole now, joined. Raises FrameError."""
        return b"".join(map(self._frame, self._messages.push(chunk)))

    def rest(self) -> bytes:
        """Nothing, for half a message is none. Raises BrokenMessageError for one."""
        if not self._messages.is_empty:
            raise BrokenMessageError
        return b""

    @abstractmethod
    def event(self, name: str, payload: bytes) -> bytes:
        """The frame of an event. Raises BrokenMessageError for what is none of the dialect's."""

    def _frame(self, message: Message) -> bytes:
        if message.headers.get(":message-type") != "event":
            return b"event: error\ndata: %b\n\n" % orjson.dumps(_error(message))
        return self.event(message.headers.get(":event-type", ""), message.payload)


def in_one_line(document: bytes) -> bytes:
    """A JSON document without the line's ends between its members: they would end a frame's."""
    return document.replace(b"\n", b" ").replace(b"\r", b" ")


def _error(message: Message) -> dict[str, Any]:
    headers = message.headers
    code = headers.get(":exception-type") or headers.get(":error-code", "")
    text = headers.get(":error-message", "")
    try:
        said = orjson.loads(message.payload)
    except orjson.JSONDecodeError:
        said = None
    if isinstance(said, dict):
        text = next((word for name in _MESSAGES if isinstance(word := said.get(name), str)), text)
    return {"type": "error", "error": {"type": code, "message": text}}
