"""How a client of generations is told of an error: a code in one word, and flat."""

from types import MappingProxyType
from typing import Any, Final

import orjson

from tollgate_dialects.dialect import ErrorShape

_KINDS: Final = MappingProxyType(
    {
        400: "InvalidParameter",
        401: "InvalidApiKey",
        402: "Arrearage",
        403: "AccessDenied",
        404: "Model.NotExist",
        429: "Throttling.RateQuota",
        500: "InternalError",
        503: "ServiceUnavailable",
        504: "GatewayTimeout",
    }
)
_STATUSES: Final = {kind: status for status, kind in _KINDS.items()}
# DashScope's own words for a refused request, as an upstream of its protocol says them.
_CODES: Final = frozenset(
    ("BadRequest.EmptyInput", "BadRequest.EmptyModel", "BadRequest.EmptyParameters",
     "BadRequest.IllegalInput", "BadRequest.InputDownloadFailed", "BadRequest.TooLarge",
     "BadRequest.UnsupportedFileFormat", "DataInspectionFailed", "InvalidParameter",
     "InvalidParameter.DataInspection", "InvalidURL", "Model.NotExist", "ModelNotFound",
     "NotFound", "Throttling", "Throttling.AllocationQuota", "Throttling.BurstRate",
     "Throttling.RateQuota", "UnsupportedOperation")
)  # fmt: skip
# At the top, in its input and among its parameters.
_PARAMS: Final = frozenset(
    ("enable_search", "enable_thinking", "frequency_penalty", "incremental_output", "input",
     "logprobs", "max_tokens", "messages", "model", "n", "parallel_tool_calls", "parameters",
     "presence_penalty", "prompt", "repetition_penalty", "response_format", "result_format",
     "search_options", "seed", "stop", "stream", "temperature", "thinking_budget", "tool_choice",
     "tools", "top_k", "top_logprobs", "top_p", "vl_high_resolution_images")
)  # fmt: skip


def _body(told: dict[str, Any], status: int) -> dict[str, Any]:
    """Code and message at the top; what else is known of it, as our other clients are told it."""
    error = dict(told["error"])
    kind, code = error.pop("type"), error.pop("code")
    is_own = code in _CODES
    return {
        "code": code if is_own else kind,
        "message": error.pop("message"),
        "request_id": told["request_id"],
        "status_code": status,
        **({} if is_own else {"reason": code}),
        **error,
    }


def _event(body: bytes) -> bytes:
    """DashScope's SDK reads the status in a line of its own, and else takes it for 400."""
    document = orjson.loads(body)
    status = document.get("status_code")
    if not isinstance(status, int):
        status = _STATUSES.get(document.get("code"), 500)
    return b"id:1\nevent:error\n:HTTP_STATUS/%d\nstatus:%d\ndata:%b\n\n" % (status, status, body)


SHAPE: Final = ErrorShape(kinds=_KINDS, codes=_CODES, params=_PARAMS, event=_event, body=_body)
