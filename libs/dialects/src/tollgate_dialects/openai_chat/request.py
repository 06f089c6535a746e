"""What a chat may ask for, and how it is asked of an upstream.

Owns the list of parameters that token classes do not price, `n`, and `stream_options`: a stream is
asked for its usage whether or not the client wants to see it, for calls are charged by it.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common.refusal import unsupported, wrong_type
from tollgate_dialects.openai_chat import content, limits
from tollgate_dialects.request import keys, values
from tollgate_dialects.request.features import Allowed, never, one_of
from tollgate_dialects.request.rules import RequestRules, Within
from tollgate_dialects.request.variants import Variant

MAX_CHOICES: Final = 128


def _known_modalities(value: Any) -> bool:
    return isinstance(value, list) and all(item in ("text", "audio") for item in value)


def _plain_voice(value: Any) -> bool:
    """One of the vendor's voices: those that somebody made are in an account that many share."""
    return (
        isinstance(value, dict)
        and value.keys() <= {"voice", "format"}
        and all(isinstance(one, str) for one in value.values())
    )


def _speaks(document: Mapping[str, Any]) -> bool:
    return "audio" in (document.get("modalities") or ()) or document.get("audio") is not None


_REFUSED: Final[Mapping[str, Allowed]] = {
    "audio": _plain_voice,
    "best_of": one_of(),
    "compound_custom": never,
    "enable_code_interpreter": one_of(False),
    "enable_search": one_of(False),
    "extra_body": never,
    "fallbacks": never,
    "modalities": _known_modalities,
    "models": never,
    "plugins": never,
    "preset": never,
    "provider": never,
    "route": never,
    "search_options": never,
    "search_parameters": never,
    "search_settings": never,
    # Ordinary tiers ("on_demand" is Groq's, "standard" Gemini's), and those with a factor.
    "service_tier": one_of(
        "auto", "default", "on_demand", "standard", *Variant.FLEX.names, *Variant.PRIORITY.names
    ),
    "speed": one_of("standard"),
    "web_search_options": never,
}


def _check_tool(tool: Mapping[str, Any]) -> None:
    kind = tool.get("type", "function")
    if kind not in ("function", "custom"):
        raise unsupported("tools")


def _choices(document: Mapping[str, Any]) -> int:
    choices = values.integer(document, "n", lowest=1, highest=MAX_CHOICES)
    return 1 if choices is None else choices


def _wants_usage(document: Mapping[str, Any]) -> bool:
    options = document.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise wrong_type("stream_options", "an object")
    return values.boolean(options, "include_usage") if options else False


RULES: Final = RequestRules(
    names=keys.names_of(_REFUSED, top=("prediction",)),
    refused=_REFUSED,
    check_tool=_check_tool,
    output_limit=limits.output_limit,
    choices=_choices,
    wants_usage=_wants_usage,
    content=content.content_of,
    cache_write=content.cache_write,
    rewritten=frozenset(("model", "stream_options", *limits.NAMES)),
    limit_name=limits.name_for,
    restated_limit=limits.restated,
    thinking=limits.thinking,
    beyond_limit=limits.beyond_limit,
    written_beyond_limit=limits.written_beyond_limit,
    speaks=_speaks,
    variant_members=(Variant.PRIORITY.member,),
    usage_option=Within("stream_options", "include_usage", b"true"),
)
