"""What is refused because token classes do not price it.

Owns the list (trust.md row 10): other billing units (audio, searches, containers), other prices for
the same tokens (service tiers, fast mode, regional uplift), other models than the one that was
priced (fallback lists), and loops on the upstream's side that read the input more than once.
Everything that is not on the list passes untouched.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tollgate_dialects.protocol import Protocol
from tollgate_dialects.refusal import BadRequest, Code, unsupported, wrong_type

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
    "service_tier": _one_of("auto", "default"),
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
    "service_tier": _one_of("auto", "standard_only"),
    "speed": _one_of("standard"),
    "thread": _never,
}
_REFUSED: Mapping[Protocol, Mapping[str, Allowed]] = {
    Protocol.OPENAI_CHAT: _OPENAI,
    Protocol.ANTHROPIC_MESSAGES: _ANTHROPIC,
}

_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
# Keys that decide price, model, stream or the refusals above. A key that reads like one of them to
# a looser parser (other case, camelCase, a letter that folds to ASCII) is refused.
DECISIVE: Mapping[Protocol, frozenset[str]] = {
    protocol: frozenset(
        (*refused, *_LIMITS, "model", "stream", "stream_options", "n", "messages", "system",
         "tools", "functions", "cache_control", "thinking", "reasoning_effort")
    )
    for protocol, refused in _REFUSED.items()
}  # fmt: skip

# Frequent keys that are clearly none of the above; only spares the folding.
_HARMLESS = frozenset(
    ("temperature", "top_p", "top_k", "user", "seed", "stop", "stop_sequences", "metadata",
     "tool_choice", "parallel_tool_calls", "response_format", "frequency_penalty",
     "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "store", "output_config",
     "prompt_cache_key", "safety_identifier", "verbosity")
)  # fmt: skip


def _fold(key: str) -> str:
    return key.casefold().replace("_", "").replace("-", "")


_FOLDED: Mapping[Protocol, frozenset[str]] = {
    protocol: frozenset(map(_fold, names)) for protocol, names in DECISIVE.items()
}
_PLAIN: Mapping[Protocol, frozenset[str]] = {
    protocol: names | _HARMLESS for protocol, names in DECISIVE.items()
}


def reads_like(key: str, name: str) -> bool:
    """Whether a looser parser may take one for the other."""
    return _fold(key) == _fold(name)


def ambiguous(key: str) -> BadRequest:
    return BadRequest(
        Code.AMBIGUOUS_KEY,
        "This key differs only in spelling from a parameter of the protocol.",
        key,
    )


def check_names(document: Mapping[str, Any], protocol: Protocol) -> None:
    """Refuse a key that another parser could take for one that decides the price."""
    for key in document.keys() - _PLAIN[protocol]:
        if _fold(key) in _FOLDED[protocol]:
            raise ambiguous(key)


def check_values(document: Mapping[str, Any], protocol: Protocol) -> None:
    """Refuse what this module's list refuses."""
    refused = _REFUSED[protocol]
    for name in document.keys() & refused.keys():
        value = document[name]
        if value is not None and not refused[name](value):
            raise unsupported(name)
    tools = document.get("tools")
    if tools:
        if not isinstance(tools, list):
            raise wrong_type("tools", "an array")
        check = _openai_tool if protocol is Protocol.OPENAI_CHAT else _anthropic_tool
        for tool in tools:
            if isinstance(tool, dict):
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
