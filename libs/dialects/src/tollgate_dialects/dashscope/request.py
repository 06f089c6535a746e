"""What a generation may ask for, and how it is asked of an upstream.

Owns the list of parameters that token classes do not price. A stream tells its usage unasked, and
is asked for by a header.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.alibaba import models
from tollgate_dialects.common.refusal import unsupported, wrong_type
from tollgate_dialects.dashscope import content, limits
from tollgate_dialects.request import keys, values
from tollgate_dialects.request.content import object_in
from tollgate_dialects.request.features import Allowed, check_values, never, one_of
from tollgate_dialects.request.rules import RequestRules

MAX_CHOICES: Final = 128


def _text_only(value: Any) -> bool:
    return isinstance(value, list) and all(item == "text" for item in value)


# Of the parameters; searches, code and the making of pictures, slides and sounds are billed by
# themselves.
_REFUSED: Final[Mapping[str, Allowed]] = {
    "audio": never,
    "enable_code_interpreter": one_of(False),
    "enable_search": one_of(False),
    "extra_body": never,
    "mcp_servers": never,
    "modalities": _text_only,
    "models": never,
    "negative_prompt": never,
    "plugins": never,
    "prompt_extend": never,
    "search_options": never,
    "service_tier": one_of("auto", "default", "standard"),
    "size": never,
    "skill": never,
    "speed": one_of("standard"),
    "watermark": never,
}
# Of the input: the name of another model than the one that was priced.
_REFUSED_INPUT: Final[Mapping[str, Allowed]] = {"customized_model_id": never}
# What steers an answer or bounds its price, below the top.
_STEERING: Final = (
    *_REFUSED, *_REFUSED_INPUT, *limits.NAMES, *values.LIMITS, "n", "tools", "messages", "prompt",
    "history", "enable_thinking", "thinking_budget", "vl_high_resolution_images", "min_pixels",
    "stream",
)  # fmt: skip


def _check_tool(tool: Mapping[str, Any]) -> None:
    if tool.get("type", "function") != "function":
        raise unsupported("tools")


def _parameters(value: Any) -> bool:
    """Whether nothing of the parameters is billed by itself. Raises BadRequest, by its name."""
    if not isinstance(value, dict):
        raise wrong_type(limits.PARAMETERS, "an object")
    check_values(value, _REFUSED, _check_tool)
    return True


def _input(value: Any) -> bool:
    if not isinstance(value, dict):
        raise wrong_type("input", "an object")
    check_values(value, _REFUSED_INPUT, _check_tool)
    return True


def _choices(document: Mapping[str, Any]) -> int:
    parameters = object_in(document, limits.PARAMETERS)
    choices = values.integer(parameters, "n", lowest=1, highest=MAX_CHOICES)
    return 1 if choices is None else choices


_CHECKED: Final[Mapping[str, Allowed]] = {
    limits.PARAMETERS: _parameters,
    "input": _input,
    # Of compatible servers: another place for what is priced.
    "messages": never,
    "resources": never,
}

RULES: Final = RequestRules(
    names=keys.names_of(
        _CHECKED,
        roots=("input", limits.PARAMETERS),
        paths=("messages", "tools"),
        nested=_STEERING,
    ),
    refused=_CHECKED,
    check_tool=_check_tool,
    output_limit=limits.output_limit,
    thinking=limits.thinking,
    beyond_limit=models.beyond_limit,
    written_beyond_limit=limits.written_beyond_limit,
    thinks_unlimited=True,
    choices=_choices,
    # Each frame would have the usage of its own choice alone.
    stream_choices_max=1,
    wants_usage=lambda _document: True,
    content=content.content_of,
    cache_write=content.cache_write,
    rewritten=frozenset(("model", limits.PARAMETERS)),
    limit_name=lambda model: f"{limits.PARAMETERS}.{limits.name_for(model)}",
    restated_limit=limits.restated,
    usage_option=None,
    stream_in_body=False,
)
