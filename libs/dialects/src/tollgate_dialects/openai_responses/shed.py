"""What a vendor of Responses is not sent of a request that else goes up as its client wrote it.

Tools that run at the vendor and have no price: clients such as Codex declare them in each request.
Thinking of other makers, and names that this gateway has given to thinking, mean nothing to it.
Promises that nothing else of the request changes.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from tollgate_dialects.common.refusal import unsupported
from tollgate_dialects.conversation import carrier
from tollgate_dialects.conversation.parts import Origin, Seal
from tollgate_dialects.openai_responses import content, tools
from tollgate_dialects.request.rules import Shed

# The tool by which a model looks for other tools, and what it leaves in a conversation.
_SEARCH: Final = "tool_search"
_ALLOWED: Final = "allowed_tools"
# Whether a tool is left out.
_Goes: TypeAlias = Callable[[Mapping[str, Any]], bool]


def may_have(document: Mapping[str, Any], _printed: bytes) -> bool:
    """Whether there is anything of that.

    Raises BadRequest where a tool that is left out would have to be called.
    """
    declared = tools.declared(document)
    left_out = [tool for tool in declared if tools.is_left_out(tool)]
    if tools.is_forced(document.get("tool_choice"), declared, left_out):
        raise unsupported("tools")
    items = document.get("input")
    return bool(left_out) or (
        isinstance(items, list) and any(_restored(item) is not item for item in items)
    )


def shed(
    document: Mapping[str, Any],
    _model: str,
    keeps_tools: bool = False,  # noqa: FBT001, FBT002 - as every dialect's
    _base_path: str = "",
) -> Shed:
    """The request without it."""
    goes = tools.is_left_out if keeps_tools else tools.is_hosted
    dropped = {f"tools.{tool['type']}" for tool in tools.declared(document) if goes(tool)}
    whole = dict(document)
    if "tools" in whole:
        whole["tools"] = _left(whole["tools"], goes)
    if isinstance(items := document.get("input"), list):
        whole["input"] = _items(items, dropped, goes)
    _choose(whole, goes)
    return Shed(whole, frozenset(dropped))


def _left(declared: Any, goes: _Goes) -> Any:
    """The tools of a list that do not go; groups of others alone go with them."""
    kept = []
    for tool in declared or ():
        if goes(tool):
            continue
        if tool.get("type") == "namespace" and tool.get("tools"):
            inner = _left(tool["tools"], goes)
            if inner:
                kept.append({**tool, "tools": inner})
        else:
            kept.append(tool)
    return declared if declared is None else kept


def _items(items: list[Any], dropped: set[str], goes: _Goes) -> list[Any]:
    searches = f"tools.{_SEARCH}" in dropped
    kept: list[Any] = []
    for given in items:
        item = _restored(given)
        if item is None:
            dropped.add("thinking")
        elif item.get("type") == f"{_SEARCH}_call" and searches:
            dropped.add(f"{_SEARCH}_call")
            while kept and kept[-1].get("type") == "reasoning":
                # Its maker takes it back only with what followed it.
                kept.pop()
                dropped.add("thinking")
        elif item.get("type") in tools.DECLARING:
            found = _left(item.get("tools"), goes)
            if searches and item["type"] == f"{_SEARCH}_output":
                item = {"type": "additional_tools", "role": "developer"}
            if found:
                kept.append({**item, "tools": found})
        else:
            kept.append(item)
    return kept


def _restored(item: Any) -> Any:
    """An item as its maker made it; None for thinking that the vendor cannot read."""
    if not isinstance(item, dict) or item.get("type") != "reasoning":
        return item
    data, item_id = item.get("encrypted_content"), item.get("id")
    is_own = content.is_own(item_id)
    name = item_id if isinstance(item_id, str) and not is_own else ""
    if not isinstance(data, str) or not data:
        return None if is_own else item
    opaque = carrier.restored(data, Origin.OPENAI, Seal.ENCRYPTED, name)
    if opaque.origin is not Origin.OPENAI:
        return None
    if opaque.data == data and not is_own:
        return item
    named = {**item, "encrypted_content": opaque.data, "id": opaque.item_id}
    return named if opaque.item_id else {k: v for k, v in named.items() if k != "id"}


def _choose(document: dict[str, Any], goes: _Goes) -> None:
    """A choice of what is left: none of nothing, and no word of it where there are no tools."""
    choice = document.get("tool_choice")
    if not list(tools.declared(document)):
        document.pop("tools", None)
        if choice is not None:
            del document["tool_choice"]
    elif isinstance(choice, dict) and choice.get("type") == _ALLOWED:
        allowed = [tool for tool in choice.get("tools") or () if not goes(tool)]
        document["tool_choice"] = {**choice, "tools": allowed} if allowed else "none"
