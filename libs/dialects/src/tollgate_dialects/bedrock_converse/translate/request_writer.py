"""A request of the one form, written for Converse.

Promises: only what Bedrock documents and the named model takes; all else is named as dropped, or
the request is refused where it makes no sense without. Nothing is sent that has another price than
the model's tokens: no service tier, no guardrail, no tool of the vendor's.
"""

from typing import Any, Final

from tollgate_dialects.bedrock_converse.translate import messages, models, reasoning
from tollgate_dialects.bedrock_converse.translate.content_writer import ContentWriter
from tollgate_dialects.bedrock_converse.translate.messages import Messages
from tollgate_dialects.bedrock_converse.translate.models import Model
from tollgate_dialects.claude import sampling, schemas
from tollgate_dialects.claude.reasoning import Limits
from tollgate_dialects.common import documents
from tollgate_dialects.conversation.parts import FunctionTool, HostedTool
from tollgate_dialects.conversation.request import OutputFormat, Request, ToolChoice
from tollgate_dialects.conversation.tools import FlatTools, flat_name
from tollgate_dialects.conversation.translation import Target, Untranslatable, Written

# What a Claude that is told no limit is at least allowed.
_LEAST_MAX_TOKENS: Final = 32_000
_MARKS_MAX: Final = 4
# Conversations that another vendor keeps: without them the request is another one.
_STORED: Final = ("previous_response_id", "conversation", "prompt")
_USUAL_TIERS: Final = ("", "auto", "default")


def write(request: Request, target: Target) -> Written:
    """The document for a target, and what it could not carry. Raises Untranslatable."""
    _refuse(request, target)
    model = models.named(target.model, request.model)
    dropped = {*request.unheld, *_left_out(request), *request.extra}
    tools = FlatTools(request.tools)
    content = ContentWriter(model, tools, dropped)
    said = messages.write(request.turns, model, content)
    document: dict[str, Any] = {"messages": said.messages}
    config = _tool_config(request, tools, model, said, content)
    is_forced = bool(config.get("toolChoice", {}).keys() & {"any", "tool"})
    limit = target.max_output_tokens or _LEAST_MAX_TOKENS
    thought = reasoning.write(request.reasoning, model, Limits(limit, is_forced, said.is_unsigned))
    dropped |= thought.dropped
    members = dict(thought.members)
    if request.output_format is not None:
        _hold_to(request.output_format, model, document, said.system, dropped)
    if said.system:
        document["system"] = said.system
    inference = _sample(request, model, members, dropped, is_thinking=thought.is_on)
    if target.max_output_tokens is not None:
        inference["maxTokens"] = target.max_output_tokens
    if inference:
        document["inferenceConfig"] = inference
    if config:
        document["toolConfig"] = config
    if members:
        document["additionalModelRequestFields"] = members
    _limit_marks(document, dropped)
    return Written(document, frozenset(dropped))


def _refuse(request: Request, target: Target) -> None:
    if request.choices > 1:
        raise Untranslatable("n", "The model's vendor gives one answer to a request.")
    for name in _STORED:
        if request.extra.get(name) is not None:
            raise Untranslatable(name, "The model's vendor does not have what was stored.")
    if target.max_output_tokens == 0:
        raise Untranslatable("max_tokens", "The model's vendor answers with one token at least.")


def _left_out(request: Request) -> set[str]:
    """What has no place in this protocol, where it was asked for."""
    asked = {
        "seed": request.seed is not None,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "logprobs": request.logprobs,
        "top_logprobs": request.top_logprobs,
        "logit_bias": request.logit_bias,
        "verbosity": request.verbosity,
        "cache_key": request.cache_key,
        "metadata": request.metadata,
        "user": request.user,
        "parallel_tool_calls": request.parallel_tool_calls is False and request.tools,
        "service_tier": request.service_tier not in _USUAL_TIERS,
    }
    return {name for name, value in asked.items() if value}


def _tool_config(
    request: Request, tools: FlatTools, model: Model, said: Messages, content: ContentWriter
) -> dict[str, Any]:
    """The tools that may be called; empty for none. A choice among several leaves the others out.

    A conversation with calls in it is refused without any: then one that was called is declared.
    """
    choice, dropped = request.tool_choice, content.dropped
    for hosted in request.tools:
        if isinstance(hosted, HostedTool):
            if choice and choice.mode == "required" and hosted.kind in choice.names:
                raise Untranslatable("tool_choice", "The model's vendor does not have this tool.")
            dropped.add(f"tools.{hosted.kind}")
    if choice and choice.mode == "none":
        if not said.called:
            return {}
        # There is no word for it, and nothing else keeps the model from calling.
        dropped.add("tool_choice")
        choice = None
    kept, chosen = _chosen(choice, tools)
    specs: list[dict[str, Any]] = []
    strictness = schemas.Strictness()
    for tool in kept:
        specs.append({"toolSpec": _spec(tool, model, strictness, dropped)})
        if tool.cache and model.takes_tool_marks:
            specs.append(content.mark(tool.cache))
        elif tool.cache:
            dropped.add("cache")
    if not specs and said.called:
        schema = {"json": schemas.of_tool(None).schema}
        specs = [{"toolSpec": {"name": said.called, "inputSchema": schema}}]
    config: dict[str, Any] = {"tools": specs} if specs else {}
    if chosen:
        config["toolChoice"] = chosen
    return config


def _chosen(
    choice: ToolChoice | None, tools: FlatTools
) -> tuple[tuple[FunctionTool, ...], dict[str, Any]]:
    """The tools to declare, and the choice among them. Raises Untranslatable."""
    if choice is None:
        return tools.functions, {}
    names = tools.chosen(choice.names)
    if choice.mode == "required" and not (names or (tools.functions and not choice.names)):
        raise Untranslatable("tool_choice", "The chosen tool is not among the vendor's.")
    if choice.mode == "required" and len(names) == 1:
        # The others stay for the conversation to read.
        return tools.functions, {"tool": {"name": names[0]}}
    kept = tuple(tool for tool in tools.functions if not choice.names or tool.name in names)
    if not kept:
        return (), {}
    return kept, {"any" if choice.mode == "required" else "auto": {}}


def _spec(
    tool: FunctionTool, model: Model, strictness: schemas.Strictness, dropped: set[str]
) -> dict[str, Any]:
    given = schemas.of_tool(tool.schema)
    if given.is_looser:
        dropped.add("tools.schema")
    spec: dict[str, Any] = {"name": tool.name}
    if tool.description:
        spec["description"] = tool.description
    spec["inputSchema"] = {"json": given.schema}
    if tool.strict and model.takes_schema and strictness.take(held := schemas.held(given.schema)):
        spec |= {"inputSchema": {"json": held.schema}, "strict": True}
        if held.is_looser:
            dropped.add("tools.schema")
    elif tool.strict:
        dropped.add("tools.strict")
    return spec


def _hold_to(
    wanted: OutputFormat,
    model: Model,
    document: dict[str, Any],
    system: list[dict[str, Any]],
    dropped: set[str],
) -> None:
    """A schema where the model can be held to one; else words, which are named as the less."""
    if wanted.kind == "text":
        return
    held = None
    if wanted.kind == "json_schema" and wanted.schema is not None and model.takes_schema:
        held = schemas.held(wanted.schema)
    if held is None or not held.is_fit:
        system.append({"text": wanted.in_words()})
        dropped.add("output_format")
        return
    if held.is_looser:
        dropped.add("output_format.schema")
    schema = {"schema": documents.written(held.schema).decode()}
    if wanted.name:
        schema["name"] = flat_name("", wanted.name)
    if wanted.description:
        schema["description"] = wanted.description
    structure = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    document["outputConfig"] = {"textFormat": structure}


def _sample(
    request: Request,
    model: Model,
    members: dict[str, Any],
    dropped: set[str],
    *,
    is_thinking: bool,
) -> dict[str, Any]:
    """Temperature and its like, as far as the model takes them; `members` are its own."""
    temperature, top_p, top_k = request.temperature, request.top_p, request.top_k
    if model.claude is not None:
        temperature, top_p, top_k = sampling.kept(
            request, model.claude, dropped, is_thinking=is_thinking
        )
    elif temperature is not None and not 0 <= temperature <= 1:
        dropped.add("temperature")
        temperature = min(max(temperature, 0.0), 1.0)
    if top_k is not None and model.claude is not None:
        members["top_k"] = top_k
    elif top_k is not None and model.is_nova:
        members["inferenceConfig"] = {"topK": top_k}
    elif top_k is not None:
        dropped.add("top_k")
    found: dict[str, Any] = {}
    if temperature is not None:
        found["temperature"] = temperature
    if top_p is not None:
        found["topP"] = top_p
    stops = [stop for stop in request.stop if stop.strip()]
    if len(stops) < len(request.stop):
        dropped.add("stop")
    if stops:
        found["stopSequences"] = stops
    return found


def _limit_marks(document: dict[str, Any], dropped: set[str]) -> None:
    """Bedrock takes four marks: the last ones, which cover all that stands before them."""
    places = [document.get("toolConfig", {}).get("tools", []), document.get("system", [])]
    places += [message["content"] for message in document["messages"]]
    spare = sum("cachePoint" in block for place in places for block in place) - _MARKS_MAX
    if spare <= 0:
        return
    dropped.add("cache")
    for place in places:
        kept = []
        for block in place:
            if spare > 0 and "cachePoint" in block:
                spare -= 1
            else:
                kept.append(block)
        place[:] = kept
