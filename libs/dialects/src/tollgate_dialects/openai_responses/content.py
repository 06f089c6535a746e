"""The items of a request's input: which bytes bound, which pixels, which nothing.

Text, calls, results and inline pictures are bounded; stored items are refused: they would be looked
up in an account that many share. What a vendor may know more of than the bytes say is unbounded.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common.refusal import (
    BadRequest,
    Code,
    stored_item,
    unsupported,
    wrong_type,
)
from tollgate_dialects.openai_responses import ids
from tollgate_dialects.openai_responses.tools import objects
from tollgate_dialects.request.content import MEDIA, CacheWrite, Content, kind_of

# Hidden prompts of upstreams: compatible vendors add up to 655 to any call, OpenAI some 4,400 to
# one that may search the web.
_OVERHEAD_TOKENS: Final = 700
_SEARCH_OVERHEAD_TOKENS: Final = 6_000

_BOUNDED_ITEMS: Final = frozenset(
    ("message", "function_call", "function_call_output", "custom_tool_call",
     "custom_tool_call_output", "additional_tools", "tool_search_call", "tool_search_output",
     "local_shell_call", "local_shell_call_output", "apply_patch_call", "apply_patch_call_output")
)  # fmt: skip
_BOUNDED_PARTS: Final = frozenset(
    ("input_text", "output_text", "text", "refusal", "summary_text", "reasoning_text")
)
_STORED: Final = frozenset(("item_reference",))
# Thinking that this gateway has told of: nothing of it is stored anywhere.
_OWN_ID = re.compile(r"rs_[0-9a-f]{32}_\d{1,9}\Z")


def content_of(document: Mapping[str, Any], printed: bytes) -> Content:
    """What a request holds beside text. Raises BadRequest."""
    found = Content(_OVERHEAD_TOKENS)
    if b'"web_search' in printed:
        found.vendor_tokens += _SEARCH_OVERHEAD_TOKENS
    given = document.get("input")
    if given is None:
        if ids.previous(document):
            return found
        raise BadRequest(Code.MISSING_PARAMETER, "The request has no input.", "input")
    if isinstance(given, str):
        return found
    for item in objects(given, "input"):
        _judge(item, found)
    return found


def cache_write(_printed: bytes) -> CacheWrite:
    """Newer OpenAI models write implicitly, at the one write price they have."""
    return "5m"


def _judge(item: Mapping[str, Any], found: Content) -> None:
    kind = kind_of(item)
    if kind in _STORED or (kind is None and item.get("role") is None):
        raise stored_item()
    if kind == "reasoning":
        item_id = item.get("id")
        if not (item.get("encrypted_content") or item_id is None or is_own(item_id)):
            found.unbounded = True
    elif kind is not None and kind not in _BOUNDED_ITEMS:
        found.unbounded = True
    for name in ("content", "output", "summary"):
        value = item.get(name)
        if isinstance(value, list):
            for part in value:
                _judge_part(part, found)
        elif isinstance(value, dict):
            found.unbounded = True
        elif value is not None and not isinstance(value, str):
            raise wrong_type(name, "a text or an array")


def is_own(item_id: object) -> bool:
    """Whether the name of an item of thinking is one that this gateway makes."""
    return isinstance(item_id, str) and _OWN_ID.match(item_id) is not None


def _judge_part(part: Any, found: Content) -> None:
    if not isinstance(part, dict):
        raise wrong_type("content", "an array of objects")
    kind = kind_of(part)
    if kind in ("input_audio", "audio"):
        raise unsupported("input")
    carried = part.keys() & (MEDIA | {"file_id", "file_data", "file_url"})
    carried = {name for name in carried if part[name] is not None}
    if kind in _BOUNDED_PARTS and not carried:
        return
    if kind == "input_image" and carried == {"image_url"}:
        found.add_url(part["image_url"], part.get("detail"))
    else:
        found.unbounded = True
