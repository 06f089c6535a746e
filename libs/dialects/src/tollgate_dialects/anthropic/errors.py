"""How a client of messages is told of an error."""

from types import MappingProxyType
from typing import Final

from tollgate_dialects.dialect import ErrorShape


def _event(body: bytes) -> bytes:
    """SDKs skip an event without a name; this one they raise on."""
    return b"event: error\ndata: " + body + b"\n\n"


_KINDS: Final = MappingProxyType(
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
)

_PARAMS: Final = frozenset(
    ("betas", "cache_control", "container", "context_management", "inference_geo", "max_tokens",
     "mcp_servers", "messages", "metadata", "model", "output_config", "output_format",
     "service_tier", "speed", "stop_sequences", "stream", "system", "temperature", "thinking",
     "tool_choice", "tools", "top_k", "top_p")
)  # fmt: skip

SHAPE: Final = ErrorShape(
    kinds=_KINDS, codes=frozenset(_KINDS.values()), params=_PARAMS, event=_event
)
