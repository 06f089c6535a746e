"""How a client of chats is told of an error."""

from types import MappingProxyType
from typing import Final

from tollgate_dialects.dialect import ErrorShape


def _event(body: bytes) -> bytes:
    """SDKs raise on a chunk with a top-level error; nothing follows it, [DONE] neither."""
    return b"data: " + body + b"\n\n"


SHAPE: Final = ErrorShape(
    kinds=MappingProxyType(
        {
            400: "invalid_request_error",
            401: "authentication_error",
            402: "insufficient_quota",
            403: "permission_error",
            404: "invalid_request_error",
            429: "rate_limit_error",
            500: "server_error",
        }
    ),
    event=_event,
    too_long="context_length_exceeded",
)
