"""What a message may ask for, and how it is asked of an upstream.

Owns the list of parameters that the price classes do not cover. A stream tells its usage
unasked, and there is one answer to a request.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.anthropic import content, count, limits, shed, tools
from tollgate_dialects.request import keys
from tollgate_dialects.request.features import Allowed, never, one_of
from tollgate_dialects.request.rules import RequestRules
from tollgate_dialects.request.variants import Variant


def _free_edits(value: Any) -> bool:
    """Clearing old blocks is free; compaction is a second, separately billed call."""
    if not isinstance(value, dict) or not value.keys() <= {"edits"}:
        return False
    edits = value.get("edits", [])
    return isinstance(edits, list) and all(
        isinstance(edit, dict) and str(edit.get("type", "")).startswith("clear_") for edit in edits
    )


_REFUSED: Final[Mapping[str, Allowed]] = {
    "container": never,
    "context_management": _free_edits,
    "extra_body": never,
    "fallbacks": never,
    "inference_geo": one_of("global", *Variant.US.names),
    "mcp_servers": lambda value: value == [],
    "models": never,
    "n": never,
    "service_tier": one_of("auto", "standard_only", "standard"),
    "speed": one_of("standard", *Variant.FAST.names),
    "thread": never,
}


RULES: Final = RequestRules(
    names=keys.names_of(_REFUSED, nested=(tools.MAX_USES,)),
    refused=_REFUSED,
    check_tool=tools.check,
    output_limit=limits.output_limit,
    choices=lambda _document: 1,
    wants_usage=lambda _document: True,
    content=content.content_of,
    cache_write=content.cache_write,
    rewritten=frozenset(("model", "tools", limits.NAME)),
    limit_name=lambda _model: limits.NAME,
    usage_option=None,
    count=count.input_tokens,
    variant_members=(Variant.FAST.member, Variant.US.member),
    server_tools=tools.at_vendor,
    sheds=shed.may_have,
    shed=shed.shed,
)
