"""The tools of a message that run at the vendor: which there are, and how often they make it read.

A search for tools brings nothing that the request does not hold: the input is read once more, as
recorded. One of the web brings pages; so does a fetch, which has no price of its own. Newer
versions of both filter what they found with code, free of charge, in turns that `max_uses` does not
count: there the vendor's own loop is the limit. So it is of code that the model runs, in a
container with a price of its own; one of an earlier call is never asked for, in an account that
many share.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common.refusal import unsupported
from tollgate_dialects.request import server_tools, values
from tollgate_dialects.request.server_tools import NO_SERVER_TOOLS, InEach, ServerTools

MAX_USES: Final = "max_uses"
# Tools that the client runs itself.
_CLIENT_SIDE: Final = ("bash_", "text_editor_", "computer_", "memory_")
_TOOL_SEARCH: Final = "tool_search_tool_"
_SEARCHES: Final = frozenset(("web_search_20250305", "web_search_20260209"))
_FETCHES: Final = frozenset(("web_fetch_20250910", "web_fetch_20260209"))
_FILTERING: Final = frozenset(("web_search_20260209", "web_fetch_20260209"))
_WEB: Final = _SEARCHES | _FETCHES
_CODE: Final = frozenset(
    ("code_execution_20250522", "code_execution_20250825", "code_execution_20260120")
)
# What is known of its settings, so that nothing dearer is asked for.
_CODE_MEMBERS: Final = frozenset(("type", "name", "cache_control"))
# The vendor's loop ends after so many turns (`pause_turn`).
_TURNS_MAX: Final = 10


def check(tool: Mapping[str, Any]) -> None:
    """Raise BadRequest for a tool whose use is billed in a way that has no price here."""
    kind = tool.get("type")
    if kind is None or kind == "custom":
        return
    if not isinstance(kind, str) or not (
        kind in _WEB
        or (kind in _CODE and tool.keys() <= _CODE_MEMBERS)
        or kind.startswith((*_CLIENT_SIDE, _TOOL_SEARCH))
    ):
        raise unsupported("tools")


def at_vendor(document: Mapping[str, Any]) -> ServerTools:
    """What the vendor may do on its own. Raises BadRequest for a limit that is none."""
    if not (declared := document.get("tools")):
        return NO_SERVER_TOOLS
    searches = calls = rereads = 0
    unlimited = False
    found: set[str] = set()
    for tool in declared:
        kind = tool.get("type")
        if kind in _CODE:
            found.add(kind)
        elif kind in _WEB:
            limit = values.integer(tool, MAX_USES, lowest=1, highest=server_tools.MAX_CALLS)
            uses = server_tools.DEFAULT_CALLS if limit is None else limit
            unlimited |= limit is None
            calls += uses
            searches += uses if kind in _SEARCHES else 0
            found.add(kind)
        elif kind is not None and kind.startswith(_TOOL_SEARCH):
            rereads = 1
    if not found:
        return ServerTools(readings=2, is_limit_per_turn=True) if rereads else NO_SERVER_TOOLS
    readings = min(1 + calls + rereads, _TURNS_MAX)
    return ServerTools(
        searches=searches,
        # Beside tools that filter with code, code is free.
        containers=1 if found & _CODE and not found & _FILTERING else 0,
        readings=_TURNS_MAX if found & (_FILTERING | _CODE) else readings,
        reading_tokens=server_tools.UNTOLD_TOKENS,
        is_limit_per_turn=True,
        limit=("tools", InEach(MAX_USES, b"%d" % server_tools.DEFAULT_CALLS, _WEB))
        if unlimited
        else None,
        are_required=True,
        limited_by=MAX_USES,
    )
