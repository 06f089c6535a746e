"""The parts of contents, read into the one form.

Owns how calls without ids are told apart: each has the number of its place in the conversation, and
a result without one is that of the first call of its name that has none yet. Promises: every part
that says something to a model is read, or is named in `unheld`.
"""

import base64
import dataclasses
import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tollgate_dialects.common import documents, shapes
from tollgate_dialects.conversation.parts import (
    Media,
    Opaque,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollgate_dialects.gemini import signatures
from tollgate_dialects.gemini.content import PDF
from tollgate_dialects.gemini.spelling import base64_of


class ContentReader:
    """Reads the contents of one request, in their order and in camelCase."""

    def __init__(self, unheld: set[str]) -> None:
        """`unheld` is filled."""
        self._unheld = unheld
        self._calls = 0
        # The ids of calls by their function's name, less those at its beginning that have a result.
        self._open: dict[str, deque[str]] = {}
        self._answered: set[str] = set()

    def parts(self, content: Mapping[str, Any]) -> list[Part]:
        """What a content says. Raises ShapeError."""
        return [part for given in shapes.items(content, "parts") for part in self._parts_of(given)]

    def _parts_of(self, part: Mapping[str, Any]) -> Iterator[Part]:
        signature = shapes.text(part, "thoughtSignature")
        if call := shapes.item(part, "functionCall"):
            yield self._call(call, signatures.read(signature))
        elif part.get("functionResponse") is not None:
            yield self._result(shapes.item(part, "functionResponse"))
        elif blob := shapes.item(part, "inlineData"):
            yield _inline(blob)
        elif file := shapes.item(part, "fileData"):
            yield _stored(file)
        elif isinstance(part.get("text"), str):
            yield from _said(part, signature)
        elif signature:
            yield from _said({**part, "text": ""}, signature)
        else:
            hosted = {"executableCode", "codeExecutionResult"} & part.keys()
            self._unheld.add("server_tool_use" if hosted else "content")

    def _call(self, call: Mapping[str, Any], opaque: Opaque | None) -> ToolCall:
        self._calls += 1
        name = shapes.text(call, "name")
        call_id = shapes.text(call, "id") or f"call_{self._calls}"
        self._open.setdefault(name, deque()).append(call_id)
        arguments = documents.written(shapes.item(call, "args")).decode()
        return ToolCall(call_id, name, arguments, opaque=opaque)

    def _result(self, result: Mapping[str, Any]) -> ToolResult:
        name = shapes.text(result, "name")
        call_id = shapes.text(result, "id") or self._waiting(name)
        self._answered.add(call_id)
        media = [media for part in shapes.items(result, "parts") for media in _media_in(part)]
        words, is_error = _words(shapes.item(result, "response"))
        texts = (Text(words),) if words else ()
        return ToolResult(call_id, (*texts, *media), is_error=is_error, name=name)

    def _waiting(self, name: str) -> str:
        """The id of the first call of a function that has no result."""
        calls = self._open.get(name)
        while calls:
            call_id = calls.popleft()
            if call_id not in self._answered:
                return call_id
        return f"call_{name}"


def _words(response: Mapping[str, Any]) -> tuple[str, bool]:
    """What a function gave: Google's usual members hold it, or it is the whole object."""
    if len(response) == 1:
        name, value = next(iter(response.items()))
        if name in ("output", "error") and isinstance(value, str) and not _is_object(value):
            return value, name == "error"
    return (documents.written(response).decode() if response else "", False)


def _is_object(text: str) -> bool:
    try:
        return isinstance(documents.read(text), dict)
    except ValueError:
        return False


def _said(part: Mapping[str, Any], signature: str) -> Iterator[Part]:
    """Words, with their signature behind them: a text has no place for one in the one form."""
    text = shapes.text(part, "text")
    if shapes.flag(part, "thought"):
        yield Thinking(text, signatures.read(signature))
        return
    opaque = signatures.read(signature, item_id=signatures.OF_TEXT)
    if text or opaque is None:
        yield Text(text)
    if opaque is not None:
        yield Thinking("", opaque)


def _media_in(part: Mapping[str, Any]) -> Iterator[Media]:
    if blob := shapes.item(part, "inlineData"):
        yield _inline(blob)
    if file := shapes.item(part, "fileData"):
        yield _stored(file)


def _inline(blob: Mapping[str, Any]) -> Media:
    kind = shapes.text(blob, "mimeType")
    data = base64_of(shapes.text(blob, "data"))
    name = shapes.text(blob, "displayName")
    if kind.startswith("image/"):
        return Media("image", kind, data=data, name=name)
    if kind == PDF:
        return Media("document", kind, data=data, name=name)
    try:
        text = base64.b64decode(data, validate=True).decode()
    except ValueError:  # of base64, and of UTF-8
        raise shapes.ShapeError("data", "a text in UTF-8 and base64") from None
    return Media("document", kind, text=text, name=name)


def _stored(file: Mapping[str, Any]) -> Media:
    kind, url = shapes.text(file, "mimeType"), shapes.text(file, "fileUri")
    name = shapes.text(file, "displayName")
    if kind.startswith("image/"):
        return Media("image", kind, url=url, name=name)
    return Media("document", kind, url=url, name=name)


def joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """What a model has said, whole: its SDK's history keeps the pieces of a stream as they came."""
    whole: list[Part] = []
    said: list[str] = []
    for part, after in itertools.zip_longest(parts, parts[1:]):
        if not isinstance(part, Text | Thinking):
            whole.append(part)
            continue
        said.append(part.text)
        if after is not None and _goes_on(part, after):
            continue
        text, said = "".join(said), []
        if text or isinstance(part, Thinking):
            whole.append(dataclasses.replace(part, text=text))
    return tuple(whole)


def _goes_on(part: Text | Thinking, after: Part) -> bool:
    """Whether the part that follows says more of the same."""
    if isinstance(part, Text):
        return isinstance(after, Text)
    if not isinstance(after, Thinking) or part.opaque is not None:
        return False
    return after.opaque is None or after.opaque.item_id != signatures.OF_TEXT
