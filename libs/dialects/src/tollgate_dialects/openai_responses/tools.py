"""The tools of a request: which are the client's own, and which run at the vendor.

Whatever is not known to run at the client is taken to run at the vendor.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from tollgate_dialects.common.refusal import wrong_type

# A tool without a type is read as a function, as it is in chats.
_CLIENT_SIDE: Final = frozenset((None, "function", "custom", "namespace"))
# Items of the input that declare tools.
DECLARING: Final = frozenset(("additional_tools", "tool_search_output"))


def is_hosted(tool: Mapping[str, Any]) -> bool:
    """Whether a tool runs at the vendor, or in a way that only it knows. Raises BadRequest."""
    kind = tool.get("type")
    if not isinstance(kind, str | None):
        raise wrong_type("type", "a string")
    return kind not in _CLIENT_SIDE


def within(tool: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A tool, and those in its group. Raises BadRequest for what is no object."""
    yield tool
    if tool.get("type") == "namespace":
        for inner in objects(tool.get("tools"), "tools"):
            yield from within(inner)


def declared(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Every tool of a request, groups opened, also of those that its input adds.

    Raises BadRequest.
    """
    found = list(objects(document.get("tools"), "tools"))
    items = document.get("input")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and item.get("type") in DECLARING:
            found += objects(item.get("tools"), "input")
    return [inner for tool in found for inner in within(tool)]


def is_hosted_forced(choice: object, tools: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a choice of tools leaves the model none but those that run at the vendor."""
    if choice == "required":
        kinds = [is_hosted(tool) for tool in tools if tool.get("type") != "namespace"]
        return bool(kinds) and all(kinds)
    if not isinstance(choice, dict):
        return False
    if choice.get("type") != "allowed_tools":
        return is_hosted(choice)
    allowed = choice.get("tools")
    found = allowed if isinstance(allowed, list) else []
    kinds = [is_hosted(tool) for tool in found if isinstance(tool, dict)]
    return choice.get("mode") == "required" and bool(kinds) and all(kinds)


def objects(value: object, param: str) -> Iterator[dict[str, Any]]:
    """The objects of an array, none for null. Raises BadRequest."""
    if value is None:
        return
    if not isinstance(value, list):
        raise wrong_type(param, "an array")
    for each in value:
        if not isinstance(each, dict):
            raise wrong_type(param, "an array of objects")
        yield each
