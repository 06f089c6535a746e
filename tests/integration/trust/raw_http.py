"""Bytes over one TCP connection, and answers told apart by their framing (RFC 9112 §6.3).

A strict client of its own: a library would repair or refuse what these tests have to send.
"""

import contextlib
import json
import re
import socket
import time
from dataclasses import dataclass
from typing import Self

SECONDS = 5.0
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [\x20-\x7e]*")


class NoAnswerError(Exception):
    """The connection ended, or nothing came in time; the text says what had come."""


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes
    # "length", "chunked", "close" or "none".
    framing: str

    @property
    def marker(self) -> str:
        """Whose answer it is: what the echoing router was asked for; empty if it was not asked."""
        found = re.search(rb'"marker": ?"([^"]*)"', self.body)
        return found[1].decode() if found else ""

    @property
    def code(self) -> str:
        """The code of an error of ours."""
        code: str = json.loads(self.body)["error"]["code"]
        return code

    @property
    def closes(self) -> bool:
        """True when its head says that the connection ends."""
        return "close" in self.headers.get("connection", "").lower()


class Wire:
    """One connection of a client that sends what it likes."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._got = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, *segments: bytes, pause_s: float = 0.002) -> "Wire":
        """Send these, each as a segment of its own; a server may hang up before the last."""
        with contextlib.suppress(ConnectionError):
            for number, segment in enumerate(segments):
                if number:
                    time.sleep(pause_s)
                self._socket.sendall(segment)
        return self

    def reset(self) -> None:
        """Hang up at once: what was sent or has come is thrown away."""
        linger = (1).to_bytes(4, "little") + bytes(4)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.close()

    def half_close(self) -> "Wire":
        """Say that nothing more will be sent."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        return self

    def answer(self, *, to_head: bool = False) -> Answer:
        """The next final answer; interim ones (1xx) are passed over. Raises NoAnswerError."""
        while True:
            head = self._until(b"\r\n\r\n")
            first, *lines = head[:-4].split(b"\r\n")
            match = _STATUS_LINE.fullmatch(first)
            assert match, f"no status line: {head!r}"
            headers: dict[str, str] = {}
            for line in lines:
                name, colon, value = line.decode("latin-1").partition(":")
                assert colon, f"no header: {line!r}"
                assert name.lower() not in headers, f"twice: {name}"
                headers[name.lower()] = value.strip()
            status = int(match[1])
            if status >= 200:
                return self._with_body(status, headers, to_head=to_head)

    def is_closed(self, seconds: float = 1.0) -> bool:
        """True when the server ends the connection within this time without another byte."""
        return self.rest(seconds) == (b"", True)

    def rest(self, seconds: float = 1.0) -> tuple[bytes, bool]:
        """What else comes within this time, and whether the connection ended."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                piece = self._receive(left)
            except TimeoutError:
                break
            if not piece:
                return self._got, True
            self._got += piece
        return self._got, False

    def _with_body(self, status: int, headers: dict[str, str], *, to_head: bool) -> Answer:
        if to_head or status in (204, 304):
            return Answer(status, headers, b"", "none")
        if "transfer-encoding" in headers:
            assert headers["transfer-encoding"] == "chunked"
            assert "content-length" not in headers
            return Answer(status, headers, self._chunks(), "chunked")
        if "content-length" in headers:
            return Answer(status, headers, self._exactly(int(headers["content-length"])), "length")
        body, ended = self.rest(SECONDS)
        if not ended:
            raise NoAnswerError(f"neither framed nor closed: {body!r}")
        return Answer(status, headers, body, "close")

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n")[:-2], 16):
            body += self._exactly(size)
            assert self._exactly(2) == b"\r\n"
        assert self._exactly(2) == b"\r\n"
        return body

    def _until(self, text: bytes) -> bytes:
        while text not in self._got:
            self._more()
        before, _, self._got = self._got.partition(text)
        return before + text

    def _exactly(self, count: int) -> bytes:
        while len(self._got) < count:
            self._more()
        taken, self._got = self._got[:count], self._got[count:]
        return taken

    def _more(self) -> None:
        try:
            piece = self._receive(SECONDS)
        except TimeoutError:
            raise NoAnswerError(f"nothing more came after {self._got!r}") from None
        if not piece:
            raise NoAnswerError(f"closed after {self._got!r}")
        self._got += piece

    def _receive(self, seconds: float) -> bytes:
        self._socket.settimeout(seconds)
        try:
            return self._socket.recv(65536)
        except ConnectionResetError:
            return b""
