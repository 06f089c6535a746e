"""Content of messages, read into parts.

Promises: every block that says something to a model is a part, or is named in `unheld`.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from tollgate_dialects.anthropic.translate import citations
from tollgate_dialects.common.refusal import BadRequest, Code, wrong_type
from tollgate_dialects.conversation import call_input, carrier
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
from tollgate_dialects.request.content import kind_of, object_in

# What tools of the vendor's leave in a conversation, and other words that only it reads.
_HOSTED: Final = frozenset(
    ("server_tool_use", "mcp_tool_use", "compaction", "fallback", "container_upload",
     "tool_addition", "tool_removal", "browser_state")
)  # fmt: skip


class ContentReader:
    """Reads the contents of one request."""

    def __init__(self, unheld: set[str], is_wrapped: Callable[[str], bool]) -> None:
        """`unheld` is filled; `is_wrapped`: whether a tool of this name has no wrapper itself."""
        self._unheld = unheld
        self._is_wrapped = is_wrapped

    def parts(self, content: object, param: str) -> tuple[Part, ...]:
        """The parts of a content; none for null. Raises BadRequest."""
        if content is None:
            return ()
        if isinstance(content, str):
            return (Text(content),)
        if not isinstance(content, list):
            raise wrong_type(param, "a text or an array")
        parts: list[Part] = []
        for block in content:
            if isinstance(block, str):
                parts.append(Text(block))
            elif isinstance(block, dict):
                parts += self._block(block)
            else:
                raise wrong_type(param, "an array of objects")
        return _reunited(parts)

    def _block(self, block: Mapping[str, Any]) -> Iterator[Part]:
        kind = kind_of(block) or ""
        match kind:
            case "text":
                yield Text(text_in(block, "text"), citations.read_all(block), cache=cache_of(block))
            case "image":
                yield _image(block)
            case "document":
                yield from self._document(block)
            case "search_result":
                yield from self._search_result(block)
            case "tool_use":
                yield self._call(block)
            case "tool_result":
                yield self._result(block)
            case "thinking":
                yield Thinking(
                    text_in(block, "thinking"), sealed(text_in(block, "signature"), Seal.SIGNATURE)
                )
            case "redacted_thinking":
                yield Thinking("", sealed(text_in(block, "data"), Seal.ENCRYPTED))
            case "tool_reference":
                # To other models all tools are known; that one was found, they are told in words.
                self._unheld.add(kind)
                yield Text(text_in(block, "tool_name"), cache=cache_of(block))
            case _ if kind in _HOSTED:
                self._unheld.add(kind)
            case _ if kind.endswith("_tool_result"):
                self._unheld.add("server_tool_result")
            case _:
                self._unheld.add("content")

    def _call(self, block: Mapping[str, Any]) -> ToolCall:
        name = text_in(block, "name")
        return ToolCall(
            text_in(block, "id"),
            name,
            call_input.arguments_of(block.get("input"), was_wrapped=self._is_wrapped(name)),
            cache=cache_of(block),
        )

    def _result(self, block: Mapping[str, Any]) -> ToolResult:
        parts = self.parts(block.get("content"), "content")
        held = tuple(part for part in parts if isinstance(part, Text | Media))
        if len(held) < len(parts):
            self._unheld.add("content")
        return ToolResult(
            text_in(block, "tool_use_id"),
            held,
            is_error=block.get("is_error") is True,
            cache=cache_of(block),
        )

    def _document(self, block: Mapping[str, Any]) -> Iterator[Part]:
        source = object_in(block, "source")
        if block.get("context"):
            self._unheld.add("document.context")
        if object_in(block, "citations").get("enabled"):
            self._unheld.add("document.citations")
        plain = Media(
            "document",
            media_type=text_in(source, "media_type"),
            name=text_in(block, "title"),
            cache=cache_of(block),
        )
        match kind_of(source):
            case "text":
                yield dataclasses.replace(plain, text=text_in(source, "data"))
            case "content":
                parts = self.parts(source.get("content"), "source.content")
                words = "\n\n".join(part.text for part in parts if isinstance(part, Text))
                yield from (part for part in parts if isinstance(part, Media))
                yield dataclasses.replace(plain, media_type="text/plain", text=words)
            case _:
                yield dataclasses.replace(plain, **_place(source))

    def _search_result(self, block: Mapping[str, Any]) -> Iterator[Part]:
        """What was found, as words: where and what it is, then what it says."""
        if object_in(block, "citations").get("enabled"):
            self._unheld.add("search_result.citations")
        found = self.parts(block.get("content"), "content")
        head = filter(None, (text_in(block, "title"), text_in(block, "source")))
        words = [*head, *(part.text for part in found if isinstance(part, Text))]
        yield Text("\n".join(words), cache=cache_of(block))


def sealed(data: str, seal: Seal) -> Opaque | None:
    """The block that stands where Anthropic's own do; None where nothing does."""
    opaque = carrier.restored(data, Origin.ANTHROPIC, seal) if data else carrier.UNSEALED
    return None if opaque.origin is Origin.NOBODY else opaque


def cache_of(thing: Mapping[str, Any]) -> Cache:
    """How long what is read up to here is to be kept."""
    control = thing.get("cache_control")
    if not isinstance(control, dict):
        return ""
    return "1h" if control.get("ttl") == "1h" else "5m"


def text_in(thing: Mapping[str, Any], name: str) -> str:
    """A member that is a text; empty for null and nothing. Raises BadRequest."""
    value = thing.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise wrong_type(name, "a text")
    return value


def _image(block: Mapping[str, Any]) -> Media:
    source = object_in(block, "source")
    return Media(
        "image",
        media_type=text_in(source, "media_type"),
        cache=cache_of(block),
        **_place(source),
    )


def _place(source: Mapping[str, Any]) -> dict[str, Any]:
    """Where the bytes of a picture or document are. Raises BadRequest."""
    kinds = {"base64": "data", "url": "url", "file": "file_id"}
    member = kinds.get(kind_of(source) or "")
    place = text_in(source, member) if member else ""
    if not member or not place:
        raise BadRequest(Code.INVALID_VALUE, "This source is not known or is empty.", "source")
    return {member: place}


def _reunited(parts: list[Part]) -> tuple[Part, ...]:
    """Gives tool calls the blocks of other vendors that were carried beside them.

    One that names its call belongs there; one that names none, to the call that follows it.
    """
    kept: list[Part] = []
    owned: dict[str, Opaque] = {}
    calls = {part.call_id for part in parts if isinstance(part, ToolCall)}
    for at, part in enumerate(parts):
        opaque = part.opaque if isinstance(part, Thinking) and not part.text else None
        after = parts[at + 1] if at + 1 < len(parts) else None
        if opaque is None or opaque.origin is Origin.ANTHROPIC:
            kept.append(part)
        elif opaque.item_id in calls:
            owned[opaque.item_id] = dataclasses.replace(opaque, item_id="")
        elif opaque.origin is Origin.GOOGLE and not opaque.item_id and isinstance(after, ToolCall):
            owned[after.call_id] = opaque
        else:
            kept.append(part)
    return tuple(
        dataclasses.replace(part, opaque=owned.get(part.call_id))
        if isinstance(part, ToolCall)
        else part
        for part in kept
    )
