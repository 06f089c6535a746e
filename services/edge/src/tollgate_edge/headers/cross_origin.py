"""Which web pages may call: CORS (Fetch standard, "HTTP CORS protocol"), by the operator's list.

Promises: an origin is let in by exact comparison and is named, never a wildcard; no cookie or
other ambient credential is ever allowed, so a page can spend only a key that it holds itself.
"""

import re
from collections.abc import Iterable

from tollgate_edge.headers import rate_headers

Headers = list[tuple[bytes, bytes]]

ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?")
# Header names with commas: what a preflight asks for is told back when it is nothing else.
_NAMES = re.compile(rb"[A-Za-z0-9_, \t-]{1,2048}")
_VARY = (b"vary", b"Origin")
_METHODS = (b"access-control-allow-methods", b"GET, HEAD, POST, DELETE")
_PREFLIGHT_SECONDS = (b"access-control-max-age", b"600")
# What a page's script may read of an answer, beside what it always may.
_EXPOSED = (
    b"access-control-expose-headers",
    (
        b"x-request-id, request-id, retry-after, retry-after-ms, x-should-retry, "
        b"x-tollgate-trace-id, x-tollgate-cost-usd, x-tollgate-usage-input-tokens, "
        b"x-tollgate-usage-output-tokens, x-tollgate-budget-remaining-usd, "
        b"x-tollgate-route, x-tollgate-receipt, x-tollgate-dropped-betas, "
        + b", ".join(rate_headers.NAMES)
    ),
)


class CrossOrigin:
    """The origins that are let in. Off when there is none. Raises ValueError for what is none."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        for origin in self._origins:
            if not ORIGIN.fullmatch(origin.decode()):
                raise ValueError("an origin is scheme://host[:port] in small letters, nothing else")

    @property
    def on(self) -> bool:
        """True when some origin may call."""
        return bool(self._origins)

    def answers(self, headers: Iterable[tuple[bytes, bytes]]) -> Headers:
        """What stands on every answer to this request, errors included, while it is on."""
        allowed = self._allowed(_value(headers, b"origin"))
        return [*allowed, _EXPOSED, _VARY] if allowed else [_VARY]

    def preflight(self, headers: Iterable[tuple[bytes, bytes]]) -> Headers | None:
        """What a preflight is told beside that; None when its origin is not let in."""
        if not self._allowed(_value(headers, b"origin")):
            return None
        asked = _value(headers, b"access-control-request-headers")
        names = [(b"access-control-allow-headers", asked)] if _NAMES.fullmatch(asked) else []
        return [_METHODS, *names, _PREFLIGHT_SECONDS]

    def _allowed(self, origin: bytes) -> Headers:
        return [(b"access-control-allow-origin", origin)] if origin in self._origins else []


def is_preflight(method: str, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """True for a browser's question before a call from another origin."""
    return method == "OPTIONS" and bool(_value(headers, b"access-control-request-method"))


def _value(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    """The one value of a header; empty when it is missing or stands twice."""
    found = [value.strip(b" \t") for key, value in headers if key == name]
    return found[0] if len(found) == 1 else b""
