"""The OpenAI face: names, error types and shapes. No decision about a call is made here."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

from tollgate_dialects.common.protocol import Protocol
from tollgate_edge.api.catalogue import Model
from tollgate_edge.api.face import Face


def error_event(body: bytes) -> bytes:
    """SDKs raise on a chunk with a top-level error; nothing follows it, [DONE] neither."""
    return b"data: " + body + b"\n\n"


FACE = Face(
    protocol=Protocol.OPENAI_CHAT,
    path="/v1/chat/completions",
    error_kinds=MappingProxyType(
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
    error_event=error_event,
)


def models(entries: Iterable[Model]) -> dict[str, Any]:
    """The answer to GET /v1/models."""
    return {"object": "list", "data": [model(entry) for entry in entries]}


def model(entry: Model) -> dict[str, Any]:
    """The answer to GET /v1/models/{id}."""
    return {
        "id": entry.model,
        "object": "model",
        "created": entry.created_s,
        "owned_by": entry.owned_by,
    }
