"""What a response may be asked for, and how it is asked of an upstream.

Owns the list of parameters that the price classes do not cover, and of the state that an
upstream would keep or look up: the gateway's clients share its accounts, so of what is stored there
nobody may name but a response whose owner the gateway knows. A stream tells its usage unasked, and
there is one answer to a request.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common.refusal import wrong_type
from tollgate_dialects.openai_responses import content, count, ids, limits, shed, tools
from tollgate_dialects.request import keys
from tollgate_dialects.request.features import Allowed, never, one_of
from tollgate_dialects.request.rules import RequestRules
from tollgate_dialects.request.variants import Variant


def _in_one_go(reasoning: Any) -> bool:
    """Another mode than the standard one thinks several times over."""
    return not isinstance(reasoning, dict) or reasoning.get("mode") in (None, "standard")


_REFUSED: Final[Mapping[str, Allowed]] = {
    "audio": never,
    "background": one_of(False),
    "best_of": one_of(),
    # Compaction is one more call of a model.
    "context_management": lambda value: value == [],
    "conversation": never,
    "extra_body": never,
    "fallbacks": never,
    "modalities": lambda value: value == ["text"],
    "models": never,
    "n": never,
    "plugins": never,
    "preset": never,
    "prompt": never,
    "provider": never,
    "reasoning": _in_one_go,
    "route": never,
    "search_parameters": never,
    # Ordinary tiers, and those with a factor.
    "service_tier": one_of(
        "auto", "default", "standard", *Variant.FLEX.names, *Variant.PRIORITY.names
    ),
    "speed": one_of("standard"),
    "web_search_options": never,
}


def _check_tool(tool: Mapping[str, Any]) -> None:
    for each in tools.within(tool):
        kind = each.get("type")
        if kind is not None and not isinstance(kind, str):
            raise wrong_type("tools", "an array of objects with a type")


RULES: Final = RequestRules(
    names=keys.names_of(
        _REFUSED,
        top=("input", "instructions", "store", "truncation", ids.PREVIOUS, tools.MAX_CALLS),
        roots=("input", "reasoning", "text", "tool_choice"),
        paths=("output", "tools"),
        nested=("image_url", "file_data", "file_url", "file_id", "encrypted_content", "mode"),
    ),
    refused=_REFUSED,
    check_tool=_check_tool,
    output_limit=limits.output_limit,
    choices=lambda _document: 1,
    wants_usage=lambda _document: True,
    content=content.content_of,
    cache_write=content.cache_write,
    rewritten=frozenset(("model", limits.NAME, tools.MAX_CALLS)),
    limit_name=lambda _model: limits.NAME,
    usage_option=None,
    count=count.input_tokens,
    variant_members=(Variant.PRIORITY.member,),
    server_tools=tools.at_vendor,
    sheds=shed.may_have,
    shed=shed.shed,
    previous=ids.previous,
    is_to_be_kept=ids.is_to_be_kept,
    may_leave_out=lambda document: document.get("truncation") not in (None, "disabled"),
)
