"""The head of a request to an upstream: made once for a key, sent with each call."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self
from urllib.parse import urlsplit

_PORTS = {"https": 443, "http": 80}
# RFC 9110: a token; visible ASCII with spaces and tabs inside. Nothing that ends a line.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?")
_TARGET = re.compile(r"/[\x21-\x7e]*")


class Origin(NamedTuple):
    """Where connections go: those of one origin serve all its requests (RFC 9110, section 4.3)."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True, slots=True, repr=False)
class RequestHead:
    """A request to one URL with these headers, but for the length of its body. Holds a key."""

    origin: Origin
    _line: str
    _headers: Mapping[str, str]
    # All but the length's value and the empty line.
    _bytes: bytes

    @classmethod
    def post(cls, url: str, headers: Mapping[str, str]) -> Self:
        """The head for an absolute URL. Raises ValueError, which repeats nothing."""
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
        host = parts.hostname or ""
        authority = f"[{host}]" if ":" in host else host
        if port != _PORTS[parts.scheme]:
            authority += f":{port}"
        line = _line((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        all_headers = {"Host": authority} | dict(headers)
        return cls(Origin(parts.scheme, host, port), line, all_headers, _encode(line, all_headers))

    @property
    def host(self) -> str:
        """The value of the header of that name."""
        return self._headers["Host"]

    @property
    def target(self) -> str:
        """The path, as it stands in the first line."""
        return self._line.split(" ")[1]

    def at(self, target: str, method: str = "POST") -> Self:
        """The same head for another path. Raises ValueError, which repeats nothing."""
        line = _line(target, method)
        return type(self)(self.origin, line, self._headers, _encode(line, self._headers))

    def with_headers(self, headers: Mapping[str, str]) -> Self:
        """The same head with more headers, or other values for those of the same spelling."""
        if headers.items() <= self._headers.items():
            return self  # most clients name the version that every call has
        merged = {**self._headers, **headers}
        return type(self)(self.origin, self._line, merged, _encode(self._line, merged))

    def encode(self, body_bytes: int) -> bytes:
        """What goes before a body of that many bytes."""
        return b"%b%d\r\n\r\n" % (self._bytes, body_bytes)


def _line(target: str, method: str = "POST") -> str:
    if not _TARGET.fullmatch(target):
        raise ValueError("a path that cannot stand in a request")
    return f"{method} {target} HTTP/1.1\r\n"


def _encode(line: str, headers: Mapping[str, str]) -> bytes:
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError("a header that cannot stand in a request")
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"{line}{fields}Content-Length: ".encode("ascii")
