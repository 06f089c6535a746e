"""A request of the one form, written as a message for Anthropic.

Promises: only what Anthropic documents and the named model takes; all else is named as dropped, or
the request is refused where it makes no sense without.
"""

from typing import Any, Final

from tollgate_dialects.anthropic.translate import messages, tools
from tollgate_dialects.anthropic.translate.content_writer import ContentWriter
from tollgate_dialects.claude import models, reasoning, sampling, schemas
from tollgate_dialects.claude.models import Model
from tollgate_dialects.common import digests
from tollgate_dialects.conversation.parts import Origin
from tollgate_dialects.conversation.request import OutputFormat, Request
from tollgate_dialects.conversation.tools import FlatTools
from tollgate_dialects.conversation.translation import Target, Untranslatable, Written

# What others that translate to this protocol send where a client sets no limit.
_USUAL_MAX_TOKENS: Final = 4_096
_MARKS_MAX: Final = 4
_USER_CHARACTERS_MAX: Final = 256
# Members that Anthropic has and the one form has not.
_OWN_EXTRAS: Final = frozenset(("context_management", "inference_geo", "speed"))
_TIERS: Final = {"auto": "auto", "priority": "auto", "default": "standard_only"}
# Conversations that another vendor keeps: without them the request is another one.
_STORED: Final = ("previous_response_id", "conversation", "prompt")


def write(request: Request, target: Target) -> Written:
    """The document for a target, and what it could not carry. Raises Untranslatable."""
    _refuse(request)
    model = models.named(target.model)
    max_tokens = target.max_output_tokens
    max_tokens = _USUAL_MAX_TOKENS if max_tokens is None else max_tokens
    flat = FlatTools(request.tools)
    content = ContentWriter(flat)
    dropped = content.dropped
    dropped |= request.unheld | _left_out(request)
    said = messages.write(request.turns, model, content)
    document: dict[str, Any] = {
        "model": target.model,
        "max_tokens": max_tokens,
        "messages": said.messages,
    }
    if request.stream:
        document["stream"] = True
    declared = tools.written(request, flat, model, dropped)
    if declared:
        document["tools"] = declared
    choice = tools.choice(request, flat, has_tools=bool(declared))
    if choice:
        document["tool_choice"] = choice
    is_forced = choice.get("type") in ("any", "tool")
    limits = reasoning.Limits(max_tokens, is_forced, said.is_unsigned)
    thought = reasoning.write(request.reasoning, model, limits)
    dropped |= thought.dropped
    config: dict[str, Any] = {"effort": thought.effort} if thought.effort else {}
    if request.output_format is not None:
        _hold_to(request.output_format, model, config, said.system, dropped)
    if thought.thinking is not None:
        document["thinking"] = thought.thinking
    if config:
        document["output_config"] = config
    if said.system:
        document["system"] = _plain(said.system)
    sampled = sampling.kept(request, model, dropped, is_thinking=thought.is_on)
    document |= {name: value for name, value in sampled._asdict().items() if value is not None}
    _address(request, document, dropped)
    _limit_marks(document, dropped)
    return Written(document, frozenset(dropped))


def _refuse(request: Request) -> None:
    if request.choices > 1:
        raise Untranslatable("n", "The model's vendor gives one answer to a request.")
    for name in _STORED:
        if request.extra.get(name) is not None:
            raise Untranslatable(name, "The model's vendor does not have what was stored.")


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
        "service_tier": request.service_tier not in ("", *_TIERS),
    }
    left = {name for name, value in asked.items() if value}
    return left | (request.extra.keys() - _own(request).keys())


def _own(request: Request) -> dict[str, Any]:
    """Of the members that have no place in the one form, those that Anthropic's reader let pass.

    Of another's, nobody has looked at what they cost here.
    """
    if request.origin is not Origin.ANTHROPIC:
        return {}
    return {name: value for name, value in request.extra.items() if name in _OWN_EXTRAS}


def _hold_to(
    wanted: OutputFormat,
    model: Model,
    config: dict[str, Any],
    system: list[dict[str, Any]],
    dropped: set[str],
) -> None:
    """A schema where the model can be held to one; else words, which are named as the less."""
    if wanted.kind == "text":
        return
    if wanted.kind == "json_schema" and wanted.schema is not None and model.takes_schema:
        held = schemas.held(wanted.schema)
        if held.is_fit:
            config["format"] = {"type": "json_schema", "schema": held.schema}
            if held.is_looser:
                dropped.add("output_format.schema")
            if wanted.description:
                dropped.add("output_format.description")
            return
    system.append({"type": "text", "text": wanted.in_words()})
    dropped.add("output_format")


def _plain(system: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """One text without a mark needs no block; several are kept apart, as they were."""
    if len(system) == 1 and system[0].keys() == {"type", "text"}:
        text: str = system[0]["text"]
        return text
    return system


def _address(request: Request, document: dict[str, Any], dropped: set[str]) -> None:
    """What is said of a request rather than in it."""
    stops = [stop for stop in request.stop if stop.strip()]
    if len(stops) < len(request.stop):
        # Anthropic refuses one of nothing but white space.
        dropped.add("stop")
    if stops:
        document["stop_sequences"] = stops
    if request.user:
        user_id = digests.fitted(request.user, characters_max=_USER_CHARACTERS_MAX)
        document["metadata"] = {"user_id": user_id}
    if request.service_tier in _TIERS:
        document["service_tier"] = _TIERS[request.service_tier]
    document.update(_own(request))


def _limit_marks(document: dict[str, Any], dropped: set[str]) -> None:
    """Anthropic takes four marks: the last ones, which cover all that stands before them."""
    system = document.get("system")
    places = [*document.get("tools", ()), *(system if isinstance(system, list) else ())]
    for message in document["messages"]:
        for block in message["content"]:
            places += [*block.get("content", ()), block] if "tool_use_id" in block else [block]
    marks = [place for place in places if "cache_control" in place]
    for place in marks[:-_MARKS_MAX]:
        del place["cache_control"]
        dropped.add("cache")
