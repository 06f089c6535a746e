"""What is refused because token classes do not price it.

Owns the list: other billing units (audio, searches, containers), other prices for
the same tokens (service tiers, fast mode, regional uplift), other models than the one that was
priced (fallback lists), and loops on the upstream's side that read the input more than once.
Everything that is not on the list passes untouched.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import thread_unsupported, unsupported, wrong_type

Allowed = Callable[[Any], bool]


def _never(_value: Any) -> bool:
    return False


def _one_of(*values: object) -> Allowed:
    return lambda value: isinstance(value, str | bool) and value in values


def _text_only(value: Any) -> bool:
    return isinstance(value, list) and all(item == "text" for item in value)


def _free_edits(value: Any) -> bool:
    """Clearing old blocks is free; compaction is a second, separately billed call."""
    if not isinstance(value, dict) or not value.keys() <= {"edits"}:
        return False
    edits = value.get("edits", [])
    return isinstance(edits, list) and all(
        isinstance(edit, dict) and str(edit.get("type", "")).startswith("clear_") for edit in edits
    )


# Parameter -> whether a value other than null is harmless.
_OPENAI: Mapping[str, Allowed] = {
    "audio": _never,
    "best_of": _one_of(),
    "compound_custom": _never,
    "enable_code_interpreter": _one_of(False),
    "enable_search": _one_of(False),
    "extra_body": _never,
    "fallbacks": _never,
    "modalities": _text_only,
    "models": _never,
    "plugins": _never,
    "prediction": _never,
    "preset": _never,
    "provider": _never,
    "route": _never,
    "search_options": _never,
    "search_parameters": _never,
    "search_settings": _never,
    # Ordinary tiers: "on_demand" is Groq's, "standard" Gemini's. A cheaper one ("flex") is refused
    # as well: the bound would hold, but the charge would be too high.
    "service_tier": _one_of("auto", "default", "on_demand", "standard"),
    "speed": _one_of("standard"),
    "web_search_options": _never,
}
_ANTHROPIC: Mapping[str, Allowed] = {
    "container": _never,
    "context_management": _free_edits,
    "extra_body": _never,
    "fallbacks": _never,
    "inference_geo": _one_of("global"),
    "mcp_servers": lambda value: value == [],
    "models": _never,
    "n": _never,
    "service_tier": _one_of("auto", "standard_only", "standard"),
    "speed": _one_of("standard"),
    "thread": _never,
}
# Every name in it bears on price.
REFUSED: Mapping[Protocol, Mapping[str, Allowed]] = {
    Protocol.OPENAI_CHAT: _OPENAI,
    Protocol.ANTHROPIC_MESSAGES: _ANTHROPIC,
}


def check_values(document: Mapping[str, Any], protocol: Protocol) -> None:
    """Refuse what this module's list refuses."""
    refused = REFUSED[protocol]
    for name in document.keys() & refused.keys():
        value = document[name]
        if value is not None and not refused[name](value):
            raise thread_unsupported() if name == "thread" else unsupported(name)
    tools = document.get("tools")
    if tools is not None:
        if not isinstance(tools, list):
            raise wrong_type("tools", "an array")
        check = _openai_tool if protocol is Protocol.OPENAI_CHAT else _anthropic_tool
        for tool in tools:
            if not isinstance(tool, dict):
                raise wrong_type("tools", "an array of objects")
            check(tool)


def _openai_tool(tool: Mapping[str, Any]) -> None:
    kind = tool.get("type", "function")
    if kind not in ("function", "custom"):
        raise unsupported("tools")


# Tools that the client runs itself; every other typed tool runs at the upstream.
_CLIENT_SIDE_TOOLS = ("bash_", "text_editor_", "computer_", "memory_")


def _anthropic_tool(tool: Mapping[str, Any]) -> None:
    kind = tool.get("type")
    if kind is None or kind == "custom":
        return
    if not isinstance(kind, str) or not kind.startswith(_CLIENT_SIDE_TOOLS):
        raise unsupported("tools")
