"""How a client of Responses is told of an error.

In a stream it is told twice: SDKs raise on the event `error`, Codex reads `response.failed`.
"""

from typing import Any, Final

import orjson

from tollgate_dialects.common import openai_errors
from tollgate_dialects.dialect import ErrorShape


def _event(body: bytes) -> bytes:
    """Nobody counts the events of a broken stream: both have the number 0."""
    document = orjson.loads(body)
    found = document.get("error") if isinstance(document, dict) else None
    error: dict[str, Any] = found if isinstance(found, dict) else {}
    code = error.get("code") or error.get("type") or "server_error"
    message = error.get("message") or "The answer broke off."
    told = {
        "type": "error",
        "sequence_number": 0,
        "code": code,
        "message": message,
        "param": error.get("param"),
        "error": error,
    }
    failed = {
        "type": "response.failed",
        "sequence_number": 0,
        "response": {
            "id": "resp_failed",
            "object": "response",
            "created_at": 0,
            "status": "failed",
            "error": {"code": code, "message": message},
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": "",
            "output": [],
            "parallel_tool_calls": True,
            "temperature": None,
            "tool_choice": "auto",
            "tools": [],
            "top_p": None,
        },
    }
    return b"event: error\ndata: %b\n\nevent: response.failed\ndata: %b\n\n" % (
        orjson.dumps(told),
        orjson.dumps(failed),
    )


SHAPE: Final = ErrorShape(
    kinds=openai_errors.KINDS,
    codes=openai_errors.CODES,
    params=openai_errors.RESPONSES_PARAMS,
    event=_event,
    too_long=openai_errors.TOO_LONG,
)
