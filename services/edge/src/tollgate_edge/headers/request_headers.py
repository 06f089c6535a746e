"""What the edge reads of a request's head. Everything else a client sends is ignored.

Owns which headers count and how they are checked. Promises: a value that will be echoed or
forwarded has passed an allow-list; a credential in the query string is found whatever its spelling.
Never decides whether a key is good.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{1,64}")
# anthropic-version: names, dates and commas.
PROTOCOL_VALUE = re.compile(rb"[A-Za-z0-9_., :-]{1,1024}")
_UNPRINTABLE = re.compile(rb"[^\x20-\x7e]")
BEARER = b"bearer "

_CREDENTIAL_NAMES = frozenset(
    (
        b"key", b"api_key", b"apikey", b"api-key", b"x-api-key", b"x-goog-api-key",
        b"access_token", b"token", b"authorization", b"auth",
    )
)  # fmt: skip


@dataclass(slots=True)
class RequestHeaders:
    """The headers that count, read once."""

    # Distinct credentials in the order met; clients that know two schemes send both.
    credentials: list[str] = field(default_factory=list)
    content_length: int | None = None
    content_encoding: bool = False
    # The client's own id, when it may be echoed.
    request_id: str = ""
    forwarded_for: list[bytes] = field(default_factory=list)
    protocol: dict[str, str] = field(default_factory=dict)


def read(headers: Iterable[tuple[bytes, bytes]]) -> RequestHeaders:
    """The headers that count. Names arrive in lower case, as ASGI promises."""
    found = RequestHeaders()
    for name, value in headers:
        take = _TAKERS.get(name)
        if take is not None:
            take(found, value)
    return found


def credential_in_query(query: bytes) -> bool:
    """True when a query string carries something that is named like a key."""
    if not query:
        return False
    for pair in query.replace(b";", b"&").split(b"&"):
        name = unquote_to_bytes(pair.partition(b"=")[0].replace(b"+", b" "))
        if name.strip().lower() in _CREDENTIAL_NAMES:
            return True
    return False


def _add_credential(found: RequestHeaders, value: bytes) -> None:
    text = value.strip(b" \t").decode("latin-1")
    if text and text not in found.credentials:
        found.credentials.append(text)


def _take_authorization(found: RequestHeaders, value: bytes) -> None:
    if value[: len(BEARER)].lower() == BEARER:
        _add_credential(found, value[len(BEARER) :])


def _take_content_length(found: RequestHeaders, value: bytes) -> None:
    # The HTTP parser has refused a length that is not a number.
    found.content_length = int(value) if value.isdigit() else None


def _take_content_encoding(found: RequestHeaders, value: bytes) -> None:
    if value.strip(b" \t").lower() not in (b"", b"identity"):
        found.content_encoding = True


def _take_request_id(found: RequestHeaders, value: bytes) -> None:
    if REQUEST_ID.fullmatch(value):
        found.request_id = value.decode("ascii")


def _take_forwarded_for(found: RequestHeaders, value: bytes) -> None:
    found.forwarded_for.append(value)


def _take_version(found: RequestHeaders, value: bytes) -> None:
    if PROTOCOL_VALUE.fullmatch(value):
        found.protocol["anthropic-version"] = value.decode("ascii")


def _take_beta(found: RequestHeaders, value: bytes) -> None:
    # What is odd stays odd, in a printable way: the flag that holds it is dropped alone, and named.
    text = _UNPRINTABLE.sub(b"?", value).decode("ascii")
    before = found.protocol.get("anthropic-beta")
    found.protocol["anthropic-beta"] = text if before is None else f"{before},{text}"


def _take_async(found: RequestHeaders, value: bytes) -> None:
    if PROTOCOL_VALUE.fullmatch(value):
        found.protocol["x-dashscope-async"] = value.decode("ascii")


_TAKERS = {
    b"authorization": _take_authorization,
    b"x-api-key": _add_credential,
    # Google's clients.
    b"x-goog-api-key": _add_credential,
    # Azure's clients.
    b"api-key": _add_credential,
    b"content-length": _take_content_length,
    b"content-encoding": _take_content_encoding,
    b"x-request-id": _take_request_id,
    b"x-forwarded-for": _take_forwarded_for,
    b"anthropic-version": _take_version,
    b"anthropic-beta": _take_beta,
    b"x-dashscope-async": _take_async,
}
