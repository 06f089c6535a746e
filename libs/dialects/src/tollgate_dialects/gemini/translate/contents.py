"""The turns of a conversation as contents.

Promises: who speaks changes from content to content; the results of one turn's calls stand together
in the order of the calls, each under its function's name, before anything else; a signature goes
back only to Google, to the part that it came with, and calls of other makers are marked as such
where a model refuses one without.
"""

import mimetypes
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from tollgate_dialects.common import documents
from tollgate_dialects.conversation.parts import (
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
from tollgate_dialects.gemini import signatures
from tollgate_dialects.gemini.translate.models import Model

_SYSTEM: Final = ("system", "developer")
# Where what is no JSON object stands inside of one.
_WRAPPER: Final = "arguments"


class Contents(NamedTuple):
    """The parts of the system's words, and the contents."""

    system: list[dict[str, Any]]
    contents: list[dict[str, Any]]


class ContentsWriter:
    """Writes the contents of one request, and notes what they could not carry."""

    def __init__(self, tools: FlatTools, model: Model, dropped: set[str]) -> None:
        self._tools = tools
        self._model = model
        self._dropped = dropped
        # Of each call: its function's name, and its place among all.
        self._calls: dict[str, tuple[str, int]] = {}

    def write(self, turns: Sequence[Turn]) -> Contents:
        """All that is said, in order. Raises Untranslatable where nothing is."""
        head = 0
        while head < len(turns) and turns[head].role in _SYSTEM:
            head += 1
        system = [part for turn in turns[:head] for part in self._words(turn.parts)]
        contents: list[dict[str, Any]] = []
        for turn in turns[head:]:
            if turn.name:
                self._dropped.add("name")
            if turn.role == "assistant":
                _append(contents, "model", self._said(turn.parts))
                continue
            if turn.role in _SYSTEM:
                # In a user's mouth it has less weight.
                self._dropped.add("system")
            _append(contents, "user", self._given(turn.parts))
        if not contents and system:
            self._dropped.add("system")
            system, contents = [], [{"role": "user", "parts": system}]
        if not contents:
            raise Untranslatable("messages", "There is no message with anything in it.")
        for content in contents:
            content["parts"].sort(key=self._place)
        if self._model.wants_signatures:
            _mark_foreign(contents)
        return Contents(system, contents)

    def _place(self, part: dict[str, Any]) -> int:
        """Results first, in the order of their calls; Google names that order by counting them."""
        result = part.get("functionResponse")
        if result is None:
            return len(self._calls) + 1
        return self._calls.get(result["id"], ("", len(self._calls)))[1]

    def _words(self, parts: Iterable[Part]) -> list[dict[str, Any]]:
        words = []
        for part in parts:
            if isinstance(part, Text):
                words += self._text(part)
            else:
                self._dropped.add("system")
        return words

    def _given(self, parts: Iterable[Part]) -> list[dict[str, Any]]:
        given: list[dict[str, Any]] = []
        for part in parts:
            if isinstance(part, Text):
                given += self._text(part)
            elif isinstance(part, Media):
                given.append(self._media(part))
            elif isinstance(part, ToolResult):
                given += self._result(part)
        return given

    def _said(self, parts: Sequence[Part]) -> list[dict[str, Any]]:
        said: list[dict[str, Any]] = []
        # A text's signature that came before its text: chats have all thinking first.
        waiting = ""
        for part in parts:
            if isinstance(part, Text):
                if part.citations:
                    self._dropped.add("citations")
                said += self._text(part)
                if waiting and part.text:
                    said[-1]["thoughtSignature"] = waiting
                    waiting = ""
            elif isinstance(part, ToolCall):
                said.append(self._call(part))
            elif isinstance(part, Media):
                self._dropped.add(part.kind)
            elif isinstance(part, Thinking):
                waiting = self._think(part, said) or waiting
        if waiting:
            said.append({"text": "", "thoughtSignature": waiting})
        return said

    def _think(self, part: Thinking, said: list[dict[str, Any]]) -> str:
        """Adds a thought that Google can vouch for; gives back the signature of a text to come."""
        signature = signatures.own(part.opaque)
        if not signature or part.opaque is None:
            self._dropped.add("thinking")
            return ""
        if not part.text and said and said[-1].keys() == {"text"}:
            said[-1]["thoughtSignature"] = signature
            return ""
        if part.opaque.item_id == signatures.OF_TEXT:
            return signature
        said.append({"text": part.text, "thought": True, "thoughtSignature": signature})
        return ""

    def _text(self, part: Text) -> list[dict[str, Any]]:
        if part.cache:
            self._dropped.add("cache")
        return [{"text": part.text}] if part.text else []

    def _call(self, call: ToolCall) -> dict[str, Any]:
        flat = self._tools.call(call)
        self._calls[call.call_id] = flat.name, len(self._calls)
        if call.cache:
            self._dropped.add("cache")
        function = {"id": call.call_id, "name": flat.name, "args": _object(flat.arguments)}
        written: dict[str, Any] = {"functionCall": function}
        if signature := signatures.own(call.opaque):
            written["thoughtSignature"] = signature
        elif call.opaque is not None:
            self._dropped.add("thinking.opaque")
        return written

    def _result(self, result: ToolResult) -> list[dict[str, Any]]:
        if result.cache or any(part.cache for part in result.parts):
            self._dropped.add("cache")
        words = "\n".join(part.text for part in result.parts if isinstance(part, Text))
        media = [self._media(part) for part in result.parts if isinstance(part, Media)]
        known = self._calls.get(result.call_id)
        name = known[0] if known else self._tools.name("", result.name or result.call_id)
        response = _value(words)
        if result.is_error:
            response = {"error": words}
        elif not isinstance(response, dict):
            response = {"output": words}
        function = {"id": result.call_id, "name": name, "response": response}
        if media and self._model.takes_media_in_results:
            return [{"functionResponse": {**function, "parts": media}}]
        return [{"functionResponse": function}, *media]

    def _media(self, part: Media) -> dict[str, Any]:
        if part.cache:
            self._dropped.add("cache")
        if part.detail not in ("", "auto"):
            self._dropped.add("image.detail")
        if part.kind in ("audio", "video"):
            raise Untranslatable(part.kind, "Sound and film have no price yet.")
        if part.text:
            name = f"{part.name}\n\n" if part.name else ""
            return {"text": f"{name}{part.text}"}
        usual = "image/png" if part.kind == "image" else "application/pdf"
        if part.data:
            return {"inlineData": {"mimeType": part.media_type or usual, "data": part.data}}
        if not part.url:
            raise Untranslatable("file_id", "The model's vendor does not have this stored file.")
        guessed, _ = mimetypes.guess_type(urlsplit(part.url).path)
        kind = part.media_type or guessed or ("image/jpeg" if part.kind == "image" else usual)
        return {"fileData": {"mimeType": kind, "fileUri": part.url}}


def _append(contents: list[dict[str, Any]], role: str, parts: list[dict[str, Any]]) -> None:
    if not parts:
        return
    if contents and contents[-1]["role"] == role:
        contents[-1]["parts"] += parts
    else:
        contents.append({"role": role, "parts": parts})


def _mark_foreign(contents: Sequence[dict[str, Any]]) -> None:
    """In the turn that goes on, the first call of each answer has to have a signature."""
    for content in reversed(contents):
        if content["role"] == "user":
            if not any("functionResponse" in part for part in content["parts"]):
                return
            continue
        first = next((part for part in content["parts"] if "functionCall" in part), None)
        if first is not None and "thoughtSignature" not in first:
            first["thoughtSignature"] = signatures.FOREIGN_CALL


def _value(text: str) -> Any:
    try:
        value = documents.read(text)
        # What is nested more deeply than can be written is no value: a TypeError.
        documents.written(value)
    except (ValueError, TypeError):
        return None
    return value


def _object(arguments: str) -> dict[str, Any]:
    """Arguments as an object; what is none is wrapped in one."""
    if not arguments.strip():
        return {}
    value = _value(arguments)
    return value if isinstance(value, dict) else {_WRAPPER: arguments}
