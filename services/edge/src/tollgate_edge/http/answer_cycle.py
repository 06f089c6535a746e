"""One answer on a connection, on uvicorn's own: its head in one step, its framing for HTTP/1.0.

uvicorn seeks in each field for what must not stand there, folds its name and looks at it three
times, which for the twenty fields of an answer of ours is a third of what it does for a call.
Promises: no field of an answer ends its line early (RFC 9110 section 5.5).
"""

import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

# What no name or value holds; a tab may stand in a value.
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# What decides how an answer ends is uvicorn's to judge, as is an answer without a length.
_FRAMING = frozenset((b"connection", b"transfer-encoding"))


class AnswerCycle(RequestResponseCycle):
    """The answer to an HTTP/1.1 client. Its fields have their names in lower case."""

    async def send(self, message: Any) -> None:
        """Pass on; the head of a usual answer at once. Raises RuntimeError for a forged field."""
        if self.response_started or self.disconnected or self.flow.write_paused:
            await super().send(message)
            return
        fields = self.default_headers + message["headers"]
        told = dict(fields)
        length = told.get(b"content-length")
        if length is None or not self.keep_alive or not _FRAMING.isdisjoint(told):
            await super().send(message)
            return
        if _CONTROL.search(b"".join([part for field in fields for part in field])):
            raise RuntimeError("a field of an answer holds a control character")
        self.response_started = True
        self.waiting_for_100_continue = False
        self.expected_content_length = int(length)
        self.chunked_encoding = False
        lines = b"\r\n".join([b": ".join(field) for field in fields])
        self.transport.write(b"%b%b\r\n\r\n" % (STATUS_LINE[message["status"]], lines))


class CloseDelimitedCycle(RequestResponseCycle):
    """The answer to an HTTP/1.0 client: it knows no chunks, its body ends with the connection.

    RFC 9112 section 6.1. Answers with a content-length keep it.
    """

    async def send(self, message: Any) -> None:
        """Pass on, without the framing that uvicorn would choose."""
        if message["type"] == "http.response.start":
            self.chunked_encoding = False
        else:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)
