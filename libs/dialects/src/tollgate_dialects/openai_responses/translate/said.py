"""What a model has said in the items of a response, in a request's history or in an answer.

Promises the order of the items; that thinking keeps its encrypted block and the name under which
its maker knows it; and that a call gets back the block that was carried beside it.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from tollgate_dialects.common import documents, shapes
from tollgate_dialects.conversation import carrier
from tollgate_dialects.conversation.answer import AnswerPart
from tollgate_dialects.conversation.parts import (
    Opaque,
    Origin,
    Seal,
    Text,
    Thinking,
    ToolCall,
)
from tollgate_dialects.openai_responses.translate import citations

# Between two summaries, where they are one text.
BETWEEN: Final = "\n\n"
# A name of thinking that this gateway has made, which its maker does not know.
_OWN_ID: Final = re.compile(r"rs_[0-9a-f]{32}_\d+\Z")
KINDS: Final = frozenset(("message", "reasoning", "function_call", "custom_tool_call"))


def parts_of(item: Mapping[str, Any]) -> list[AnswerPart]:
    """The parts in an item of one of `KINDS`; others say nothing. Raises ShapeError."""
    match kind_of(item):
        case "message":
            return list(_words(item))
        case "reasoning":
            return list(_thinking(item))
        case "function_call" | "custom_tool_call":
            return [call_of(item)]
    return []


def kind_of(item: Mapping[str, Any]) -> str:
    """An item's type; what has a role and no type is a message. Raises ShapeError."""
    return shapes.text(item, "type") or ("message" if item.get("role") is not None else "")


def _words(item: Mapping[str, Any]) -> Iterator[Text]:
    phase = shapes.text(item, "phase")
    if isinstance(content := item.get("content"), str):
        if content:
            yield Text(content, phase=phase)
        return
    for part in shapes.items(item, "content"):
        yield text_of(part, phase)


def text_of(part: Mapping[str, Any], phase: str) -> Text:
    """A part of a message. Raises ShapeError."""
    if shapes.text(part, "type") == "refusal":
        return Text(shapes.text(part, "refusal"), is_refusal=True, phase=phase)
    given = (citations.read(note) for note in shapes.items(part, "annotations"))
    found = tuple(citation for citation in given if citation is not None)
    return Text(shapes.text(part, "text"), found, phase=phase)


def _thinking(item: Mapping[str, Any]) -> Iterator[Thinking]:
    text = BETWEEN.join(
        shapes.text(part, "text") for part in shapes.items(item, "summary")
    ) or "".join(shapes.text(part, "text") for part in shapes.items(item, "content"))
    opaque = opaque_of(item)
    if text or opaque:
        yield Thinking(text, opaque)


def opaque_of(item: Mapping[str, Any]) -> Opaque | None:
    """The encrypted block of thinking, whoever made it. Raises ShapeError."""
    data = shapes.text(item, "encrypted_content")
    if not data:
        return None
    item_id = shapes.text(item, "id")
    if _OWN_ID.match(item_id):
        item_id = ""
    opaque = carrier.restored(data, Origin.OPENAI, Seal.ENCRYPTED, item_id)
    return None if opaque.origin is Origin.NOBODY else opaque


def call_of(item: Mapping[str, Any]) -> ToolCall:
    """A call of a function, or of a tool of free text. Raises ShapeError."""
    takes_text = item.get("type") == "custom_tool_call"
    return ToolCall(
        shapes.text(item, "call_id") or shapes.text(item, "id"),
        shapes.text(item, "name"),
        shapes.text(item, "input") if takes_text else _arguments(item),
        shapes.text(item, "namespace"),
        takes_text,
    )


def _arguments(item: Mapping[str, Any]) -> str:
    """Some write an object where there is its JSON text."""
    arguments = item.get("arguments")
    if isinstance(arguments, dict):
        try:
            return documents.written(arguments).decode()
        except (ValueError, TypeError):
            raise shapes.ShapeError("arguments", "a string") from None
    return shapes.text(item, "arguments")


def reunited(parts: Iterable[AnswerPart]) -> list[AnswerPart]:
    """Calls with the blocks of other vendors that were carried beside them under their ids."""
    said = list(parts)
    call_ids = {part.call_id for part in said if isinstance(part, ToolCall)}
    owned: dict[str, Opaque] = {}
    kept: list[AnswerPart] = []
    for part in said:
        opaque = part.opaque if isinstance(part, Thinking) and not part.text else None
        if opaque and opaque.item_id in call_ids and opaque.item_id not in owned:
            owned[opaque.item_id] = dataclasses.replace(opaque, item_id="")
        else:
            kept.append(part)
    return [
        dataclasses.replace(part, opaque=owned.get(part.call_id))
        if isinstance(part, ToolCall)
        else part
        for part in kept
    ]
