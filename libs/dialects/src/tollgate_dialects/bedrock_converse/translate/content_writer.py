"""Parts, written as the blocks of Converse.

Promises: no block that Bedrock refuses for being empty or in the wrong mouth, and opaque blocks
only where they are the model's own; what is left out is named.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Any, Final, Literal

from tollgate_dialects.bedrock_converse.translate.models import Model
from tollgate_dialects.bedrock_converse.translate.names import (
    DocumentNames,
    document_kind,
    tool_id,
)
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

_PICTURES: Final = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
# How the base64 of a picture begins, for clients that do not say what it is, or say it otherwise.
_BEGINNINGS: Final = {"iVBOR": "png", "/9j/": "jpeg", "R0lGOD": "gif", "UklGR": "webp"}


class ContentWriter:
    """Writes the contents of one request, and collects what they could not carry."""

    def __init__(self, model: Model, tools: FlatTools, dropped: set[str]) -> None:
        """`dropped` is filled."""
        self._model = model
        self._tools = tools
        self.dropped = dropped
        self._names = DocumentNames()

    def blocks(
        self, role: Literal["system", "user", "assistant"], parts: Iterable[Part]
    ) -> list[dict[str, Any]]:
        """The blocks that one side may say. Raises Untranslatable."""
        blocks: list[dict[str, Any]] = []
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
                self._mark(blocks, _cache_of(part))
        return blocks

    def mark(self, cache: Cache) -> dict[str, Any]:
        """The point up to which what was read is to be kept."""
        point = {"type": "default"}
        if cache == "1h" and self._model.takes_long_marks:
            point["ttl"] = cache
        elif cache == "1h":
            self.dropped.add("cache")
        return {"cachePoint": point}

    def _mark(self, blocks: list[dict[str, Any]], cache: Cache) -> None:
        if not cache:
            return
        if not self._model.takes_marks:
            self.dropped.add("cache")
            return
        if "document" in blocks[-1]:
            # Right behind a document none is taken.
            blocks.append({"text": "\n"})
        blocks.append(self.mark(cache))

    def _text(self, part: Text) -> dict[str, Any] | None:
        """None for nothing but white space: it says nothing, and is refused."""
        if part.citations:
            self.dropped.add("citations")
        return {"text": part.text} if part.text.strip() else None

    def _call(self, part: ToolCall) -> dict[str, Any]:
        if part.opaque is not None:
            self.dropped.add("thinking")
        call = self._tools.call(part)
        return {
            "toolUse": {
                "toolUseId": tool_id(call.call_id),
                "name": call.name,
                "input": call_input.input_of(call.arguments, takes_text=False),
            }
        }

    def _result(self, part: ToolResult) -> dict[str, Any]:
        content = []
        for inner in part.parts:
            block = self._text(inner) if isinstance(inner, Text) else self._media(inner)
            if block is not None:
                content.append(block)
        # An empty text is refused, and so might nothing at all be.
        result = {"toolUseId": tool_id(part.call_id), "content": content or [{"json": {}}]}
        if part.is_error and self._model.is_told_of_errors:
            result["status"] = "error"
        elif part.is_error:
            self.dropped.add("tool_result.is_error")
        return {"toolResult": result}

    def _thinking(self, part: Thinking) -> dict[str, Any] | None:
        """None for what the model did not seal: only Claude is told again what it thought."""
        opaque = part.opaque if self._model.claude is not None else None
        match opaque:
            case Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, data):
                return {
                    "reasoningContent": {"reasoningText": {"text": part.text, "signature": data}}
                }
            case Opaque(Origin.ANTHROPIC, Seal.ENCRYPTED, data):
                redacted = base64.b64encode(data.encode()).decode()
                return {"reasoningContent": {"redactedContent": redacted}}
        self.dropped.add("thinking")
        return None

    def _media(self, part: Media) -> dict[str, Any]:
        if part.kind in ("audio", "video"):
            raise Untranslatable(part.kind, "The model's vendor takes no sound and no film here.")
        if part.url or part.file_id:
            raise Untranslatable(part.kind, "The model's vendor takes files by their bytes alone.")
        if part.kind == "document":
            return {"document": self._document(part)}
        if part.detail not in ("", "auto"):
            self.dropped.add("image.detail")
        _decoded(part)
        return {"image": {"format": _picture_kind(part), "source": {"bytes": part.data}}}

    def _document(self, part: Media) -> dict[str, Any]:
        kind, data = document_kind(part.media_type, part.name), part.data
        if not data:
            kind, data = "txt", base64.b64encode(part.text.encode()).decode()
        elif _is_text(_decoded(part)) and not kind:
            kind = "txt"
        if not kind:
            raise Untranslatable("document", "The model's vendor does not read this kind of file.")
        return {"format": kind, "name": self._names.fit(part.name), "source": {"bytes": data}}


def _cache_of(part: Part) -> Cache:
    """The mark behind a part; one inside of a result is moved behind it."""
    if isinstance(part, Thinking):
        return ""
    if isinstance(part, ToolResult):
        inner = [one.cache for one in part.parts if one.cache]
        return part.cache or (inner[-1] if inner else "")
    return part.cache


def _picture_kind(part: Media) -> str:
    """The kind that the bytes are of; else the one that is said."""
    for start, kind in _BEGINNINGS.items():
        if part.data.startswith(start):
            return kind
    kind = _PICTURES.get(part.media_type.lower(), "")
    if not kind:
        why = "The model's vendor takes PNG, JPEG, GIF and WebP pictures only."
        raise Untranslatable("image", why)
    return kind


def _decoded(part: Media) -> bytes:
    """The bytes of a file. Raises Untranslatable for none, and for what is no base64."""
    try:
        data = base64.b64decode(part.data, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise Untranslatable(part.kind, "The file is empty or not in base64.")
    return data


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


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
