"""A request of the one form, written for Google.

Promises: nothing that its models refuse for being another vendor's, and nothing that costs beyond
tokens; what is left out is named, and a request that makes no sense without it is refused.
"""

from typing import Any, Final

from tollgate_dialects.common import documents
from tollgate_dialects.conversation.parts import FunctionTool, HostedTool, Origin
from tollgate_dialects.conversation.request import OutputFormat, Request, ToolChoice
from tollgate_dialects.conversation.tools import FlatTools
from tollgate_dialects.conversation.translation import Target, Untranslatable, Written
from tollgate_dialects.gemini.translate import models, reasoning, schemas
from tollgate_dialects.gemini.translate.contents import Contents, ContentsWriter
from tollgate_dialects.gemini.translate.models import Model

_STOPS_MAX: Final = 5
_SEED_MAX: Final = 2**31
# Conversations that another vendor keeps: without them the request is another one.
_STORED: Final = ("previous_response_id", "conversation", "prompt")
# Members that Google has and the one form has not.
_OWN_EXTRAS: Final = frozenset(("safetySettings", "labels"))
_TIERS: Final = ("", "auto", "default", "standard")
_JSON: Final = "application/json"


def write(request: Request, target: Target) -> Written:
    """The document for a target, and what it could not carry. Raises Untranslatable."""
    _refuse(request)
    model = models.named(target.model)
    tools = FlatTools(request.tools)
    dropped: set[str] = set(request.unheld) | _left_out(request)
    said = ContentsWriter(tools, model, dropped).write(request.turns)
    # Models that draw would answer with pictures, which cost more.
    config: dict[str, Any] = {"responseModalities": ["TEXT"]}
    if target.max_output_tokens is not None:
        config["maxOutputTokens"] = target.max_output_tokens
    document: dict[str, Any] = {"contents": said.contents}
    _declare(request, tools, document, dropped)
    _sample(request, config, dropped)
    thought = reasoning.write(request.reasoning, model, target.max_output_tokens)
    dropped |= thought.dropped
    if thought.config:
        config["thinkingConfig"] = thought.config
    if request.output_format is not None:
        _hold_to(request.output_format, model, config, said, dropped, has_tools="tools" in document)
    if said.system:
        document["systemInstruction"] = {"parts": said.system}
    document["generationConfig"] = config
    if request.origin is Origin.GOOGLE:
        document |= {n: value for n, value in request.extra.items() if n in _OWN_EXTRAS}
    return Written(document, frozenset(dropped))


def _refuse(request: Request) -> None:
    if request.choices > 1:
        raise Untranslatable("n", "Several answers are several calls here.")
    for name in _STORED:
        if request.extra.get(name) is not None:
            raise Untranslatable(name, "The model's vendor does not have what was stored.")


def _left_out(request: Request) -> set[str]:
    """What has no place in this protocol, where it was asked for."""
    asked = {
        "logprobs": request.logprobs,
        "top_logprobs": request.top_logprobs,
        "logit_bias": request.logit_bias,
        "verbosity": request.verbosity,
        "cache_key": request.cache_key,
        "metadata": request.metadata,
        "user": request.user,
        "service_tier": request.service_tier not in _TIERS,
    }
    left = {name for name, value in asked.items() if value}
    own = _OWN_EXTRAS if request.origin is Origin.GOOGLE else frozenset()
    return left | (request.extra.keys() - own)


def _declare(
    request: Request, tools: FlatTools, document: dict[str, Any], dropped: set[str]
) -> None:
    choice = request.tool_choice
    is_forced = choice is not None and choice.mode == "required"
    for tool in request.tools:
        if isinstance(tool, HostedTool):
            if choice is not None and is_forced and tool.kind in choice.names:
                raise Untranslatable("tool_choice", "The model's vendor does not have this tool.")
            dropped.add(f"tools.{tool.kind}")
    if not tools.functions:
        if is_forced:
            raise Untranslatable("tool_choice", "There is no tool that the vendor has.")
        return
    functions = [_function(tool, dropped) for tool in tools.functions]
    document["tools"] = [{"functionDeclarations": functions}]
    if choice is not None:
        document["toolConfig"] = {"functionCallingConfig": _choice(choice, tools)}
    if request.parallel_tool_calls is False:
        dropped.add("parallel_tool_calls")


def _function(tool: FunctionTool, dropped: set[str]) -> dict[str, Any]:
    if tool.cache:
        dropped.add("cache")
    if tool.strict:
        dropped.add("tools.strict")
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    if tool.schema:
        schema, is_looser = schemas.held(tool.schema)
        if is_looser:
            dropped.add("tools.schema")
        written["parametersJsonSchema"] = schema
    return written


def _choice(choice: ToolChoice, tools: FlatTools) -> dict[str, Any]:
    names = list(tools.chosen(choice.names))
    match choice.mode:
        case "none":
            return {"mode": "NONE"}
        case "required":
            return {"mode": "ANY", **({"allowedFunctionNames": names} if names else {})}
    # Only this mode both leaves the choice to the model and takes names.
    return {"mode": "VALIDATED", "allowedFunctionNames": names} if names else {"mode": "AUTO"}


def _sample(request: Request, config: dict[str, Any], dropped: set[str]) -> None:
    """What steers the choice of words, and where it ends."""
    seed = request.seed
    if seed is not None and not -_SEED_MAX <= seed < _SEED_MAX:
        dropped.add("seed")
        seed = None
    asked = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k or None,
        "seed": seed,
        "presencePenalty": request.presence_penalty,
        "frequencyPenalty": request.frequency_penalty,
    }
    config.update({name: value for name, value in asked.items() if value is not None})
    stops = [stop for stop in request.stop if stop]
    if len(stops[:_STOPS_MAX]) < len(request.stop):
        dropped.add("stop")
    if stops:
        config["stopSequences"] = stops[:_STOPS_MAX]


def _hold_to(
    wanted: OutputFormat,
    model: Model,
    config: dict[str, Any],
    said: Contents,
    dropped: set[str],
    *,
    has_tools: bool,
) -> None:
    """A schema where the model can be held to one; else words, which are named as the less."""
    if wanted.kind == "text":
        return
    if has_tools and not model.takes_schema_with_tools:
        words = "Answer with one JSON object, and nothing else."
        if wanted.schema is not None:
            printed = documents.written(wanted.schema).decode()
            words = f"Answer with JSON that is valid under this schema, and nothing else: {printed}"
        said.system.append({"text": words})
        dropped.add("output_format")
        return
    config["responseMimeType"] = _JSON
    if wanted.schema is not None:
        schema, is_looser = schemas.held(wanted.schema)
        if is_looser:
            dropped.add("output_format.schema")
        config["responseJsonSchema"] = schema
    if wanted.description:
        dropped.add("output_format.description")
