"""A request of the one form, written as a chat.

Promises: only what OpenAI documents, and for models of other makers what the vendors of its
protocol read beside it; all else is named as dropped, or the request is refused where it makes no
sense without.
"""

from typing import Any, Final

from tollgate_dialects.common import digests
from tollgate_dialects.conversation.parts import FunctionTool, HostedTool
from tollgate_dialects.conversation.request import OutputFormat, Request, ToolChoice
from tollgate_dialects.conversation.tools import FlatTools
from tollgate_dialects.conversation.translation import Target, Untranslatable, Written
from tollgate_dialects.openai_chat import limits
from tollgate_dialects.openai_chat.translate.messages import MessageWriter

# Conversations that another vendor keeps: without them the request is another one.
_STORED: Final = ("previous_response_id", "conversation", "prompt")
# Members that a chat has under the name and in the sense in which they may have been sent.
_OWN_EXTRAS: Final = frozenset(("store", "prompt_cache_retention", "prompt_cache_options"))
# The others have other prices.
_TIERS: Final = frozenset(("auto", "default"))
_STOPS_MAX: Final = 4
# What OpenAI takes of the name of a user, or of a cache.
_NAME_CHARACTERS_MAX: Final = 64
# What OpenAI's reasoning models refuse.
_SAMPLING: Final = (
    "temperature", "top_p", "frequency_penalty", "presence_penalty", "logit_bias",
)  # fmt: skip
# What would be answered with what the one form does not hold.
_UNTOLD: Final = ("logprobs", "top_logprobs")
# Efforts by what a budget comes to, in tokens; those of other protocols that a chat has not.
_BUDGETS: Final = ((1_024, "low"), (8_192, "medium"))


def write(request: Request, target: Target) -> Written:
    """The document for a target, and what it could not carry. Raises Untranslatable."""
    for name in _STORED:
        if request.extra.get(name) is not None:
            raise Untranslatable(name, "The model's vendor does not have what was stored.")
    thinks = limits.is_reasoning_model(target.model)
    tools = FlatTools(request.tools, keeps_text=thinks)
    dropped: set[str] = set(request.unheld)
    messages = MessageWriter(tools, dropped, model=target.model)
    document: dict[str, Any] = {"model": target.model, "messages": messages.write(request.turns)}
    if target.max_output_tokens is not None:
        document[limits.name_for(target.model)] = target.max_output_tokens
    if request.stream:
        document["stream"] = True
        if not target.without_include_usage:
            document["stream_options"] = {"include_usage": True}
    _declare(request, tools, document, dropped)
    _sample(request, document, dropped, is_reasoning=thinks)
    _reason(request, target.model, document, dropped)
    _address(request, target.model, document, dropped)
    return Written(document, frozenset(dropped))


def _declare(
    request: Request, tools: FlatTools, document: dict[str, Any], dropped: set[str]
) -> None:
    choice = request.tool_choice
    for tool in request.tools:
        if isinstance(tool, HostedTool):
            if choice and choice.mode == "required" and tool.kind in choice.names:
                raise Untranslatable("tool_choice", "The model's vendor does not have this tool.")
            dropped.add(f"tools.{tool.kind}")
    if not tools.functions:
        if choice and choice.mode == "required":
            raise Untranslatable("tool_choice", "There is no tool that the vendor has.")
        return
    document["tools"] = [_tool(tool, dropped) for tool in tools.functions]
    if choice is not None:
        document["tool_choice"] = _choice(choice, tools)
    if request.parallel_tool_calls is not None:
        document["parallel_tool_calls"] = request.parallel_tool_calls


def _tool(tool: FunctionTool, dropped: set[str]) -> dict[str, Any]:
    if tool.cache:
        dropped.add("cache")
    if tool.takes_text:
        custom: dict[str, Any] = {"name": tool.name}
        if tool.description:
            custom["description"] = tool.description
        if tool.grammar:
            custom["format"] = {"type": "grammar", "grammar": tool.grammar}
        return {"type": "custom", "custom": custom}
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = {"type": "object", "properties": {}, **(tool.schema or {})}
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _choice(choice: ToolChoice, tools: FlatTools) -> str | dict[str, Any]:
    names = tools.chosen(choice.names)
    kinds = {tool.name: "custom" if tool.takes_text else "function" for tool in tools.functions}
    if choice.names and not names:
        raise Untranslatable("tool_choice", "The chosen tool is not among the tools.")
    if not names or choice.mode == "none":
        return choice.mode
    chosen = [{"type": kinds[name], kinds[name]: {"name": name}} for name in names]
    if choice.mode == "required" and len(chosen) == 1:
        return chosen[0]
    return {
        "type": "allowed_tools",
        "allowed_tools": {"mode": choice.mode, "tools": chosen},
    }


def _sample(
    request: Request, document: dict[str, Any], dropped: set[str], *, is_reasoning: bool
) -> None:
    """Temperature and its like, as far as the model takes them."""
    for name in _SAMPLING:
        value = getattr(request, name)
        if value is None or value is False:
            continue
        if is_reasoning:
            if value not in (0, 1) or name == "temperature":
                dropped.add(name)
            continue
        document[name] = value
    if request.seed is not None:
        document["seed"] = request.seed
    if request.choices > 1:
        document["n"] = request.choices
    if request.top_k is not None:
        dropped.add("top_k")
    dropped.update(name for name in _UNTOLD if getattr(request, name))


def _reason(request: Request, model: str, document: dict[str, Any], dropped: set[str]) -> None:
    """An effort in one word; a budget comes to the nearest."""
    asked = request.reasoning
    if asked is None:
        return
    effort = asked.effort
    if asked.mode == "off":
        effort = "none"
    elif not effort and asked.budget_tokens is not None:
        budget = asked.budget_tokens
        effort = next((word for most, word in _BUDGETS if budget <= most), "high")
    known = limits.effort_for(model, effort) if effort else ""
    if known:
        document["reasoning_effort"] = known
        if known != effort:
            dropped.add("reasoning.effort")
    elif effort or asked.mode:
        dropped.add("reasoning")
    if asked.summary:
        dropped.add("reasoning.summary")


def _address(request: Request, model: str, document: dict[str, Any], dropped: set[str]) -> None:
    """What is said of a request rather than in it."""
    is_openai = limits.is_openai(model)
    stops = () if limits.is_reasoning_model(model) else request.stop[:_STOPS_MAX]
    if stops:
        document["stop"] = list(stops)
    if len(stops) < len(request.stop):
        dropped.add("stop")
    if request.output_format is not None and request.output_format.kind != "text":
        document["response_format"] = _format(request.output_format)
    cache_key = digests.fitted(request.cache_key, characters_max=_NAME_CHARACTERS_MAX)
    # Words that OpenAI alone knows: servers of its protocol may refuse what they do not know.
    for name, value, member in (
        ("verbosity", request.verbosity, "verbosity"),
        ("cache_key", cache_key, "prompt_cache_key"),
        ("metadata", request.metadata, "metadata"),
    ):
        if value and is_openai:
            document[member] = value
        elif value:
            dropped.add(name)
    if request.user:
        document["user"] = digests.fitted(request.user, characters_max=_NAME_CHARACTERS_MAX)
    if request.service_tier in _TIERS and is_openai:
        document["service_tier"] = request.service_tier
    elif request.service_tier not in ("", "auto", "default"):
        dropped.add("service_tier")
    for name, value in request.extra.items():
        if name in _OWN_EXTRAS and is_openai:
            document[name] = value
        else:
            dropped.add(name)


def _format(wanted: OutputFormat) -> dict[str, Any]:
    if wanted.kind == "json_object" or wanted.schema is None:
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": wanted.name or "answer", "schema": wanted.schema}
    if wanted.description:
        schema["description"] = wanted.description
    if wanted.strict is not None:
        schema["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": schema}
