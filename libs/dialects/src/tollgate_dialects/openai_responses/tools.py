"""The tools of a request: which are the client's own, and which run at the vendor.

Whatever is not known to run at the client is taken to run at the vendor. Of that a search of the
web has a price of its own, and a search for tools none: it makes the input be read once more.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from tollgate_dialects.common.refusal import wrong_type
from tollgate_dialects.request import server_tools, values
from tollgate_dialects.request.server_tools import NO_SERVER_TOOLS, ServerTools

# A tool without a type is read as a function, as it is in chats.
_CLIENT_SIDE: Final = frozenset((None, "function", "custom", "namespace"))
# Items of the input that declare tools.
DECLARING: Final = frozenset(("additional_tools", "tool_search_output"))
# The limit of all calls that the vendor makes, of whatever tools.
MAX_CALLS: Final = "max_tool_calls"
_SEARCHES: Final = frozenset(
    ("web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11")
)
# What is known of a search's settings, so that nothing dearer is asked for.
_SEARCH_MEMBERS: Final = frozenset(
    ("type", "search_context_size", "user_location", "filters", "external_web_access")
)
_TOOL_SEARCH: Final = "tool_search"
# "Web search is limited to a context window size of 128000", whatever the model's own.
_SEARCH_CONTEXT_TOKENS: Final = 128_000


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


def is_search(tool: Mapping[str, Any]) -> bool:
    """Whether a tool searches the web, in a way that has a price."""
    return tool.get("type") in _SEARCHES and tool.keys() <= _SEARCH_MEMBERS


def is_left_out(tool: Mapping[str, Any]) -> bool:
    """Whether a tool runs at the vendor and cannot be sent, at any price. Raises BadRequest."""
    return is_hosted(tool) and tool.get("type") != _TOOL_SEARCH and not is_search(tool)


def at_vendor(document: Mapping[str, Any]) -> ServerTools:
    """What the vendor may do on its own. Raises BadRequest for a limit that is none."""
    found = declared(document)
    searches = any(map(is_search, found))
    # A client that searches itself is asked as for any other call.
    finds = any(t.get("type") == _TOOL_SEARCH and t.get("execution") != "client" for t in found)
    if not searches and not finds:
        return NO_SERVER_TOOLS
    limit = values.integer(document, MAX_CALLS, lowest=1, highest=server_tools.MAX_CALLS)
    hosted = [tool for tool in found if is_hosted(tool)]
    are_required = is_forced(document.get("tool_choice"), found, hosted)
    if not searches:
        return ServerTools(readings=2, are_required=are_required)
    calls = server_tools.DEFAULT_CALLS if limit is None else limit
    return ServerTools(
        searches=calls,
        readings=1 + calls,
        reading_tokens=_SEARCH_CONTEXT_TOKENS,
        limit=(MAX_CALLS, b"%d" % calls) if limit is None else None,
        are_required=are_required,
        limited_by=MAX_CALLS,
    )


def is_forced(
    choice: object, tools: Iterable[Mapping[str, Any]], some: Iterable[Mapping[str, Any]]
) -> bool:
    """Whether a choice of tools leaves the model none but some of them, which run at the vendor."""
    kinds = {tool.get("type") for tool in some}
    if choice == "required":
        found = [tool for tool in tools if tool.get("type") != "namespace"]
    elif not isinstance(choice, dict):
        return False
    elif choice.get("type") != "allowed_tools":
        found = [choice]
    elif choice.get("mode") == "required" and isinstance(choice.get("tools"), list):
        found = [tool for tool in choice["tools"] if isinstance(tool, dict)]
    else:
        return False
    return bool(found) and all(is_left_out(t) or t.get("type") in kinds for t in found)


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
