"""Parts, written as the blocks of messages.

Promises: no block that Anthropic refuses for being empty or in the wrong mouth, and opaque blocks
only where they are Anthropic's own; what is left out is named.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from tollgate_dialects.anthropic.translate import names
from tollgate_dialects.conversation import call_input
from tollgate_dialects.conversation.parts import (
    Cache,
    Media,
    Opaque,
    Origin,
    Part,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollgate_dialects.conversation.tools import FlatTools
from tollgate_dialects.conversation.translation import Untranslatable

# How the base64 of a picture begins, for clients that do not say what it is, or say it otherwise.
_PICTURES: Final = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}
_PDF: Final = "application/pdf"
# How Anthropic's own files are called; other vendors' are not there.
_FILE_PREFIX: Final = "file_"


class ContentWriter:
    """Writes the contents of one request, and collects what they could not carry."""

    def __init__(self, tools: FlatTools) -> None:
        self.dropped: set[str] = set()
        self._tools = tools

    def blocks(
        self, role: Literal["system", "user", "assistant"], parts: Iterable[Part]
    ) -> list[dict[str, Any]]:
        """The blocks that one side may say. Raises Untranslatable."""
        blocks = []
        for part in parts:
            match part, role:
                case Text(), _:
                    block = self._text(part)
                case Media(), "user":
                    block = self._media(part)
                case ToolResult(), "user":
                    block = self._result(part)
                case ToolCall(), "assistant":
                    block = self._call(part)
                case Thinking(), "assistant":
                    block = self._thinking(part)
                case _:
                    block = None
                    self.dropped.add(_name_of(part))
            if block is not None:
                blocks.append(block)
        return blocks

    def _text(self, part: Text) -> dict[str, Any] | None:
        """None for nothing but white space: it says nothing, and Anthropic refuses it."""
        if part.citations:
            self.dropped.add("citations")
        if not part.text.strip():
            return None
        return marked({"type": "text", "text": part.text}, part.cache)

    def _call(self, part: ToolCall) -> dict[str, Any]:
        if part.opaque is not None:
            self.dropped.add("thinking")
        sent = self._tools.call(part)
        block = {
            "type": "tool_use",
            "id": names.tool_id(part.call_id),
            "name": sent.name,
            "input": call_input.input_of(sent.arguments, takes_text=False),
        }
        return marked(block, part.cache)

    def _result(self, part: ToolResult) -> dict[str, Any]:
        block: dict[str, Any] = {
            "type": "tool_result",
            "tool_use_id": names.tool_id(part.call_id),
        }
        marks = [inner.cache for inner in part.parts if inner.cache]
        content = self.blocks("user", (replace(inner, cache="") for inner in part.parts))
        if content:
            block["content"] = content
        if part.is_error:
            block["is_error"] = True
        # A mark inside of a result is refused: it stands behind it.
        return marked(block, part.cache or (marks[-1] if marks else ""))

    def _thinking(self, part: Thinking) -> dict[str, Any] | None:
        """None for what Anthropic did not seal: it would refuse it, or take it for words."""
        match part.opaque:
            case Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, data):
                return {"type": "thinking", "thinking": part.text, "signature": data}
            case Opaque(Origin.ANTHROPIC, Seal.ENCRYPTED, data):
                return {"type": "redacted_thinking", "data": data}
        self.dropped.add("thinking")
        return None

    def _media(self, part: Media) -> dict[str, Any]:
        if part.kind in ("audio", "video"):
            raise Untranslatable(part.kind, "The model's vendor takes no sound and no film.")
        if part.detail not in ("", "auto"):
            self.dropped.add("image.detail")
        block: dict[str, Any] = {"type": part.kind, "source": _source(part)}
        if part.kind == "document" and part.name:
            block["title"] = part.name
        return marked(block, part.cache)


def marked(thing: dict[str, Any], cache: Cache) -> dict[str, Any]:
    """A block or tool with its mark; five minutes are what is meant where nothing is said."""
    if cache:
        thing["cache_control"] = {"type": "ephemeral", **({"ttl": cache} if cache != "5m" else {})}
    return thing


def _name_of(part: Part) -> str:
    match part:
        case Media():
            return part.kind
        case Thinking():
            return "thinking"
        case ToolCall():
            return "tool_call"
        case ToolResult():
            return "tool_result"
        case Text():
            return "text"


def _source(part: Media) -> Mapping[str, str]:
    if part.file_id:
        if not part.file_id.startswith(_FILE_PREFIX):
            raise Untranslatable("file_id", "The model's vendor does not have this file.")
        return {"type": "file", "file_id": part.file_id}
    if part.url:
        return {"type": "url", "url": part.url}
    if part.kind == "document":
        return _document_source(part)
    return {"type": "base64", "media_type": _picture_type(part), "data": part.data}


def _picture_type(part: Media) -> str:
    """The kind that is said, if Anthropic takes it; else the one that the bytes are of."""
    if part.media_type in _PICTURES.values():
        return part.media_type
    for start, media_type in _PICTURES.items():
        if part.data.startswith(start):
            return media_type
    raise Untranslatable("image", "The model's vendor takes PNG, JPEG, GIF and WebP pictures only.")


def _document_source(part: Media) -> Mapping[str, str]:
    if not part.data:
        return {"type": "text", "media_type": "text/plain", "data": part.text}
    if part.media_type in ("", _PDF):
        return {"type": "base64", "media_type": _PDF, "data": part.data}
    try:
        text = base64.b64decode(part.data, validate=True).decode()
    except (binascii.Error, ValueError):
        raise Untranslatable("file", "The model's vendor reads PDFs and plain text only.") from None
    return {"type": "text", "media_type": "text/plain", "data": text}
