"""The blocks of a message, however nested: which bytes bound, which pixels, which nothing."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from tollgate_dialects.common.refusal import unsupported, wrong_type
from tollgate_dialects.request import pictures
from tollgate_dialects.request.content import (
    MEDIA,
    CacheWrite,
    Content,
    contents_of,
    kind_of,
    object_in,
)

# Hidden prompts of upstreams: up to 140 without and 1,250 (on Bedrock) with tools.
_OVERHEAD_TOKENS: Final = 400
_TOOLS_OVERHEAD_TOKENS: Final = 1_250
# Per tool that Anthropic defines itself: at most 735 for the tool and 499 for its system prompt.
_TYPED_TOOL_OVERHEAD_TOKENS: Final = 1_250

_IMAGE_MEMBERS: Final = frozenset(("type", "source", "cache_control"))
_FOUND_TOOLS: Final = "tool_search_tool_search_result"
_BOUNDED_PARTS = frozenset(
    ("text", "tool_use", "thinking", "redacted_thinking", "search_result", "server_tool_use",
     "compaction", "tool_result", "tool_reference", _FOUND_TOOLS)
)  # fmt: skip


def content_of(document: Mapping[str, Any], printed: bytes) -> Content:
    """What a message holds beside text. Raises BadRequest."""
    tools = document.get("tools") or ()
    found = Content(_OVERHEAD_TOKENS)
    if tools or document.get("functions"):
        found.overhead_tokens += _TOOLS_OVERHEAD_TOKENS
    waiting = contents_of(document)
    system = document.get("system")
    if isinstance(system, list):
        waiting.append(system)
    elif system is not None and not isinstance(system, str):
        raise wrong_type("system", "a text or an array")
    while waiting:
        for part in waiting.pop():
            if isinstance(part, str):
                continue
            if not isinstance(part, dict):
                raise wrong_type("content", "an array of objects")
            nested = _judge(part, found)
            if isinstance(nested, list):
                waiting.append(nested)
            elif isinstance(nested, dict) and "type" in nested:
                # Results of server tools carry one object.
                waiting.append([nested])
    typed = sum(tool.get("type") is not None for tool in tools)
    found.vendor_tokens += _TYPED_TOOL_OVERHEAD_TOKENS * typed
    found.references = printed.count(b'"tool_reference"')
    if found.references:
        found.declaration_bytes = max((len(orjson.dumps(tool)) for tool in tools), default=0)
    return found


def cache_write(printed: bytes) -> CacheWrite:
    """What a client asked for, as long as the longest of it."""
    if b'"cache_control"' not in printed:
        return "none"
    return "1h" if b'"1h"' in printed else "5m"


def picture_tokens(width: int, height: int) -> int:
    """Width x height / 750 at Anthropic, patches of 28 at Qwen-VL: 27 covers both.

    At least what Anthropic's older models take at most; at most what Qwen-VL takes.
    """
    return min(max(-(-width // 27) * -(-height // 27) + 100, 1_600), 16_384)


def _judge(part: Mapping[str, Any], found: Content) -> Any:
    """Judge one part; what it holds in turn."""
    kind = kind_of(part)
    if kind == "container_upload":
        # A file of an account that many share, given to code that tells what is in it.
        raise unsupported("messages")
    source = object_in(part, "source")
    source_kind = kind_of(source)
    citations = object_in(part, "citations")
    if kind == "image" and source_kind == "url" and part.keys() <= _IMAGE_MEMBERS:
        found.add_url(source.get("url"))
        return None
    if part.keys() & MEDIA - {"source"} or source.keys() & {"url", "file_id"}:
        found.unbounded = True
    if citations and citations.get("enabled") is not False:
        # Each sentence is tagged, however short it is.
        found.unbounded = True
    if kind == "image" and source_kind == "base64":
        media_type, data = source.get("media_type"), source.get("data")
        found.pictures.append(pictures.of_base64(media_type, data, picture_tokens))
    elif kind == "document" and source_kind == "content":
        if part.get("content") is not None:
            found.unbounded = True
        return source.get("content")
    elif kind == "document" and source_kind == "text":
        pass
    elif source or not (
        kind in _BOUNDED_PARTS or (kind is not None and kind.endswith("_tool_result"))
    ):
        found.unbounded = True
    return part.get("tool_references" if kind == _FOUND_TOOLS else "content")
