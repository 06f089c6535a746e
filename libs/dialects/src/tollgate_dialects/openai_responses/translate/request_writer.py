"""A request of the one form, written as one for a response.

Promises: only what OpenAI documents; that nothing is asked to be kept, so that thinking comes back
encrypted; all else is named as dropped, or the request is refused where it makes no sense without.
"""

from typing import Any, Final

from tollgate_dialects.common import digests
from tollgate_dialects.conversation.parts import HostedTool, Text
from tollgate_dialects.conversation.request import OutputFormat, Request, Turn
from tollgate_dialects.conversation.translation import Target, Untranslatable, Written
from tollgate_dialects.openai_responses import limits
from tollgate_dialects.openai_responses.translate.items import ItemWriter
from tollgate_dialects.openai_responses.translate.tools import NativeTools

# Conversations that another vendor keeps: without them the request is another one.
_STORED: Final = ("previous_response_id", "conversation", "prompt")
# Members that a response has under the name and in the sense in which they may have been sent.
_OWN_EXTRAS: Final = frozenset(("prompt_cache_retention", "prompt_cache_options", "moderation"))
# Those of a chat that only say how it is kept.
_HOW_KEPT: Final = frozenset(("store",))
# What OpenAI takes of the name of a user, or of a cache.
_NAME_CHARACTERS_MAX: Final = 64
# The others have other prices.
_TIERS: Final = frozenset(("auto", "default"))
_SUMMARIES: Final = frozenset(("auto", "concise", "detailed"))
_BREAKPOINTS_SINCE: Final = (5, 6)
# Efforts by what a budget comes to, in tokens.
_BUDGETS: Final = ((1_024, "low"), (8_192, "medium"))
# What a response cannot be told, and what it would be answered with and the one form not hold.
_ABSENT: Final = (
    "top_k", "seed", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs",
    "top_logprobs",
)  # fmt: skip


def write(request: Request, target: Target) -> Written:
    """The document for a target, and what it could not carry. Raises Untranslatable."""
    for name in _STORED:
        if request.extra.get(name) is not None:
            raise Untranslatable(name, "The model's vendor does not have what was stored.")
    if request.choices > 1:
        raise Untranslatable("n", "The model's protocol has one answer to a request.")
    dropped: set[str] = set(request.unheld)
    tools = NativeTools(request.tools)
    items = ItemWriter(
        tools, dropped, takes_breakpoints=limits.is_since(target.model, _BREAKPOINTS_SINCE)
    )
    instructions, turns = _instructions(request.turns)
    document: dict[str, Any] = {"model": target.model, "input": items.write(turns), "store": False}
    if instructions:
        document["instructions"] = instructions
    if target.max_output_tokens is not None:
        if target.max_output_tokens < limits.LOWEST:
            # A higher limit would not be covered by what was reserved.
            raise Untranslatable("max_tokens", "The model's vendor takes no limit below 16.")
        document[limits.NAME] = target.max_output_tokens
    if request.stream:
        document["stream"] = True
    _declare(request, tools, document, dropped)
    _sample(request, target, document, dropped)
    _reason(request, target, document, dropped)
    _shape(request, document)
    _address(request, document, dropped)
    return Written(document, frozenset(dropped))


def _instructions(turns: tuple[Turn, ...]) -> tuple[str, tuple[Turn, ...]]:
    """The system prompt, if it is words alone, and what follows it."""
    first = turns[0] if turns else None
    if first is None or first.role != "system" or first.name:
        return "", turns
    texts = [part.text for part in first.parts if isinstance(part, Text) and not part.cache]
    if len(texts) < len(first.parts):
        return "", turns
    return "\n\n".join(text for text in texts if text), turns[1:]


def _declare(
    request: Request, tools: NativeTools, document: dict[str, Any], dropped: set[str]
) -> None:
    choice = request.tool_choice
    for tool in request.tools:
        if isinstance(tool, HostedTool):
            if choice and choice.mode == "required" and choice.names == (tool.kind,):
                raise Untranslatable("tool_choice", "The model's vendor does not have this tool.")
            dropped.add(f"tools.{tool.kind}")
    declared = tools.written()
    if not declared:
        if choice and choice.mode == "required":
            raise Untranslatable("tool_choice", "There is no tool that the vendor has.")
        return
    document["tools"] = declared
    if choice is not None:
        chosen = tools.chosen(choice)
        # Of those that may be called none is left.
        document["tool_choice"] = chosen or "none"
        if chosen is None and choice.mode == "required":
            raise Untranslatable("tool_choice", "The chosen tool is not among the tools.")
    if request.parallel_tool_calls is not None:
        document["parallel_tool_calls"] = request.parallel_tool_calls


def _sample(request: Request, target: Target, document: dict[str, Any], dropped: set[str]) -> None:
    """Temperature and its like, as far as the model takes them."""
    is_reasoning = limits.reasons(target.model)
    for name in ("temperature", "top_p"):
        value = getattr(request, name)
        if value is None:
            continue
        if not is_reasoning:
            document[name] = value
        elif value != 1:
            dropped.add(name)
    if is_reasoning:
        document["include"] = ["reasoning.encrypted_content"]
    for name in _ABSENT:
        if getattr(request, name) not in (None, 0):
            dropped.add(name)
    if request.stop:
        dropped.add("stop")


def _reason(request: Request, target: Target, document: dict[str, Any], dropped: set[str]) -> None:
    """An effort in one word; a budget comes to the nearest. Other models refuse the member."""
    asked = request.reasoning
    if asked is None:
        return
    if not limits.reasons(target.model):
        if asked.mode != "off" and (asked.mode or asked.effort):
            dropped.add("reasoning")
        return
    effort = asked.effort
    if asked.mode == "off":
        effort = limits.least_effort(target.model)
        if not effort:
            dropped.add("reasoning")
            return
    elif not effort and asked.budget_tokens is not None:
        budget = asked.budget_tokens
        effort = next((word for most, word in _BUDGETS if budget <= most), "high")
    written = {"effort": effort} if effort else {}
    summary = asked.summary
    if not summary and asked.mode in ("on", "adaptive"):
        # Who asks another vendor to think is shown the thinking.
        summary = "auto"
    if summary in _SUMMARIES:
        written["summary"] = summary
    if written:
        document["reasoning"] = written


def _shape(request: Request, document: dict[str, Any]) -> None:
    text: dict[str, Any] = {}
    if request.output_format is not None:
        text["format"] = _format(request.output_format)
    if request.verbosity:
        text["verbosity"] = request.verbosity
    if text:
        document["text"] = text


def _format(wanted: OutputFormat) -> dict[str, Any]:
    if wanted.kind == "text":
        return {"type": "text"}
    if wanted.kind == "json_object" or wanted.schema is None:
        return {"type": "json_object"}
    schema: dict[str, Any] = {
        "type": "json_schema",
        "name": wanted.name or "answer",
        "schema": wanted.schema,
    }
    if wanted.description:
        schema["description"] = wanted.description
    if wanted.strict is not None:
        schema["strict"] = wanted.strict
    return schema


def _address(request: Request, document: dict[str, Any], dropped: set[str]) -> None:
    """What is said of a request rather than in it."""
    for member, name in (
        ("safety_identifier", request.user),
        ("prompt_cache_key", request.cache_key),
    ):
        if name:
            document[member] = digests.fitted(name, characters_max=_NAME_CHARACTERS_MAX)
    if request.metadata and all(isinstance(value, str) for value in request.metadata.values()):
        document["metadata"] = request.metadata
    elif request.metadata:
        dropped.add("metadata")
    if request.service_tier in _TIERS:
        document["service_tier"] = request.service_tier
    elif request.service_tier:
        dropped.add("service_tier")
    for name, value in request.extra.items():
        if name in _OWN_EXTRAS:
            document[name] = value
        elif name not in _HOW_KEPT:
            dropped.add(name)
