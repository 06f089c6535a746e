"""How many input tokens a body can make an upstream read.

Promises an upper bound: a byte-level tokenizer makes at most one token of a byte, the JSON around a
text is longer than the template that replaces it, and what an upstream adds on its own is covered
by constants measured on recorded traffic (protocols.md section 4). What bytes do not bound (a URL,
a stored file, a PDF, a kind of part that is not known here) is reported as unbounded.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import orjson

from tollgate_dialects import normalisation
from tollgate_dialects.protocol import Protocol
from tollgate_dialects.refusal import unsupported

# Hidden prompts of upstreams, in tokens: compatible vendors add up to 655 to any OpenAI call,
# Anthropic up to 140 without and 1,250 (on Bedrock) with tools.
_OVERHEAD = {Protocol.OPENAI_CHAT: 700, Protocol.ANTHROPIC_MESSAGES: 400}
_TOOLS_OVERHEAD = {Protocol.OPENAI_CHAT: 0, Protocol.ANTHROPIC_MESSAGES: 1_250}
# Per tool that Anthropic defines itself: at most 735 for the tool and 499 for its system prompt.
_TYPED_TOOL_OVERHEAD = 1_250
# The dearest known image: gpt-4o-mini at high detail, 2,833 + 8 tiles of 5,667.
_IMAGE_TOKENS = 50_000

_ASCII = bytes(range(128))

_BOUNDED_OPENAI_PARTS = frozenset(("text", "refusal"))
_BOUNDED_ANTHROPIC_PARTS = frozenset(
    ("text", "tool_use", "thinking", "redacted_thinking", "search_result", "server_tool_use",
     "compaction", "tool_result")
)  # fmt: skip


CacheWrite: TypeAlias = Literal["none", "5m", "1h"]


class InputBound(NamedTuple):
    """`tokens` says nothing when `unbounded`."""

    tokens: int
    unbounded: bool


def input_bound(body: bytes, document: Mapping[str, Any], protocol: Protocol) -> InputBound:
    """The bound of a parsed body; refuses audio, which has prices of its own."""
    extra = _OVERHEAD[protocol]
    if document.get("tools") or document.get("functions"):
        extra += _TOOLS_OVERHEAD[protocol]
    if protocol is Protocol.OPENAI_CHAT:
        images, unbounded = _openai_parts(document)
    else:
        images, unbounded = _anthropic_parts(document)
        tools = document.get("tools") or ()
        extra += _TYPED_TOOL_OVERHEAD * sum("type" in tool for tool in tools if tool)
    tokens = len(body) + _growth(body, document) + images * _IMAGE_TOKENS + extra
    return InputBound(tokens=tokens, unbounded=unbounded)


def _growth(body: bytes, document: Mapping[str, Any]) -> int:
    if b"\\u" in body:
        body = orjson.dumps(document)
    # Without its ASCII bytes, UTF-8 is still the same other characters.
    return normalisation.growth(body.translate(None, _ASCII).decode())


def cache_write(body: bytes, document: Mapping[str, Any], protocol: Protocol) -> CacheWrite:
    """The longest cache write that may be billed: "none", "5m" or "1h"."""
    if protocol is Protocol.OPENAI_CHAT:
        return "5m"  # newer OpenAI models write implicitly, at the one write price they have
    if b"\\u" in body:
        body = orjson.dumps(document)
    if b'"cache_control"' not in body:
        return "none"
    return "1h" if b'"1h"' in body else "5m"


def _content_lists(document: Mapping[str, Any]) -> Iterable[list[Any]]:
    messages = document.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            content = message.get("content")
            if isinstance(content, list):
                yield content
            if message.get("audio"):
                raise unsupported("messages")


def _openai_parts(document: Mapping[str, Any]) -> tuple[int, bool]:
    images = 0
    unbounded = False
    for content in _content_lists(document):
        for part in content:
            kind = part.get("type") if isinstance(part, dict) else "text"
            if kind in _BOUNDED_OPENAI_PARTS:
                continue
            if kind in ("input_audio", "audio_url", "audio"):
                raise unsupported("messages")
            if kind == "image_url" and _is_inline(part.get("image_url")):
                images += 1
            else:
                unbounded = True
    return images, unbounded


def _is_inline(image: Any) -> bool:
    url = image.get("url") if isinstance(image, dict) else image
    return isinstance(url, str) and url.startswith("data:image/")


def _anthropic_parts(document: Mapping[str, Any]) -> tuple[int, bool]:
    images = 0
    unbounded = False
    system = document.get("system")
    waiting = [*_content_lists(document)]
    if isinstance(system, list):
        waiting.append(system)
    while waiting:
        for part in waiting.pop():
            if not isinstance(part, dict):
                continue
            kind = part.get("type")
            source = part.get("source")
            source_kind = source.get("type") if isinstance(source, dict) else None
            nested = part.get("content")
            citations = part.get("citations")
            if isinstance(citations, dict) and citations.get("enabled") is not False:
                # Each sentence is tagged, however short it is.
                unbounded = True
            if kind == "image" and source_kind == "base64":
                images += 1
            elif kind == "document" and isinstance(source, dict) and source_kind == "content":
                nested = source.get("content")
            elif not (
                kind in _BOUNDED_ANTHROPIC_PARTS
                or (kind == "document" and source_kind == "text")
                or (isinstance(kind, str) and kind.endswith("_tool_result"))
            ):
                unbounded = True
            if isinstance(nested, list):
                waiting.append(nested)
    return images, unbounded
