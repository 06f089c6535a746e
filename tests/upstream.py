"""An upstream that says exactly the bytes it was given, and remembers what it was sent."""

import contextlib
import json
import re
import socket
import socketserver
import struct
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from typing import Any

JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n%b\r\n"


class Reset:
    """A piece: the connection ends with RST."""


RESET = Reset()
Piece = bytes | float | Reset
# What is answered, or what makes it of the request's document and of whether a stream is wanted.
Script = Sequence[Piece] | Callable[[dict[str, Any], bool], Sequence[Piece]]
# Some protocols name the model in the path: before a verb, or before an operation.
MODEL_IN_PATH = re.compile(r"/models?/([^/:?]+)")


def whole(body: bytes, extra: bytes = b"") -> bytes:
    """A complete answer."""
    return JSON_HEAD % (len(body), extra) + body


class Upstream:
    """Scripts by upstream model: pieces written one after another; numbers are pauses."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.bodies: list[bytes] = []
        # First line and headers of each request, as they came.
        self.heads: list[bytes] = []
        self.paths: list[str] = []
        self.url = ""

    def script(self, path: str, document: dict[str, Any]) -> Script:
        """By the model that is asked, else by the last of the path."""
        named = MODEL_IN_PATH.search(path)
        model = document.get("model") or (urllib.parse.unquote(named[1]) if named else "")
        return self.scripts[model if model in self.scripts else path.rpartition("/")[2]]

    def last(self) -> bytes:
        """The newest request's body."""
        return self.bodies[-1]


def wants_stream(path: str, head: bytes, document: dict[str, Any]) -> bool:
    """In whichever way the protocol asks for one."""
    asked = "stream" in path.lower() or b"x-dashscope-sse: enable" in head.lower()
    return asked or bool(document.get("stream"))


@contextlib.contextmanager
def running() -> Iterator[Upstream]:
    """A listening upstream; its thread ends with the block."""
    upstream = Upstream()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):
                while self._one():
                    pass

        def _one(self) -> bool:
            size = 0
            line = self.rfile.readline()
            head = line
            if not line:
                return False
            path = line.split(b" ")[1].decode()
            while line := self.rfile.readline().strip():
                head += line + b"\r\n"
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    size = int(value)
            body = self.rfile.read(size)
            upstream.bodies.append(body)
            upstream.heads.append(head)
            upstream.paths.append(path)
            document = json.loads(body)
            script = upstream.script(path, document)
            if callable(script):
                script = script(document, wants_stream(path, head, document))
            for piece in script:
                if isinstance(piece, bytes):
                    self.wfile.write(piece)
                    self.wfile.flush()
                elif isinstance(piece, Reset):
                    linger = struct.pack("ii", 1, 0)
                    self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    return False
                else:
                    time.sleep(piece)
            return b"connection: close" not in b"".join(p for p in script if isinstance(p, bytes))

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        upstream.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield upstream
        finally:
            server.shutdown()
            thread.join()
