"""The Gemini face: how models are listed. No decision about a call is made here."""

from collections.abc import Iterable
from typing import Any

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS
from tollgate_edge.api.catalogue import Model
from tollgate_edge.api.faces.face import Face

_VERBS = ["generateContent", "streamGenerateContent", "countTokens"]


def models(entries: Iterable[Model]) -> dict[str, Any]:
    """The answer to GET /v1beta/models: one page."""
    return {"models": [model(entry) for entry in entries]}


def model(entry: Model) -> dict[str, Any]:
    """The answer to GET /v1beta/models/{id}."""
    return {
        "name": f"models/{entry.model}",
        "displayName": entry.display_name,
        "inputTokenLimit": entry.price.max_input_tokens,
        "outputTokenLimit": entry.price.max_output_tokens,
        "supportedGenerationMethods": _VERBS,
    }


FACE = Face(
    DIALECTS[Protocol.GEMINI], models, model, counted=lambda tokens: {"totalTokens": tokens}
)
