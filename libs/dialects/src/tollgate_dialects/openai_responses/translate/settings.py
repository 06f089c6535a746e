"""What steers a response, by OpenAI's names."""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common import shapes
from tollgate_dialects.conversation.request import OutputFormat, Reasoning

# What is there only to say how an answer is told or kept, and needs no word in the one form.
_UNDERSTOOD: Final = frozenset(
    ("include", "store", "truncation", "stream_options", "client_metadata", "background")
)
# All that has a place in the one form, so that what is left has none.
_HELD: Final = _UNDERSTOOD | frozenset(
    ("model", "input", "instructions", "stream", "tools", "tool_choice", "parallel_tool_calls",
     "max_output_tokens", "temperature", "top_p", "top_logprobs", "reasoning", "text", "user",
     "safety_identifier", "service_tier", "prompt_cache_key", "metadata")
)  # fmt: skip
_REASONING: Final = frozenset(("effort", "summary", "generate_summary"))
_LOGPROBS: Final = "message.output_text.logprobs"


def read(document: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a Request. Raises ShapeError."""
    wanted = shapes.item(document, "text")
    include = document.get("include")
    return {
        "parallel_tool_calls": shapes.flag(document, "parallel_tool_calls"),
        "max_output_tokens": shapes.whole_number(document, "max_output_tokens"),
        "temperature": shapes.number(document, "temperature"),
        "top_p": shapes.number(document, "top_p"),
        "top_logprobs": shapes.whole_number(document, "top_logprobs"),
        "logprobs": True if isinstance(include, list) and _LOGPROBS in include else None,
        "reasoning": _reasoning(document),
        "output_format": _output_format(wanted),
        "verbosity": shapes.text(wanted, "verbosity"),
        "user": shapes.text(document, "safety_identifier") or shapes.text(document, "user"),
        "service_tier": shapes.text(document, "service_tier"),
        "cache_key": shapes.text(document, "prompt_cache_key"),
        "metadata": shapes.item(document, "metadata") or None,
        "extra": {
            name: value
            for name, value in document.items()
            if name not in _HELD and value is not None
        },
    }


def unheld(document: Mapping[str, Any]) -> set[str]:
    """What settings have no place, by our own names."""
    nested = shapes.item(document, "reasoning")
    more = {name for name, value in nested.items() if value is not None} - _REASONING
    return {"reasoning.context" if name == "context" else "reasoning.other" for name in more}


def _reasoning(document: Mapping[str, Any]) -> Reasoning | None:
    asked = shapes.item(document, "reasoning")
    effort = shapes.text(asked, "effort")
    summary = shapes.text(asked, "summary") or shapes.text(asked, "generate_summary")
    if not (effort or summary):
        return None
    return Reasoning("off" if effort == "none" else "", effort, summary=summary)


def _output_format(wanted: Mapping[str, Any]) -> OutputFormat | None:
    asked = shapes.item(wanted, "format")
    match shapes.text(asked, "type"):
        case "":
            return None
        case "text":
            return OutputFormat("text")
        case "json_object":
            return OutputFormat("json_object")
        case "json_schema":
            return OutputFormat(
                "json_schema",
                shapes.text(asked, "name"),
                shapes.text(asked, "description"),
                shapes.item(asked, "schema") or None,
                shapes.flag(asked, "strict"),
            )
    raise shapes.ShapeError("text", "an object whose format is text, json_object or json_schema")
