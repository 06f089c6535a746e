"""The Anthropic face: how models are listed. No decision about a call is made here."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS
from tollgate_edge.api.catalogue import Model
from tollgate_edge.api.faces.face import Face
from tollgate_edge.headers import rate_headers


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


FACE = Face(DIALECTS[Protocol.ANTHROPIC_MESSAGES], models, model, rates=rate_headers.anthropic)
