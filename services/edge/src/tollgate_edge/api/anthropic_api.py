"""The Anthropic face: names, error types and shapes. No decision about a call is made here."""

from collections.abc import Iterable
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from tollgate_dialects.common.protocol import Protocol
from tollgate_edge.api.catalogue import Model
from tollgate_edge.api.face import Face


def error_event(body: bytes) -> bytes:
    """SDKs skip an event without a name; this one they raise on."""
    return b"event: error\ndata: " + body + b"\n\n"


FACE = Face(
    protocol=Protocol.ANTHROPIC_MESSAGES,
    path="/v1/messages",
    error_kinds=MappingProxyType(
        {
            400: "invalid_request_error",
            401: "authentication_error",
            402: "billing_error",
            403: "permission_error",
            404: "not_found_error",
            409: "conflict_error",
            413: "request_too_large",
            429: "rate_limit_error",
            500: "api_error",
            503: "overloaded_error",
            504: "timeout_error",
        }
    ),
    error_event=error_event,
    forwards=("anthropic-version", "anthropic-beta"),
)


def models(entries: Iterable[Model]) -> dict[str, Any]:
    """The answer to GET /v1/models: one page."""
    data = [model(entry) for entry in entries]
    return {
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def model(entry: Model) -> dict[str, Any]:
    """The answer to GET /v1/models/{id}."""
    created = datetime.fromtimestamp(entry.created_s, UTC)
    return {
        "id": entry.model,
        "type": "model",
        "display_name": entry.display_name,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
