"""A request of the one form, written as a generation.

Promises: only what DashScope documents; all that a model gives, its thinking with it, is within the
output limit, unless the model thinks whatever it is told and takes no budget; all else is named as
dropped, or the request is refused where it makes no sense without.
"""

import re
from typing import Any, Final

from tollgate_dialects.alibaba import models
from tollgate_dialects.common import documents
from tollgate_dialects.conversation.parts import FunctionTool, HostedTool, Media, Origin
from tollgate_dialects.conversation.request import OutputFormat, Reasoning, Request, ToolChoice
from tollgate_dialects.conversation.tools import FlatTools
from tollgate_dialects.conversation.translation import Target, Untranslatable, Written
from tollgate_dialects.dashscope import limits
from tollgate_dialects.dashscope.translate.messages import MessageWriter

# Conversations that another vendor keeps: without them the request is another one.
_STORED: Final = ("previous_response_id", "conversation", "prompt")
# Parameters that the one form has no place for and a client of DashScope's may have sent.
_OWN_EXTRAS: Final = frozenset(
    ("repetition_penalty", "vl_high_resolution_images", "ocr_options", "translation_options",
     "max_input_tokens", "preserve_thinking")
)  # fmt: skip
_KEPT: Final = ("top_k", "presence_penalty", "logit_bias")
_TEMPERATURE_MAX: Final = 1.99
_SEED_MAX: Final = 2**31 - 1
# The one maker whose models are told how much to think in a word.
_TAKES_EFFORT = re.compile(r"deepseek-v(?:[4-9]|\d\d)", re.IGNORECASE)
# What has to stand somewhere in the words, where JSON is asked for.
_JSON = re.compile(b"json", re.IGNORECASE)
# Thinking in tokens, for an effort: some think without end where they are told no number. What is
# beyond these is thought as much as the last.
_BUDGETS: Final = {"minimal": 512, "low": 1_024, "medium": 8_192}
_MOST_BUDGET: Final = 16_384


def write(request: Request, target: Target) -> Written:
    """The document for a target, and what it could not carry. Raises Untranslatable."""
    _refuse(request)
    tools = FlatTools(request.tools)
    dropped = _left_out(request)
    parameters: dict[str, Any] = {"result_format": "message"}
    if request.stream:
        parameters["incremental_output"] = True
    _declare(request, tools, parameters, dropped)
    _limit(request, target, parameters, dropped)
    _sample(request, parameters, dropped)
    is_parts = limits.sees(target.model) or _has_pictures(request)
    messages = MessageWriter(tools, dropped, is_parts=is_parts).write(request.turns)
    _hold_to(request.output_format, parameters, messages, dropped, is_parts=is_parts)
    document = {
        "model": target.model,
        "input": {"messages": messages},
        limits.PARAMETERS: parameters,
    }
    return Written(document, frozenset(dropped))


def _refuse(request: Request) -> None:
    if request.choices > 1:
        raise Untranslatable("n", "The model's vendor gives one answer to a request.")
    for name in _STORED:
        if request.extra.get(name) is not None:
            raise Untranslatable(name, "The model's vendor does not have what was stored.")


def _left_out(request: Request) -> set[str]:
    """What has no place in this protocol, where it was asked for."""
    functions = [tool for tool in request.tools if isinstance(tool, FunctionTool)]
    asked = {
        "frequency_penalty": request.frequency_penalty,
        # They are not told in another protocol.
        "logprobs": request.logprobs,
        "top_logprobs": request.top_logprobs,
        "verbosity": request.verbosity,
        "cache_key": request.cache_key,
        "metadata": request.metadata,
        "user": request.user,
        "service_tier": request.service_tier not in ("", "auto", "default"),
        "cache": any(tool.cache for tool in functions),
        "tools.strict": any(tool.strict for tool in functions),
    }
    left = {name for name, value in asked.items() if value}
    return {*left, *request.unheld, *(request.extra.keys() - _own(request).keys())}


def _own(request: Request) -> dict[str, Any]:
    if request.origin is not Origin.ALIBABA:
        return {}
    return {name: value for name, value in request.extra.items() if name in _OWN_EXTRAS}


def _has_pictures(request: Request) -> bool:
    return any(
        isinstance(part, Media) and part.kind == "image"
        for turn in request.turns
        for holder in turn.parts
        for part in (holder, *getattr(holder, "parts", ()))
    )


def _declare(
    request: Request, tools: FlatTools, parameters: dict[str, Any], dropped: set[str]
) -> None:
    choice = request.tool_choice
    for tool in request.tools:
        if isinstance(tool, HostedTool):
            if choice and choice.mode == "required" and tool.kind in choice.names:
                raise Untranslatable("tool_choice", "The model's vendor does not have this tool.")
            dropped.add(f"tools.{tool.kind}")
    functions = list(tools.functions)
    if choice is not None:
        named = tools.chosen(choice.names)
        if choice.names and not named:
            raise Untranslatable("tool_choice", "The chosen tool is not among the tools.")
        if choice.mode == "required" and not functions:
            raise Untranslatable("tool_choice", "There is no tool that the vendor has.")
        if len(named) > 1 or (named and choice.mode == "auto"):
            # A choice among several leaves the others out.
            functions = [tool for tool in functions if tool.name in named]
    if not functions:
        return
    parameters["tools"] = [_tool(tool) for tool in functions]
    if choice is not None:
        parameters["tool_choice"] = _choice(choice, tools, functions, dropped)
    # Here one call at a time is what nobody asks for.
    parameters["parallel_tool_calls"] = request.parallel_tool_calls is not False


def _tool(tool: FunctionTool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = {"type": "object", "properties": {}, **(tool.schema or {})}
    return {"type": "function", "function": function}


def _choice(
    choice: ToolChoice, tools: FlatTools, functions: list[FunctionTool], dropped: set[str]
) -> str | dict[str, Any]:
    """One tool may be forced by its name; that any of several must be called, has no word."""
    if choice.mode != "required":
        return choice.mode
    named = tools.chosen(choice.names) or tuple(tool.name for tool in functions)
    if len(named) == 1:
        return {"type": "function", "function": {"name": named[0]}}
    dropped.add("tool_choice")
    return "auto"


def _reason(request: Request, model: str, parameters: dict[str, Any], dropped: set[str]) -> bool:
    """Whether the model will think, and what it is told of it."""
    asked = request.reasoning or Reasoning()
    if asked.summary:
        dropped.add("reasoning.summary")
    always = models.always_thinks(model)
    is_forced = isinstance(parameters.get("tool_choice"), dict)
    is_off = asked.mode == "off" or asked.effort == "none"
    is_asked = not is_off and (asked.mode != "" or asked.effort != "")
    # Who thinks cannot be made to call.
    if is_forced and always:
        parameters["tool_choice"] = "auto"
        dropped.add("tool_choice")
    elif is_forced and is_asked:
        dropped.add("reasoning")
    if is_off and always:
        dropped.add("reasoning")
        return True
    thinks = is_asked or limits.thinks(model)
    if not request.stream and models.thinks_in_streams_alone(model):
        if is_asked:
            dropped.add("reasoning")
        is_off = True
    if is_off or (is_forced and thinks and not always):
        parameters["enable_thinking"] = False
        return False
    if is_asked:
        _think(asked, model, parameters, dropped)
    return thinks or always


def _limit(request: Request, target: Target, parameters: dict[str, Any], dropped: set[str]) -> None:
    """Thinking, and the limit, which is for it and the answer together. Raises Untranslatable."""
    thinks = _reason(request, target.model, parameters, dropped)
    limit = target.max_output_tokens
    if limit is None:
        return
    name = limits.name_for(target.model)
    budget = parameters.get("thinking_budget")
    if budget is not None and not (request.reasoning and request.reasoning.budget_tokens):
        # Our own number leaves half of the answer to what is not thinking.
        budget = min(budget, max(limit // 2, 1))
    if name == limits.WHOLE or not thinks:
        if budget is not None:
            parameters["thinking_budget"] = min(budget, limit)
        parameters[name] = limit
    elif not models.takes_budget(target.model):
        # Nothing ends its thinking: the limit is the answer's.
        parameters[limits.ANSWER] = limit
    elif limit == 1:
        if models.always_thinks(target.model):
            raise Untranslatable("max_output_tokens", "The model thinks before it answers.")
        parameters |= {"enable_thinking": False, limits.ANSWER: limit}
        parameters.pop("thinking_budget", None)
        dropped.add("reasoning")
    else:
        # A limit for the answer and one for the thinking, which make the whole one.
        budget = min(budget or limit // 2, limit - 1)
        parameters |= {"thinking_budget": budget, limits.ANSWER: limit - budget}


def _think(asked: Reasoning, model: str, parameters: dict[str, Any], dropped: set[str]) -> None:
    parameters["enable_thinking"] = True
    budget = asked.budget_tokens
    if asked.effort and _TAKES_EFFORT.search(model):
        parameters["reasoning_effort"] = asked.effort
    elif asked.effort:
        budget = _BUDGETS.get(asked.effort, _MOST_BUDGET) if budget is None else budget
        dropped.add("reasoning.effort")
    if budget is not None and not models.takes_budget(model):
        dropped.add("reasoning.budget_tokens")
    elif budget is not None:
        parameters["thinking_budget"] = budget


def _sample(request: Request, parameters: dict[str, Any], dropped: set[str]) -> None:
    """Temperature and its like, as far as DashScope takes them."""
    for name in _KEPT:
        value = getattr(request, name)
        if value is not None and value is not False:
            parameters[name] = value
    temperature, top_p, seed = request.temperature, request.top_p, request.seed
    if temperature is not None:
        parameters["temperature"] = min(max(temperature, 0), _TEMPERATURE_MAX)
        if parameters["temperature"] != temperature:
            dropped.add("temperature")
    if top_p is not None and 0 < top_p <= 1:
        parameters["top_p"] = top_p
    elif top_p is not None:
        dropped.add("top_p")
    if seed is not None and 0 <= seed <= _SEED_MAX:
        parameters["seed"] = seed
    elif seed is not None:
        dropped.add("seed")
    if request.stop:
        parameters["stop"] = list(request.stop)
    parameters.update(_own(request))


def _hold_to(
    wanted: OutputFormat | None,
    parameters: dict[str, Any],
    messages: list[dict[str, Any]],
    dropped: set[str],
    *,
    is_parts: bool,
) -> None:
    """DashScope holds an answer to JSON, where it is told so in words; to a schema in words."""
    if wanted is None or wanted.kind == "text":
        return
    parameters["response_format"] = {"type": "json_object"}
    if wanted.schema is not None:
        dropped.add("output_format")
    elif _JSON.search(documents.written(messages)):
        return
    words = wanted.in_words()
    if not messages or messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": [{"text": words}] if is_parts else words})
    elif isinstance(messages[0]["content"], list):
        messages[0]["content"].append({"text": words})
    else:
        messages[0]["content"] += f"\n\n{words}"
