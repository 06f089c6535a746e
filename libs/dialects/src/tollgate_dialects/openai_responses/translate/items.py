"""The turns of a conversation as the items of an input.

Promises: each call, each result and each thought is an item of its own, in the order in which they
were said, and no two calls have one id; thinking goes back only to its maker, under its own name,
and never as text.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from tollgate_dialects.conversation import pairing
from tollgate_dialects.conversation.parts import (
    Media,
    Origin,
    Part,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollgate_dialects.conversation.request import Turn
from tollgate_dialects.conversation.translation import Untranslatable
from tollgate_dialects.openai_responses.translate import citations
from tollgate_dialects.openai_responses.translate.tools import NativeTools

# What OpenAI takes of a call's id.
_CALL_ID_CHARACTERS_MAX: Final = 64
_BREAKPOINT: Final = {"prompt_cache_breakpoint": {"mode": "explicit"}}


def call_id(given: str) -> str:
    """A call's id, the same for the call and its result; a long one is replaced by its hash."""
    if 0 < len(given) <= _CALL_ID_CHARACTERS_MAX:
        return given
    digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()
    return f"call_{digest[:32]}"


class ItemWriter:
    """Writes items, and notes what they could not carry."""

    def __init__(self, tools: NativeTools, dropped: set[str], *, takes_breakpoints: bool) -> None:
        """`takes_breakpoints`: the model can be told what to keep in the cache."""
        self._tools = tools
        self._dropped = dropped
        self._takes_breakpoints = takes_breakpoints
        # A result has to be of the kind of its call.
        self._text_calls: set[str] = set()

    def write(self, turns: Sequence[Turn]) -> list[dict[str, Any]]:
        """All items. Raises Untranslatable."""
        items: list[dict[str, Any]] = []
        for turn in pairing.paired(turns, is_joined=False):
            if turn.name:
                self._dropped.add("name")
            items += self._assistant(turn) if turn.role == "assistant" else self._given(turn)
        return items

    def _given(self, turn: Turn) -> list[dict[str, Any]]:
        results = [part for part in turn.parts if isinstance(part, ToolResult)]
        others = [part for part in turn.parts if isinstance(part, (Text, Media))]
        items = [self._result(result) for result in results]
        if others or not results:
            content: str | list[dict[str, Any]] = [self._part(part) for part in others]
            if not others:
                content = ""
            items.append({"type": "message", "role": turn.role, "content": content})
        return items

    def _result(self, result: ToolResult) -> dict[str, Any]:
        if result.is_error:
            self._dropped.add("tool_result.is_error")
        name = call_id(result.call_id)
        kind = "custom_tool_call" if name in self._text_calls else "function_call"
        parts = result.parts
        cache = self._breakpoint(result)
        output: str | list[dict[str, Any]]
        if not parts:
            output = ""
        elif len(parts) == 1 and isinstance(parts[0], Text) and not parts[0].cache:
            output = parts[0].text
        else:
            output = [self._part(part) for part in parts]
        return {"type": f"{kind}_output", "call_id": name, "output": output, **cache}

    def _breakpoint(self, part: Text | Media | ToolResult) -> dict[str, Any]:
        if not part.cache:
            return {}
        if self._takes_breakpoints and not isinstance(part, ToolResult):
            return _BREAKPOINT
        self._dropped.add("cache")
        return {}

    def _part(self, part: Text | Media) -> dict[str, Any]:
        cache = self._breakpoint(part)
        if isinstance(part, Text):
            return {"type": "input_text", "text": part.text, **cache}
        match part.kind:
            case "image":
                return {**self._image(part), **cache}
            case "document":
                return {**_document(part), **cache}
        raise Untranslatable("input", "The model's protocol cannot carry this medium.")

    def _image(self, part: Media) -> dict[str, Any]:
        url = part.url
        if part.data:
            url = f"data:{part.media_type or 'image/png'};base64,{part.data}"
        if not url:
            raise Untranslatable("input", "The model's vendor does not have this stored file.")
        return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}

    def _assistant(self, turn: Turn) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        words: list[Text] = []
        for part in turn.parts:
            if words and not (isinstance(part, Text) and part.phase == words[0].phase):
                items.append(self._message(words))
                words = []
            if isinstance(part, Text):
                words.append(part)
            else:
                items += self._other(part)
        if words:
            return [*items, self._message(words)]
        while items and items[-1]["type"] == "reasoning":
            # OpenAI refuses thinking that nothing follows.
            items.pop()
            self._dropped.add("thinking")
        return items

    def _message(self, words: Sequence[Text]) -> dict[str, Any]:
        if any(text.cache for text in words):
            self._dropped.add("cache")
        content: str | list[dict[str, Any]] = [self._words(text) for text in words]
        first = words[0]
        if len(words) == 1 and first.text and not (first.is_refusal or first.citations):
            # The one form that needs no id of an earlier response.
            content = first.text
        message: dict[str, Any] = {"type": "message", "role": "assistant", "content": content}
        return {**message, "phase": words[0].phase} if words[0].phase else message

    def _words(self, text: Text) -> dict[str, Any]:
        if text.is_refusal:
            return {"type": "refusal", "refusal": text.text}
        said: dict[str, Any] = {"type": "output_text", "text": text.text}
        notes = [
            citations.write(one) for one in text.citations if one.url and one.start is not None
        ]
        if len(notes) < len(text.citations):
            self._dropped.add("citations")
        return {**said, "annotations": notes}

    def _other(self, part: Part) -> list[dict[str, Any]]:
        if isinstance(part, Thinking):
            return self._thinking(part)
        if isinstance(part, ToolCall):
            return [self._call(part)]
        if isinstance(part, Media):
            self._dropped.add(part.kind)
        return []

    def _thinking(self, part: Thinking) -> list[dict[str, Any]]:
        opaque = part.opaque
        if opaque is None or opaque.origin is not Origin.OPENAI or opaque.seal is Seal.SIGNATURE:
            self._dropped.add("thinking")
            return []
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        item = {"type": "reasoning", "summary": summary, "encrypted_content": opaque.data}
        return [{**item, "id": opaque.item_id} if opaque.item_id else item]

    def _call(self, call: ToolCall) -> dict[str, Any]:
        if call.opaque is not None:
            self._dropped.add("thinking.opaque")
        if call.cache:
            self._dropped.add("cache")
        item: dict[str, Any] = {
            "type": "function_call",
            "call_id": call_id(call.call_id),
            "name": self._tools.name(call.namespace, call.name),
        }
        if call.namespace:
            item["namespace"] = call.namespace
        if call.takes_text:
            self._text_calls.add(item["call_id"])
            return {**item, "type": "custom_tool_call", "input": call.arguments}
        return {**item, "arguments": call.arguments or "{}"}


def _document(part: Media) -> dict[str, Any]:
    if part.text:
        head = f"{part.name}\n\n" if part.name else ""
        return {"type": "input_text", "text": f"{head}{part.text}"}
    if part.url:
        return {"type": "input_file", "file_url": part.url}
    if not part.data:
        raise Untranslatable("input", "The model's vendor does not have this stored file.")
    kind = part.media_type or "application/pdf"
    return {
        "type": "input_file",
        "filename": part.name or "document.pdf",
        "file_data": f"data:{kind};base64,{part.data}",
    }
