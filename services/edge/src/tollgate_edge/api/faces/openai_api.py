"""The OpenAI face, and those that list models as it does. No decision about a call is made here."""

from collections.abc import Iterable
from typing import Any

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS
from tollgate_edge.api.catalogue import Model
from tollgate_edge.api.faces.face import Face
from tollgate_edge.headers import rate_headers


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


FACE = Face(DIALECTS[Protocol.OPENAI_CHAT], models, model, rates=rate_headers.openai)
RESPONSES_FACE = Face(
    DIALECTS[Protocol.OPENAI_RESPONSES],
    models,
    model,
    counted=lambda tokens: {"object": "response.input_tokens", "input_tokens": tokens},
    count_path="/input_tokens",
    rates=rate_headers.openai,
)
# What its providers serve beside chats.
OTHER_FACES = tuple(
    Face(dialect, models, model, rates=rate_headers.openai)
    for dialect in DIALECTS.values()
    if dialect.beside is Protocol.OPENAI_CHAT
)
# Its clients have no list of models; who asks for one gets this.
DASHSCOPE_FACE = Face(DIALECTS[Protocol.DASHSCOPE], models, model)
