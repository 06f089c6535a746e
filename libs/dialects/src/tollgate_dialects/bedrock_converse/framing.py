"""Converse's binary stream as frames of events.

A message becomes the frame of a document with one member: the event's name and what it says. An
exception becomes the event `error`.
"""

import re
from typing import Any, Final

import orjson

from tollgate_dialects.common.aws_eventstream import BrokenMessageError, Message, MessageBuffer

_NAME = re.compile(r"[A-Za-z-]{1,64}")
_MESSAGES: Final = ("message", "Message")


class EventStreamFraming:
    """Makes frames of one stream's bytes."""

    def __init__(self) -> None:
        self._messages = MessageBuffer()

    def push(self, chunk: bytes) -> bytes:
        """All frames that are whole now, joined. Raises FrameError."""
        return b"".join(map(_frame, self._messages.push(chunk)))

    def rest(self) -> bytes:
        """Nothing, for half a message is none. Raises BrokenMessageError for one."""
        if not self._messages.is_empty:
            raise BrokenMessageError
        return b""


def _frame(message: Message) -> bytes:
    headers = message.headers
    if headers.get(":message-type") != "event":
        return b"event: error\ndata: %b\n\n" % orjson.dumps(_error(message))
    name = headers.get(":event-type", "")
    if not _NAME.fullmatch(name):
        raise BrokenMessageError
    # A line's end between two members would end the frame's line as well.
    payload = message.payload.replace(b"\n", b" ").replace(b"\r", b" ")
    return b'data: {"%b":%b}\n\n' % (name.encode(), payload or b"{}")


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
