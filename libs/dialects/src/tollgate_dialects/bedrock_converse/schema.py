"""What an answer of Converse may hold: the one list of members that are read."""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.answer.schema import FACTS, WHOLE, Kind, are_objects, scalars

_CITATION: Final = {
    **scalars("title source"),
    "sourceContent": [scalars("text")],
    "location": {"web": scalars("url domain")},
}
# Of what a tool of the vendor's gave, only that it did.
_RESULT: Final = scalars("toolUseId type status")
_BLOCK: Final = {
    **scalars("text"),
    "toolUse": {**scalars("toolUseId name type"), "input": WHOLE},
    "toolResult": _RESULT,
    "reasoningContent": {**scalars("redactedContent"), "reasoningText": scalars("text signature")},
    "citationsContent": {"content": [scalars("text")], "citations": [_CITATION]},
}
_METADATA: Final = {"usage": FACTS, "metrics": FACTS}
BODY: Final[Mapping[str, Kind]] = {
    **scalars("stopReason"),
    **_METADATA,
    "output": {"message": {**scalars("role"), "content": [_BLOCK]}},
}
# Those whose values the model writes.
WORDS: Final = frozenset(("text", "input", "redactedContent"))
# Each event's own members; `p` in all of them is padding of random length.
EVENTS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "messageStart": scalars("role p"),
    "contentBlockStart": {
        **scalars("contentBlockIndex p"),
        "start": {"toolUse": scalars("toolUseId name type"), "toolResult": _RESULT},
    },
    "contentBlockDelta": {
        **scalars("contentBlockIndex p"),
        "delta": {
            **scalars("text"),
            "toolUse": scalars("input"),
            "reasoningContent": scalars("text signature redactedContent"),
            "citation": _CITATION,
        },
    },
    "contentBlockStop": scalars("contentBlockIndex p"),
    "messageStop": scalars("stopReason p"),
    "metadata": {**scalars("p"), **_METADATA},
}


def is_body(document: Mapping[str, Any]) -> bool:
    """Whether a whole answer has its shape."""
    output = document.get("output")
    message = output.get("message") if isinstance(output, dict) else None
    return isinstance(message, dict) and are_objects(message.get("content"))
