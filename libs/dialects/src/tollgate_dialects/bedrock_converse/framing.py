"""Converse's binary stream as frames of events.

A message becomes the frame of a document with one member: the event's name and what it says.
"""

import re

from tollgate_dialects.bedrock.framing import EventStreamFraming, in_one_line
from tollgate_dialects.common.aws_eventstream import BrokenMessageError

_NAME = re.compile(r"[A-Za-z-]{1,64}")


class ConverseFraming(EventStreamFraming):
    """Makes frames of one stream's bytes."""

    def event(self, name: str, payload: bytes) -> bytes:
        if not _NAME.fullmatch(name):
            raise BrokenMessageError
        return b'data: {"%b":%b}\n\n' % (name.encode(), in_one_line(payload) or b"{}")
