"""What steers a chat's answer, by the names of OpenAI and of the vendors of its protocol."""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common import shapes
from tollgate_dialects.conversation import settings
from tollgate_dialects.conversation.request import Reasoning

_NUMBERS: Final = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
_WHOLE_NUMBERS: Final = ("top_k", "seed", "top_logprobs")
_TEXTS: Final = ("verbosity", "service_tier")
# All that has a place in the one form, so that what is left has none.
_HELD: Final = frozenset(
    (*_NUMBERS, *_WHOLE_NUMBERS, *_TEXTS, "model", "messages", "stream", "stream_options", "tools",
     "functions", "tool_choice", "function_call", "parallel_tool_calls", "max_tokens",
     "max_completion_tokens", "stop", "n", "logprobs", "logit_bias", "response_format", "user",
     "safety_identifier", "prompt_cache_key", "metadata", "reasoning_effort", "reasoning",
     "thinking", "enable_thinking", "thinking_budget")
)  # fmt: skip


def read(document: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a Request. Raises ShapeError."""
    found: dict[str, Any] = {name: shapes.number(document, name) for name in _NUMBERS}
    found |= {name: shapes.whole_number(document, name) for name in _WHOLE_NUMBERS}
    found |= {name: shapes.text(document, name) for name in _TEXTS}
    limit = shapes.whole_number(document, "max_completion_tokens")
    if limit is None:
        limit = shapes.whole_number(document, "max_tokens")
    return found | {
        "parallel_tool_calls": shapes.flag(document, "parallel_tool_calls"),
        "max_output_tokens": limit,
        "stop": _stop(document),
        "choices": shapes.whole_number(document, "n") or 1,
        "logprobs": shapes.flag(document, "logprobs"),
        "logit_bias": settings.logit_bias(document),
        "output_format": settings.output_format(document),
        "reasoning": _reasoning(document),
        "user": shapes.text(document, "safety_identifier") or shapes.text(document, "user"),
        "cache_key": shapes.text(document, "prompt_cache_key"),
        "metadata": shapes.item(document, "metadata") or None,
        "extra": {
            name: value
            for name, value in document.items()
            if name not in _HELD and value is not None
        },
    }


def _stop(document: Mapping[str, Any]) -> tuple[str, ...]:
    stop = document.get("stop")
    if stop is None:
        return ()
    if isinstance(stop, str):
        return (stop,)
    if not isinstance(stop, list) or not all(isinstance(one, str) for one in stop):
        raise shapes.ShapeError("stop", "a text or an array of texts")
    return tuple(stop)


def _reasoning(document: Mapping[str, Any]) -> Reasoning | None:
    """OpenAI's effort; OpenRouter's object; Qwen's, DeepSeek's and Anthropic's switches."""
    nested = shapes.item(document, "reasoning")
    switch = shapes.item(document, "thinking")
    effort = shapes.text(document, "reasoning_effort") or shapes.text(nested, "effort")
    budget = next(
        (
            count
            for holder, name in (
                (document, "thinking_budget"), (nested, "max_tokens"), (switch, "budget_tokens"),
            )
            if (count := shapes.whole_number(holder, name)) is not None
        ),
        None,
    )  # fmt: skip
    enabled = shapes.flag(document, "enable_thinking")
    if enabled is None:
        enabled = shapes.flag(nested, "enabled")
    match shapes.text(switch, "type"):
        case "enabled":
            enabled = True
        case "disabled":
            enabled = False
        case "adaptive":
            return Reasoning("adaptive", effort, budget)
    if enabled is False or effort == "none":
        return Reasoning("off", effort)
    if enabled or budget is not None:
        return Reasoning("on", effort, budget)
    return Reasoning("", effort) if effort else None
