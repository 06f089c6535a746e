"""A client's chat in the one form.

Takes what OpenAI takes and what clients of other vendors add. Promises that only BadRequest leaves,
and that a member at the top which has no place in the one form is kept as it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tollgate_dialects.common import shapes
from tollgate_dialects.common.refusal import wrong_type
from tollgate_dialects.conversation.assembly import Call, Thought, Words
from tollgate_dialects.conversation.parts import (
    Cache,
    FunctionTool,
    HostedTool,
    Media,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from tollgate_dialects.conversation.request import Request, Role, ToolChoice, Turn
from tollgate_dialects.openai_chat.translate import said, settings

_ROLES: Final[Mapping[str, Role]] = {
    "system": "system", "developer": "developer", "user": "user", "assistant": "assistant",
}  # fmt: skip
_RESULTS: Final = frozenset(("tool", "function"))


def read(document: Mapping[str, Any]) -> Request:
    """The request in a document that the strict reader has accepted. Raises BadRequest."""
    try:
        return _read(document)
    except shapes.ShapeError as bad:
        raise wrong_type(bad.param, bad.expected) from None


def _read(document: Mapping[str, Any]) -> Request:
    options = shapes.item(document, "stream_options")
    return Request(
        model=shapes.text(document, "model"),
        turns=tuple(_turns(shapes.items(document, "messages"))),
        stream=bool(shapes.flag(document, "stream")),
        wants_usage=bool(shapes.flag(options, "include_usage")),
        tools=tuple(_tools(document)),
        tool_choice=_tool_choice(document),
        **settings.read(document),
    )


class _Ids:
    """Ids for calls without one: an old function's has none, and its result but the name."""

    def __init__(self) -> None:
        self._given: set[str] = set()
        # The name and the id of each that has no result yet.
        self._waiting: list[tuple[str, str]] = []

    def of_call(self, call: Call) -> str:
        """The call's own, or its name; with a number where there were others of it."""
        if call.call_id:
            self._given.add(call.call_id)
            return call.call_id
        call_id, number = call.name, 1
        while call_id in self._given:
            number += 1
            call_id = f"{call.name}_{number}"
        self._given.add(call_id)
        self._waiting.append((call.name, call_id))
        return call_id

    def of_result(self, name: str) -> str:
        """That of the first call of this name that waits for its result."""
        for place, (called, call_id) in enumerate(self._waiting):
            if name in ("", called):
                del self._waiting[place]
                return call_id
        return name


def _turns(messages: Sequence[Mapping[str, Any]]) -> Iterator[Turn]:
    """Results of tools that stand one after another are one turn."""
    results: list[Part] = []
    ids = _Ids()
    for message in messages:
        role = shapes.text(message, "role")
        if role in _RESULTS:
            results.append(_result(message, ids))
            continue
        if results:
            yield Turn("user", tuple(results))
            results = []
        if role not in _ROLES:
            raise shapes.ShapeError("role", "system, developer, user, assistant or tool")
        parts = _assistant(message, ids) if role == "assistant" else _parts(message)
        yield Turn(_ROLES[role], tuple(parts), shapes.text(message, "name"))
    if results:
        yield Turn("user", tuple(results))


def _result(message: Mapping[str, Any], ids: _Ids) -> ToolResult:
    parts = [part for part in _parts(message) if isinstance(part, (Text, Media))]
    name = shapes.text(message, "name")
    call_id = shapes.text(message, "tool_call_id") or ids.of_result(name)
    return ToolResult(call_id, tuple(parts), name=name, cache=_cache(message))


def _parts(message: Mapping[str, Any]) -> Iterator[Part]:
    content = message.get("content")
    if not isinstance(content, list):
        text = shapes.text(message, "content")
        if text:
            yield Text(text, cache=_cache(message))
        return
    for part in content:
        if isinstance(part, str):
            yield Text(part)
        elif isinstance(part, dict):
            yield from _part(part)
        else:
            raise shapes.ShapeError("content", "an array of objects")


def _part(part: Mapping[str, Any]) -> Iterator[Part]:
    match shapes.text(part, "type"):
        case "text" | "input_text" | "output_text" | "":
            yield Text(shapes.text(part, "text"), cache=_cache(part))
        case "refusal":
            yield Text(shapes.text(part, "refusal"), is_refusal=True)
        case "image_url" | "input_image":
            yield _picture(part)
        case "input_audio":
            sound = shapes.item(part, "input_audio")
            kind = shapes.text(sound, "format")
            yield Media("audio", f"audio/{kind}" if kind else "", data=_needed(sound, "data"))
        case "video_url":
            yield Media("video", url=_needed(shapes.item(part, "video_url"), "url"))
        case "file":
            yield _file(part)
        case _:
            raise shapes.ShapeError("type", "a kind of part that is known here")


def _picture(part: Mapping[str, Any]) -> Media:
    image = part.get("image_url")
    holder = image if isinstance(image, dict) else {"url": image}
    url, detail = shapes.text(holder, "url"), shapes.text(holder, "detail")
    if not url:
        raise shapes.ShapeError("image_url", "an object with a url")
    media_type, data = _data_url(url)
    return Media(
        "image",
        media_type,
        data=data,
        url="" if data else url,
        detail=detail,
        cache=_cache(part),
    )


def _file(part: Mapping[str, Any]) -> Media:
    file = shapes.item(part, "file")
    if not (file.get("file_data") or file.get("file_id")):
        raise shapes.ShapeError("file", "an object with file_data or file_id")
    media_type, data = _data_url(shapes.text(file, "file_data"))
    return Media(
        "document",
        media_type or "application/pdf",
        data=data or shapes.text(file, "file_data"),
        file_id=shapes.text(file, "file_id"),
        name=shapes.text(file, "filename"),
        cache=_cache(part),
    )


def _needed(holder: Mapping[str, Any], name: str) -> str:
    value = shapes.text(holder, name)
    if not value:
        raise shapes.ShapeError(name, "there")
    return value


def _data_url(url: str) -> tuple[str, str]:
    """Media type and base64; both empty for what is no such URL."""
    head, comma, data = url.partition(";base64,")
    if not comma or not head.startswith("data:"):
        return "", ""
    return head.removeprefix("data:"), data


def _cache(holder: Mapping[str, Any]) -> Cache:
    """OpenAI's breakpoint, or Anthropic's mark, which many gateways take in a chat.

    Never for an hour: a chat is bounded by what a cache costs for minutes.
    """
    marks = (holder.get("cache_control"), holder.get("prompt_cache_breakpoint"))
    return "5m" if any(isinstance(mark, dict) for mark in marks) else ""


def _assistant(message: Mapping[str, Any], ids: _Ids) -> list[Part]:
    """Thinking, words and calls, in the order in which they were said."""
    parts: list[Part] = []
    for piece in said.pieces_of(message):
        match piece:
            case Thought(text, opaque):
                if opaque and not text and _seal_call(parts, piece):
                    continue
                parts.append(Thinking(text, opaque))
            case Words(text, is_refusal, citations):
                parts.append(Text(text, citations, is_refusal))
            case Call():
                parts.append(
                    ToolCall(
                        ids.of_call(piece),
                        piece.name,
                        piece.arguments,
                        takes_text=piece.takes_text,
                        opaque=piece.opaque,
                    )
                )
    return _joined(parts)


def _seal_call(parts: list[Part], thought: Thought) -> bool:
    """Give a call the signature that stands under its id among the details."""
    opaque = thought.opaque
    assert opaque is not None, "the caller has looked"
    for place, part in enumerate(parts):
        if isinstance(part, ToolCall) and part.call_id == opaque.item_id and not part.opaque:
            parts[place] = ToolCall(
                part.call_id, part.name, part.arguments, part.namespace, part.takes_text, opaque
            )
            return True
    return False


def _joined(parts: Sequence[Part]) -> list[Part]:
    """A signature that stands behind its thinking belongs to it, unless it has another's name."""
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if (
            isinstance(part, Thinking)
            and isinstance(last, Thinking)
            and part.opaque
            and not part.text
            and not last.opaque
            and part.opaque.seal == "signature"
            and not part.opaque.item_id
        ):
            joined[-1] = Thinking(last.text, part.opaque)
        else:
            joined.append(part)
    return joined


def _tools(document: Mapping[str, Any]) -> Iterator[Tool]:
    for tool in shapes.items(document, "tools"):
        kind = shapes.text(tool, "type") or "function"
        if kind == "function":
            yield _function(shapes.item(tool, "function"), _cache(tool))
        elif kind == "custom":
            custom = shapes.item(tool, "custom")
            grammar = shapes.item(custom, "format").get("grammar")
            yield FunctionTool(
                shapes.text(custom, "name"),
                shapes.text(custom, "description"),
                takes_text=True,
                grammar=grammar if isinstance(grammar, dict) else None,
            )
        else:
            yield HostedTool(kind, dict(tool))
    for function in shapes.items(document, "functions"):
        yield _function(function, "")


def _function(function: Mapping[str, Any], cache: Cache) -> FunctionTool:
    return FunctionTool(
        shapes.text(function, "name"),
        shapes.text(function, "description"),
        shapes.item(function, "parameters") or None,
        shapes.flag(function, "strict"),
        cache=cache,
    )


def _tool_choice(document: Mapping[str, Any]) -> ToolChoice | None:
    choice = document.get("tool_choice")
    if choice is None:
        choice = document.get("function_call")
    if choice is None:
        return None
    if isinstance(choice, str):
        match choice:
            case "auto" | "none" | "required":
                return ToolChoice(choice)
            case "any":
                return ToolChoice("required")
        raise shapes.ShapeError("tool_choice", "auto, none, required or an object")
    if not isinstance(choice, dict):
        raise shapes.ShapeError("tool_choice", "auto, none, required or an object")
    allowed = shapes.item(choice, "allowed_tools")
    if allowed:
        names = tuple(_named(tool) for tool in shapes.items(allowed, "tools"))
        return ToolChoice("required" if allowed.get("mode") == "required" else "auto", names)
    return ToolChoice("required", (_named(choice),))


def _named(choice: Mapping[str, Any]) -> str:
    holder = shapes.item(choice, "function") or shapes.item(choice, "custom") or choice
    name = shapes.text(holder, "name")
    if not name:
        raise shapes.ShapeError("tool_choice", "an object that names a tool")
    return name
