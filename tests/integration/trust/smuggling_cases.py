"""Requests on which two readers of HTTP/1.1 may differ, each with the section that decides.

`tail` is a whole request with a key of its own: whatever else happens, it must never be served.
"""

import json
from dataclasses import dataclass

from tests.fakes.edge import CHAT, KEY

TAIL_MARKER = "smuggled"
H2C = (
    b"Connection: Upgrade, HTTP2-Settings",
    b"Upgrade: h2c",
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
)
WEBSOCKET = (
    b"Connection: keep-alive, Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def call(
    marker: str, *headers: bytes, path: str = CHAT, version: str = "1.1", host: bytes | None = b"x",
    stream: bool = False, body: bytes | None = None, length: bool = True, key: str = KEY,
    method: str = "POST",
) -> bytes:  # fmt: skip
    """A call whose answer carries the marker; `headers` are whole lines without their end."""
    content = asks(marker, stream=stream) if body is None else body
    lines = [f"{method} {path} HTTP/{version}".encode()]
    if host is not None:
        lines.append(b"Host: " + host)
    if key:
        lines.append(b"Authorization: Bearer " + key.encode())
    if length:
        lines.append(b"Content-Length: %d" % len(content))
    return b"\r\n".join([*lines, *headers, b"", content])


def asks(marker: str, *, stream: bool = False) -> bytes:
    """A body in good order."""
    document = {
        "model": "m-openai",
        "max_tokens": 16,
        "messages": [{"role": "user", "content": marker}],
    }
    return json.dumps({**document, "stream": True} if stream else document).encode()


def chunks(*parts: bytes, last: bytes = b"0\r\n\r\n") -> bytes:
    """These parts in the chunked coding."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + last


def chunked(marker: str, *headers: bytes, body: bytes | None = None, **kind: str) -> bytes:
    """A call in the chunked coding; `body` is what stands after the head."""
    coded = chunks(asks(marker)) if body is None else body
    lines = (b"Transfer-Encoding: chunked", *headers)
    return call(marker, *lines, body=coded, length=False, **kind)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Case:
    """One input that must be refused, and after which the connection cannot be trusted."""

    name: str
    section: str
    request: bytes


_TAIL = call(TAIL_MARKER)
_ONE = asks("attack")
# Nothing for a reader of chunks; a reader of lengths takes it and the tail as one body.
_EMPTY = b"0\r\n\r\n" + _TAIL
_LONG = _ONE + _TAIL


def _lengths(name: str, *values: bytes) -> Case:
    lines = (b"Content-Length: " + value for value in values)
    request = call("attack", *lines, body=_LONG, length=False)
    return Case(name, "RFC 9112 6.3, RFC 9110 8.6", request)


def _encoded(name: str, *lines: bytes, section: str = "RFC 9112 6.1, 6.3") -> Case:
    return Case(name, section, call("attack", *lines, body=_EMPTY, length=False))


def _chunk(name: str, body: bytes, section: str = "RFC 9112 7.1") -> Case:
    return Case(name, section, chunked("attack", body=body + _TAIL))


def _header(name: str, line: bytes, section: str) -> Case:
    return Case(name, section, call("attack", line) + _TAIL)


def _line(name: str, request: bytes, section: str = "RFC 9112 3") -> Case:
    return Case(name, section, request + _TAIL)


_RIGHT = b"%d" % len(_ONE)
_SIZE = b"%x" % len(_ONE)

REFUSED = (
    _lengths("two lengths", _RIGHT, b"%d" % len(_LONG)),
    _lengths("two lengths, the longer first", b"%d" % len(_LONG), _RIGHT),
    _lengths("a list of lengths", _RIGHT + b", %d" % len(_LONG)),
    _lengths("a signed length", b"+" + _RIGHT),
    _lengths("a negative length", b"-1"),
    _lengths("a length in hex", b"0x10"),
    _lengths("a length with a point", _RIGHT + b".0"),
    _lengths("a length with a space", b"1 6"),
    _lengths("an empty length", b""),
    _lengths("a length above 64 bits", b"18446744073709551617"),
    _encoded("length and chunked", b"Content-Length: %d" % len(_EMPTY), b"Transfer-Encoding: chunked"),
    _encoded("chunked and length", b"Transfer-Encoding: chunked", b"Content-Length: %d" % len(_EMPTY)),
    _encoded("chunked, identity", b"Transfer-Encoding: chunked, identity"),
    _encoded("identity", b"Transfer-Encoding: identity"),
    _encoded("xchunked", b"Transfer-Encoding: xchunked"),
    _encoded("chunkedx", b"Transfer-Encoding: chunkedx"),
    _encoded("chunked in quotes", b'Transfer-Encoding: "chunked"'),
    _encoded("chunked with a parameter", b"Transfer-Encoding: chunked;q=1"),
    _encoded("chunked twice in a line", b"Transfer-Encoding: chunked, chunked"),
    _encoded("chunked in two lines", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    _encoded("chunked, then identity", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
    _encoded("identity, then chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked"),
    _encoded("gzip, chunked", b"Transfer-Encoding: gzip, chunked"),
    _encoded("an empty coding", b"Transfer-Encoding:"),
    _encoded("a vertical tab before chunked", b"Transfer-Encoding: \x0bchunked"),
    _encoded("a NUL after chunked", b"Transfer-Encoding: chunked\x00"),
    _encoded("a space before the colon", b"Transfer-Encoding : chunked", section="RFC 9112 5.1"),
    _encoded("a tab before the colon", b"Transfer-Encoding\t: chunked", section="RFC 9112 5.1"),
    _encoded("a space before the name", b" Transfer-Encoding: chunked", section="RFC 9112 2.2, 5.2"),
    _encoded("a folded coding", b"Transfer-Encoding:\r\n chunked", section="RFC 9112 5.2"),
    _encoded("a bare CR before the coding", b"X: y\rTransfer-Encoding: chunked", section="RFC 9112 2.2"),
    _chunk("a chunk size in C", b"0x5\r\nhello\r\n0\r\n\r\n"),
    _chunk("a negative chunk size", b"-5\r\nhello\r\n0\r\n\r\n"),
    _chunk("a signed chunk size", b"+5\r\nhello\r\n0\r\n\r\n"),
    _chunk("an empty chunk size", b"\r\nhello\r\n0\r\n\r\n"),
    _chunk("a space before a chunk size", b" 5\r\nhello\r\n0\r\n\r\n"),
    _chunk("a chunk size above 64 bits", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    _chunk("a chunk that is longer than it says", b"5\r\nhello!!\r\n0\r\n\r\n"),
    _chunk("a chunk size that a bare LF ends", _SIZE + b"\n" + _ONE + b"\r\n0\r\n\r\n"),
    _chunk("an extension that a bare LF ends", _SIZE + b";a\n" + _ONE + b"\r\n0\r\n\r\n", "RFC 9112 7.1.1"),
    _chunk("an extension with a bare CR", _SIZE + b";a\rb\r\n" + _ONE + b"\r\n0\r\n\r\n", "RFC 9112 7.1.1"),
    _chunk("a chunk that a bare LF ends", _SIZE + b"\r\n" + _ONE + b"\n0\r\n\r\n"),
    _chunk("a trailer without a colon", chunks(_ONE, last=b"0\r\nbroken\r\n\r\n"), "RFC 9112 7.1.2"),
    _header("a NUL in a header", b"X-A: a\x00b", "RFC 9110 5.5"),
    _header("a bare CR in a header", b"X-A: a\rX-B: b", "RFC 9112 2.2"),
    _header("a header without a colon", b"X-A", "RFC 9112 5"),
    _header("a header without a name", b": a", "RFC 9112 5"),
    _header("a space within a name", b"X A: a", "RFC 9112 5.1"),
    _header("a name that is no token", b"X(A): a", "RFC 9110 5.1"),
    _header("two Hosts", b"Host: y", "RFC 9112 3.2"),
    _line("no Host", call("attack", host=None), "RFC 9112 3.2"),
    _line("a Host that is none", call("attack", host=b"a b"), "RFC 9112 3.2"),
    _line("a Host with a path", call("attack", host=b"a/b"), "RFC 9112 3.2"),
    _line("HTTP/0.9", b"GET /v1/models\r\n", "RFC 9112 2.3"),
    _line("HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "RFC 9113 3.4"),
    _line("HTTP/2.0 in a line", call("attack", version="2.0"), "RFC 9110 2.5"),
    _line("HTTP/1.9x", call("attack", version="1.1x"), "RFC 9112 2.3"),
    _line("HTTP in small letters", call("attack").replace(b" HTTP/", b" http/", 1), "RFC 9112 2.3"),
    _line("a space in the target", call("attack", path="/v1/chat/completions x")),
    _line("a tab for a space", call("attack").replace(b" /", b"\t/", 1)),
    _line("a bare CR in the line", call("attack").replace(b" /", b" /\r", 1), "RFC 9112 2.2"),
    _line("a NUL in the target", call("attack", path="/v1/chat\x00")),
    _line("CONNECT", b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", "RFC 9110 9.3.6"),
    _line("CONNECT with a path", b"CONNECT /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", "RFC 9110 9.3.6"),
    _line("CONNECT with a length", call("attack", method="CONNECT", path="x:443", host=b"x:443"), "RFC 9110 9.3.6"),
    _header("70 kB of one header", b"X-A: " + b"a" * 70_000, "RFC 6585 5"),
    _header("70 kB of headers", b"\r\n".join(b"X-%d: %b" % (i, b"a" * 90) for i in range(700)), "RFC 6585 5"),
    _line("70 kB of target", call("attack", path=CHAT + "?" + "a" * 70_000), "RFC 9112 3"),
)  # fmt: skip
