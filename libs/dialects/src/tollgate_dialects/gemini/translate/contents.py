"""The turns of a conversation as contents.

Promises: a user speaks first, and last where the model wants that; the results of a content's calls
are the content behind it, with nothing else in it, in the order of the calls, for they are told
apart by names and places alone; else who speaks changes from content to content; a signature goes
back only to Google, to the part that it came with, and calls of other makers are marked as such
where a model refuses one without.
"""

import mimetypes
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
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
# What a user is made to say where Google wants one to speak and nobody has.
_BEGIN: Final = "Begin."
_GO_ON: Final = "Go on."
# Where what is no JSON object stands inside of one.
_WRAPPER: Final = "arguments"


class Contents(NamedTuple):
    """The parts of the system's words, and the contents."""

    system: list[dict[str, Any]]
    contents: list[dict[str, Any]]


@dataclass(slots=True)
class _Content:
    """What one side says, and what its calls gave: of each result its call's place, and itself."""

    role: str
    parts: list[dict[str, Any]] = field(default_factory=list)
    calls: int = 0
    results: list[tuple[int, dict[str, Any]]] = field(default_factory=list)


class _Called(NamedTuple):
    """A call: its function's name, where it was made, and its place there."""

    name: str
    content: _Content
    place: int


class ContentsWriter:
    """Writes the contents of one request, and notes what they could not carry."""

    def __init__(self, tools: FlatTools, model: Model, dropped: set[str]) -> None:
        self._tools = tools
        self._model = model
        self._dropped = dropped
        self._contents: list[_Content] = []
        # By their ids, which some clients give again: the calls of the last content with such.
        self._calls: dict[str, deque[_Called]] = {}

    def write(self, turns: Sequence[Turn]) -> Contents:
        """All that is said, in order. Raises Untranslatable where nothing is."""
        head = 0
        while head < len(turns) and turns[head].role in _SYSTEM:
            head += 1
        system = [part for turn in turns[:head] for part in self._words(turn.parts)]
        for turn in turns[head:]:
            if turn.name:
                self._dropped.add("name")
            if turn.role == "assistant":
                self._answer(turn.parts)
                continue
            if turn.role in _SYSTEM:
                # In a user's mouth it has less weight.
                self._dropped.add("system")
            if given := self._given(turn.parts):
                self._open("user").parts += given
        contents = list(self._written())
        if not contents and system:
            self._dropped.add("system")
            system, contents = [], [{"role": "user", "parts": system}]
        if not contents:
            raise Untranslatable("messages", "There is no message with anything in it.")
        if contents[0]["role"] == "model":
            contents.insert(0, _asked(_BEGIN))
        if contents[-1]["role"] == "model" and not self._model.takes_prefill:
            self._dropped.add("prefill")
            contents.append(_asked(_GO_ON))
        if self._model.wants_signatures:
            _mark_foreign(contents)
        return Contents(system, contents)

    def _written(self) -> Iterator[dict[str, Any]]:
        for content in self._contents:
            if content.parts:
                yield {"role": content.role, "parts": content.parts}
            if content.results:
                results = sorted(content.results, key=itemgetter(0))
                yield {"role": "user", "parts": [result for _, result in results]}

    def _open(self, role: str) -> _Content:
        """The content to which one side adds: its own last one, unless results follow that."""
        last = self._contents[-1] if self._contents else None
        if last is None or last.role != role or last.results:
            last = _Content(role)
            self._contents.append(last)
        return last

    def _answer(self, parts: Sequence[Part]) -> None:
        said = self._said(parts)
        if not said:
            return
        content = self._open("model")
        content.parts += said
        for call in parts:
            if isinstance(call, ToolCall):
                name = self._tools.name(call.namespace, call.name)
                called = _Called(name, content, content.calls)
                content.calls += 1
                before = self._calls.get(call.call_id)
                if before and before[0].content is content:
                    before.append(called)
                else:
                    self._calls[call.call_id] = deque((called,))

    def _called(self, result: ToolResult) -> _Called:
        """The call that a result is of; for one of none, a place behind the last calls."""
        if calls := self._calls.get(result.call_id):
            return calls.popleft() if len(calls) > 1 else calls[0]
        if not self._contents or self._contents[-1].role != "model":
            self._contents.append(_Content("model"))
        content = self._contents[-1]
        name = self._tools.name("", result.name or result.call_id)
        return _Called(name, content, content.calls)

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
        if call.cache:
            self._dropped.add("cache")
        # Without its id, which Vertex refuses.
        function = {"name": flat.name, "args": _object(flat.arguments)}
        written: dict[str, Any] = {"functionCall": function}
        if signature := signatures.own(call.opaque):
            written["thoughtSignature"] = signature
        elif call.opaque is not None:
            self._dropped.add("thinking.opaque")
        return written

    def _result(self, result: ToolResult) -> list[dict[str, Any]]:
        """Adds a result to its call's; gives back what it has no place for."""
        if result.cache or any(part.cache for part in result.parts):
            self._dropped.add("cache")
        # A document that is a text, too: the parts of a result have no place for one.
        told = (part for part in result.parts if isinstance(part, Text) or part.text)
        words = "\n".join(map(_words_of, told))
        media = [
            self._media(part) for part in result.parts if isinstance(part, Media) and not part.text
        ]
        called = self._called(result)
        response = _value(words)
        if result.is_error:
            response = {"error": words}
        elif not isinstance(response, dict) or _refers(response):
            response = {"output": words}
        function: dict[str, Any] = {"name": called.name, "response": response}
        if self._model.takes_media_in_results and media:
            function["parts"], media = media, []
        called.content.results.append((called.place, {"functionResponse": function}))
        return media

    def _media(self, part: Media) -> dict[str, Any]:
        if part.cache:
            self._dropped.add("cache")
        if part.detail not in ("", "auto"):
            self._dropped.add("image.detail")
        if part.kind in ("audio", "video"):
            raise Untranslatable(part.kind, "Sound and film have no price yet.")
        if part.text:
            return {"text": _words_of(part)}
        usual = "image/png" if part.kind == "image" else "application/pdf"
        if part.data:
            return {"inlineData": {"mimeType": part.media_type or usual, "data": part.data}}
        if not part.url:
            raise Untranslatable("file_id", "The model's vendor does not have this stored file.")
        guessed, _ = mimetypes.guess_type(urlsplit(part.url).path)
        kind = part.media_type or guessed or ("image/jpeg" if part.kind == "image" else usual)
        return {"fileData": {"mimeType": kind, "fileUri": part.url}}


def _words_of(part: Text | Media) -> str:
    """What a part says in words; a document that is a text has its name above it."""
    name = f"{part.name}\n\n" if isinstance(part, Media) and part.text and part.name else ""
    return f"{name}{part.text}"


def _mark_foreign(contents: Sequence[dict[str, Any]]) -> None:
    """In the turn that goes on, the first call of each answer has to have a signature."""
    for at in range(len(contents) - 1, -1, -1):
        content = contents[at]
        if content["role"] == "user":
            # Words right behind results go on with them.
            if not any(_has_results(one) for one in contents[max(at - 1, 0) : at + 1]):
                return
            continue
        first = next((part for part in content["parts"] if "functionCall" in part), None)
        if first is not None and "thoughtSignature" not in first:
            first["thoughtSignature"] = signatures.FOREIGN_CALL


def _asked(words: str) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": words}]}


def _has_results(content: dict[str, Any]) -> bool:
    return any("functionResponse" in part for part in content["parts"])


def _value(text: str) -> Any:
    try:
        value = documents.read(text)
        # What is nested more deeply than can be written is no value: a TypeError.
        documents.written(value)
    except (ValueError, TypeError):
        return None
    return value


def _refers(response: dict[str, Any]) -> bool:
    """Whether Google would take a member of it for the name of a picture in the result."""
    return b'"$ref"' in documents.written(response)


def _object(arguments: str) -> dict[str, Any]:
    """Arguments as an object; what is none is wrapped in one."""
    if not arguments.strip():
        return {}
    value = _value(arguments)
    return value if isinstance(value, dict) else {_WRAPPER: arguments}
