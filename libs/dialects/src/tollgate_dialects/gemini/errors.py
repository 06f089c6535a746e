"""How a client is told of an error: in the words of Google's RPCs."""

from types import MappingProxyType
from typing import Any, Final

import orjson

from tollgate_dialects.dialect import ErrorShape
from tollgate_dialects.gemini import spelling

# Members of an error that have their place beside its details.
_PLACED: Final = frozenset(("type", "code", "message"))
# Those that a request may be refused with.
_CODES: Final = frozenset(
    ("ABORTED", "ALREADY_EXISTS", "FAILED_PRECONDITION", "INVALID_ARGUMENT", "NOT_FOUND",
     "OUT_OF_RANGE", "RESOURCE_EXHAUSTED")
)  # fmt: skip
# At the top, and in the configuration of a generation.
_PARAMS: Final = frozenset(
    name
    for given in (
        "cachedContent", "candidateCount", "contents", "frequencyPenalty", "generationConfig",
        "labels", "logprobs", "maxOutputTokens", "mediaResolution", "model", "presencePenalty",
        "responseJsonSchema", "responseLogprobs", "responseMimeType", "responseModalities",
        "responseSchema", "safetySettings", "seed", "serviceTier", "speechConfig", "stopSequences",
        "store", "systemInstruction", "temperature", "thinkingConfig", "toolConfig", "tools",
        "topK", "topP",
    )
    for name in spelling.both(given)
)  # fmt: skip


def _body(told: dict[str, Any], status: int) -> dict[str, Any]:
    """Google's `Status`, with what only we say among the facts of its details."""
    error = told["error"]
    facts = {
        name: value if isinstance(value, str) else orjson.dumps(value).decode()
        for name, value in error.items()
        if name not in _PLACED and value is not None
    }
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": str(error["code"]).upper(),
        "domain": "gateway",
        "metadata": {**facts, "request_id": told["request_id"]},
    }
    return {
        "error": {
            "code": status,
            "message": error["message"],
            "status": error["type"],
            "details": [info],
        }
    }


def _event(body: bytes) -> bytes:
    """SDKs raise on a chunk whose first member is an error."""
    return b"data: " + body + b"\n\n"


SHAPE: Final = ErrorShape(
    codes=_CODES,
    params=_PARAMS,
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
    body=_body,
)
