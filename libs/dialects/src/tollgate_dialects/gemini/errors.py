"""How a client is told of an error: in the words of Google's RPCs."""

from types import MappingProxyType
from typing import Final

from tollgate_dialects.dialect import ErrorShape


def _event(body: bytes) -> bytes:
    """SDKs raise on a chunk whose first member is an error."""
    return b"data: " + body + b"\n\n"


SHAPE: Final = ErrorShape(
    kinds=MappingProxyType(
        {
            400: "INVALID_ARGUMENT",
            401: "UNAUTHENTICATED",
            402: "FAILED_PRECONDITION",
            403: "PERMISSION_DENIED",
            404: "NOT_FOUND",
            405: "UNIMPLEMENTED",
            408: "DEADLINE_EXCEEDED",
            429: "RESOURCE_EXHAUSTED",
            499: "CANCELLED",
            500: "INTERNAL",
            502: "UNAVAILABLE",
            503: "UNAVAILABLE",
            504: "DEADLINE_EXCEEDED",
        }
    ),
    event=_event,
)
