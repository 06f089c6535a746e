"""The turns of a conversation as a generation's messages.

Promises: each result of a tool is a message of its own, right behind its call, which has an id of
its own; marks for the cache stand in parts, the last four of them; thinking goes back as words
beside the answer.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Final

from tollgate_dialects.conversation import call_input, pairing
from tollgate_dialects.conversation.parts import (
    Cache,
    Media,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollgate_dialects.conversation.request import Turn
from tollgate_dialects.conversation.tools import FlatTools
from tollgate_dialects.conversation.translation import Untranslatable

_MARKS_MAX: Final = 4
_SYSTEM: Final = ("system", "developer")


class MessageWriter:
    """Writes messages, and notes what they could not carry."""

    def __init__(self, tools: FlatTools, dropped: set[str], *, is_parts: bool) -> None:
        """`is_parts`: content is a list, as on the path for what is seen."""
        self._tools = tools
        self._dropped = dropped
        self._is_parts = is_parts
        self._marked: list[dict[str, Any]] = []

    def write(self, turns: Sequence[Turn]) -> list[dict[str, Any]]:
        """All messages. Raises Untranslatable."""
        turns = pairing.paired(turns, is_joined=False)
        head = list(itertools.takewhile(lambda turn: turn.role in _SYSTEM, turns))
        # Templates of many models take one system, at the head.
        messages = self._said(_one(head)) if head else []
        for turn in turns[len(head) :]:
            if turn.role in _SYSTEM:
                # In a user's mouth it has less weight.
                self._dropped.add("system")
                turn = dataclasses.replace(turn, role="user")  # noqa: PLW2901 - the same, told so
            messages += self._assistant(turn) if turn.role == "assistant" else self._said(turn)
        for part in self._marked[:-_MARKS_MAX]:
            del part["cache_control"]
            self._dropped.add("cache")
        last = turns[-1] if turns else None
        if last is not None and last.role == "assistant" and messages and _is_words(last):
            # The answer goes on from here.
            messages[-1]["partial"] = True
        return messages

    def _said(self, turn: Turn) -> list[dict[str, Any]]:
        results = [part for part in turn.parts if isinstance(part, ToolResult)]
        others = [part for part in turn.parts if isinstance(part, (Text, Media))]
        behind: list[Text | Media] = []
        messages = [self._result(result, behind) for result in results]
        parts = [*behind, *others]
        if parts or not results:
            if turn.name:
                self._dropped.add("name")
            messages.append({"role": turn.role, "content": self._content(parts)})
        return messages

    def _result(self, result: ToolResult, behind: list[Text | Media]) -> dict[str, Any]:
        """A result holds words alone: its pictures follow in a message of the user's."""
        texts = [part for part in result.parts if isinstance(part, Text)]
        media = [part for part in result.parts if isinstance(part, Media)]
        if media:
            behind += [Text(f"Result of the tool call {result.call_id}:"), *media]
            texts = texts or [Text("See the next message.")]
        if result.is_error:
            self._dropped.add("tool_result.is_error")
        if result.cache:
            self._dropped.add("cache")
        return {
            "role": "tool",
            "tool_call_id": result.call_id,
            "content": self._content([Text("\n".join(part.text for part in texts))]),
        }

    def _content(self, parts: Sequence[Text | Media]) -> str | list[dict[str, Any]]:
        is_plain = all(isinstance(part, Text) and not part.cache for part in parts)
        if self._is_parts or not is_plain:
            return [self._part(part) for part in parts]
        return "\n\n".join(part.text for part in parts if isinstance(part, Text))

    def _part(self, part: Text | Media) -> dict[str, Any]:
        if isinstance(part, Text):
            return self._mark({"text": part.text}, part.cache)
        if part.kind == "document" and part.text:
            name = f"{part.name}\n\n" if part.name else ""
            return self._mark({"text": f"{name}{part.text}"}, part.cache)
        if part.kind != "image":
            raise Untranslatable("messages", "The model's protocol cannot carry this medium.")
        address = part.url
        if part.data:
            address = f"data:{part.media_type or 'image/png'};base64,{part.data}"
        if not address:
            raise Untranslatable("messages", "The model's vendor does not have this stored file.")
        if part.detail not in ("", "auto"):
            self._dropped.add("image.detail")
        return self._mark({"image": address}, part.cache)

    def _mark(self, part: dict[str, Any], cache: Cache) -> dict[str, Any]:
        """A mark is for five minutes."""
        if cache:
            part["cache_control"] = {"type": "ephemeral"}
            self._marked.append(part)
        if cache == "1h":
            self._dropped.add("cache")
        return part

    def _assistant(self, turn: Turn) -> list[dict[str, Any]]:
        words = [part for part in turn.parts if isinstance(part, Text)]
        calls = [part for part in turn.parts if isinstance(part, ToolCall)]
        if any(part.citations for part in words):
            self._dropped.add("citations")
        if any(isinstance(part, Media) for part in turn.parts):
            self._dropped.add("image")
        text = "".join(part.text for part in words)
        if not any(part.cache for part in words):
            words = [Text(text)] if text or not self._is_parts else []
        message: dict[str, Any] = {"role": "assistant", "content": self._content(words)}
        self._think(turn.parts, message)
        if calls:
            message["tool_calls"] = [self._call(number, call) for number, call in enumerate(calls)]
        return [message] if text or len(message) > len(("role", "content")) else []

    def _think(self, parts: Iterable[Part], message: dict[str, Any]) -> None:
        thinking = [part for part in parts if isinstance(part, Thinking)]
        text = "\n\n".join(part.text for part in thinking if part.text)
        if text:
            message["reasoning_content"] = text
        if thinking and not text:
            self._dropped.add("thinking")
        elif any(part.opaque for part in thinking):
            self._dropped.add("thinking.opaque")

    def _call(self, index: int, call: ToolCall) -> dict[str, Any]:
        flat = self._tools.call(call)
        if flat.opaque is not None:
            self._dropped.add("thinking.opaque")
        function = {"name": flat.name, "arguments": call_input.object_text(flat.arguments)}
        return {"index": index, "id": flat.call_id, "type": "function", "function": function}


def _one(turns: Sequence[Turn]) -> Turn:
    return Turn("system", tuple(part for turn in turns for part in turn.parts))


def _is_words(turn: Turn) -> bool:
    return any(isinstance(part, Text) and part.text for part in turn.parts) and not any(
        isinstance(part, ToolCall) for part in turn.parts
    )
