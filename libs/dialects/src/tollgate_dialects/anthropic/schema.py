"""What an answer to a message may hold: the one list of members that reach a client."""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.answer.schema import (
    FACTS,
    PROSE,
    SCALAR,
    WHOLE,
    Kind,
    are_objects,
    scalars,
)

_CONTAINER: Final = {**scalars("id expires_at"), "skills": [scalars("skill_id type version")]}
_BLOCK: Final = {
    **scalars("type text id name tool_use_id is_error data thinking signature server_name"),
    **scalars("encrypted_content"),
    "input": WHOLE,
    "content": WHOLE,  # results of server tools, and compaction
    "citations": (SCALAR, [WHOLE]),
    "caller": scalars("type tool_id"),
    "from": scalars("model"),
    "to": scalars("model"),
    "trigger": scalars("type category"),
}
_STOP: Final = {
    **scalars("stop_reason stop_sequence"),
    "stop_details": {
        **scalars("type category recommended_model fallback_credit_token"),
        **scalars("fallback_has_prefill_claim"),
        "explanation": PROSE,
    },
    "container": _CONTAINER,
}
_MANAGEMENT: Final = {"applied_edits": [FACTS]}
MESSAGE: Final[Mapping[str, Kind]] = {
    **scalars("id type role model"),
    **_STOP,
    "content": [_BLOCK],
    "usage": FACTS,
    "context_management": _MANAGEMENT,
}
# Each event's own members; `type` is in all of them.
EVENTS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "message_start": {"type": SCALAR, "message": MESSAGE},
    "content_block_start": {**scalars("type index"), "content_block": _BLOCK},
    "content_block_delta": {
        **scalars("type index"),
        "delta": {
            **scalars("type text partial_json thinking signature encrypted_content data"),
            "citation": WHOLE,
            "content": WHOLE,
            "estimated_tokens": SCALAR,
        },
    },
    "content_block_stop": scalars("type index"),
    "message_delta": {
        "type": SCALAR,
        "delta": _STOP,
        "usage": FACTS,
        "context_management": _MANAGEMENT,
    },
    "message_stop": {"type": SCALAR, "amazon-bedrock-invocationMetrics": FACTS},
    "ping": scalars("type"),
}


def is_message(document: Mapping[str, Any]) -> bool:
    """Whether a whole answer has its shape."""
    return document.get("type") == "message" and are_objects(document.get("content"))
