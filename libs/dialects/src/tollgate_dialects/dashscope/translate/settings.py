"""What steers a generation, by DashScope's names."""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common import shapes
from tollgate_dialects.conversation import settings
from tollgate_dialects.conversation.request import Reasoning
from tollgate_dialects.dashscope import limits

_NUMBERS: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_WHOLE_NUMBERS: Final = ("top_k", "seed", "top_logprobs")
# All parameters that have a place in the one form, so that what is left has none.
_HELD: Final = frozenset(
    (*_NUMBERS, *_WHOLE_NUMBERS, *limits.NAMES, "tools", "tool_choice", "parallel_tool_calls",
     "stop", "n", "logprobs", "logit_bias", "response_format", "enable_thinking",
     "thinking_budget", "reasoning_effort", "result_format", "incremental_output")
)  # fmt: skip
_HELD_INPUT: Final = frozenset(("messages", "prompt", "history"))
_HELD_TOP: Final = frozenset(("model", "input", limits.PARAMETERS))
# Harmless where they say no, as many clients do.
_OFF: Final = frozenset(("enable_search", "enable_code_interpreter"))


def read(document: Mapping[str, Any], *, has_tools: bool) -> dict[str, Any]:
    """Fields of a Request. Raises ShapeError."""
    parameters = shapes.item(document, limits.PARAMETERS)
    found: dict[str, Any] = {name: shapes.number(parameters, name) for name in _NUMBERS}
    found |= {name: shapes.whole_number(parameters, name) for name in _WHOLE_NUMBERS}
    limited = (shapes.whole_number(parameters, name) for name in limits.NAMES)
    stop, has_all_stops = _stop(parameters)
    parallel = shapes.flag(parameters, "parallel_tool_calls")
    return found | {
        # Who says nothing gets one call at a time.
        "parallel_tool_calls": False if parallel is None and has_tools else parallel,
        "max_output_tokens": next((limit for limit in limited if limit is not None), None),
        "stop": stop,
        "unheld": frozenset() if has_all_stops else frozenset(("stop",)),
        "choices": shapes.whole_number(parameters, "n") or 1,
        "logprobs": shapes.flag(parameters, "logprobs"),
        "logit_bias": settings.logit_bias(parameters),
        "output_format": settings.output_format(parameters),
        "reasoning": _reasoning(parameters),
        "extra": _extra(document, parameters),
    }


def _extra(document: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    asked = shapes.item(document, "input")
    return {
        **_others(document, _HELD_TOP),
        **_others(asked, _HELD_INPUT),
        **{
            name: value
            for name, value in _others(parameters, _HELD).items()
            if not (name in _OFF and value is False)
        },
    }


def _others(holder: Mapping[str, Any], held: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in holder.items() if name not in held and value is not None}


def _stop(parameters: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    """Texts, and whether that is all: tokens by their numbers are words of one model alone."""
    stop = parameters.get("stop")
    if stop is None:
        return (), True
    if isinstance(stop, str):
        return (stop,), True
    if not isinstance(stop, list):
        raise shapes.ShapeError("stop", "a text or an array")
    texts = tuple(one for one in stop if isinstance(one, str))
    return texts, len(texts) == len(stop)


def _reasoning(parameters: Mapping[str, Any]) -> Reasoning | None:
    enabled = shapes.flag(parameters, "enable_thinking")
    budget = shapes.whole_number(parameters, "thinking_budget")
    effort = shapes.text(parameters, "reasoning_effort")
    if enabled is False:
        return Reasoning("off", effort)
    if enabled or budget is not None:
        return Reasoning("on", effort, budget)
    return Reasoning("", effort) if effort else None
