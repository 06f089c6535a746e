"""The object that a response is, without its items: what was asked, how it ended, what it used."""

from typing import Any, Final

from tollgate_dialects.common import documents
from tollgate_dialects.conversation.answer import Stop
from tollgate_dialects.conversation.request import Request
from tollgate_dialects.conversation.translation import Context
from tollgate_dialects.openai_responses.translate.tools import NativeTools
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import Usage

# A client knows its tools: larger ones are not repeated, so that a frame stays far below what
# `common/sse.py` takes.
_ECHO_BYTES_MAX: Final = 256 * 1024


def head(context: Context, status: str) -> dict[str, Any]:
    """A response that has said nothing yet."""
    request = context.request
    tools = NativeTools(request.tools)
    declared = tools.written()
    if len(documents.written(declared)) > _ECHO_BYTES_MAX:
        declared = []
    choice = tools.chosen(request.tool_choice) if request.tool_choice else None
    reasoning = request.reasoning
    return {
        "id": f"resp_{context.trace}",
        "object": "response",
        "created_at": context.created_s,
        "status": status,
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": request.max_output_tokens,
        "model": request.model,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {
            "effort": reasoning.effort or None if reasoning else None,
            "summary": reasoning.summary or None if reasoning else None,
        },
        "store": False,
        "temperature": request.temperature,
        "text": _text(request),
        "tool_choice": choice or "auto",
        "tools": declared,
        "top_p": request.top_p,
        "truncation": "disabled",
        "usage": None,
        "metadata": request.metadata or {},
    }


def _text(request: Request) -> dict[str, Any]:
    wanted = request.output_format
    if wanted is None or wanted.kind != "json_schema":
        return {"format": {"type": wanted.kind if wanted else "text"}}
    shape = {"type": "json_schema", "name": wanted.name, "schema": wanted.schema or {}}
    return {"format": {**shape, "strict": wanted.strict is True}}


def status_of(stop: Stop, *, has_refused: bool) -> tuple[str, str]:
    """How a response ended, and why it did before its end.

    Words of a refusal are an answer; without them only the reason tells.
    """
    if stop in (Stop.LENGTH, Stop.CONTEXT_FULL, Stop.PAUSE):
        return "incomplete", "max_output_tokens"
    if stop is Stop.REFUSAL and not has_refused:
        return "incomplete", "content_filter"
    return "completed", ""


def usage_report(usage: Usage) -> dict[str, Any]:
    """A usage as a response reports it: cached and written tokens are subsets of the input's."""
    read, produced = usage.total_input_tokens, usage.total_output_tokens
    return {
        "input_tokens": read,
        "input_tokens_details": {
            "cached_tokens": usage[Unit.CACHE_READ],
            "cache_write_tokens": usage[Unit.CACHE_WRITE_5M] + usage[Unit.CACHE_WRITE_1H],
        },
        "output_tokens": produced,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": read + produced,
    }
