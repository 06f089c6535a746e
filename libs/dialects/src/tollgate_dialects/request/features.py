"""What is refused because token classes do not price it.

Owns the rule; each dialect has its list: other billing units (audio, searches, containers), other
prices for the same tokens (service tiers, fast mode, regional uplift), other models than the one
that was priced (fallback lists), and loops on the upstream's side that read the input more than
once. Everything that is not on the list passes untouched.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tollgate_dialects.common import refusal
from tollgate_dialects.common.refusal import BadRequest, wrong_type

# Of Responses: what the vendor keeps and looks up.
_KEPT = frozenset(("background", "conversation", "prompt"))
Allowed = Callable[[Any], bool]


def never(_value: Any) -> bool:
    """Return False: no value is harmless."""
    return False


def one_of(*values: object) -> Allowed:
    """Make a check that some texts and truth values pass."""
    return lambda value: isinstance(value, str | bool) and value in values


def check_values(
    document: Mapping[str, Any],
    refused: Mapping[str, Allowed],
    check_tool: Callable[[Mapping[str, Any]], None],
) -> None:
    """Refuse what the list refuses, and a tool that `check_tool` does. Raises BadRequest."""
    for name in document.keys() & refused.keys():
        value = document[name]
        if value is not None and not refused[name](value):
            raise _refusal(name)
    tools = document.get("tools")
    if tools is not None:
        if not isinstance(tools, list):
            raise wrong_type("tools", "an array")
        for tool in tools:
            if not isinstance(tool, dict):
                raise wrong_type("tools", "an array of objects")
            check_tool(tool)


def _refusal(name: str) -> BadRequest:
    if name == "thread":
        return refusal.thread_unsupported()
    return refusal.kept_at_vendor(name) if name in _KEPT else refusal.unsupported(name)
