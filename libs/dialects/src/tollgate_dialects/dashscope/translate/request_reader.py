"""A client's generation in the one form.

Takes messages and the older prompt with its history. Promises that only BadRequest leaves, and that
a parameter which has no place in the one form is kept as it is.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tollgate_dialects.common import shapes
from tollgate_dialects.common.refusal import wrong_type
from tollgate_dialects.conversation.parts import (
    Cache,
    FunctionTool,
    HostedTool,
    Media,
    Opaque,
    Origin,
    Part,
    Seal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from tollgate_dialects.conversation.request import Request, Role, ToolChoice, Turn
from tollgate_dialects.dashscope import limits
from tollgate_dialects.dashscope.translate import settings, signature, style

_ROLES: Final[Mapping[str, Role]] = {
    "system": "system", "user": "user", "assistant": "assistant",
}  # fmt: skip
# Where a file stands that only DashScope can read.
_STORED: Final = ("oss://", "file://", "fileid://")


def read(document: Mapping[str, Any]) -> Request:
    """The request in a document that the strict reader has accepted. Raises BadRequest."""
    try:
        return _read(document)
    except shapes.ShapeError as bad:
        raise wrong_type(bad.param, bad.expected) from None


def _read(document: Mapping[str, Any]) -> Request:
    asked = shapes.item(document, "input")
    parameters = shapes.item(document, limits.PARAMETERS)
    tools = tuple(_tools(parameters))
    return Request(
        model=shapes.text(document, "model"),
        turns=tuple(_turns(asked)),
        tools=tools,
        tool_choice=_tool_choice(parameters),
        origin=Origin.ALIBABA,
        told_as=style.read(document),
        **settings.read(document, has_tools=bool(tools)),
    )


def _turns(asked: Mapping[str, Any]) -> Iterator[Turn]:
    """Results of tools that stand one after another are one turn."""
    for said in shapes.items(asked, "history"):
        yield Turn("user", (Text(shapes.text(said, "user")),))
        yield Turn("assistant", (Text(shapes.text(said, "bot")),))
    results: list[Part] = []
    for message in shapes.items(asked, "messages"):
        role = shapes.text(message, "role")
        if role == "tool":
            results.append(_result(message))
            continue
        if results:
            yield Turn("user", tuple(results))
            results = []
        if role not in _ROLES:
            raise shapes.ShapeError("role", "system, user, assistant or tool")
        parts = _assistant(message) if role == "assistant" else list(_parts(message))
        yield Turn(_ROLES[role], tuple(parts), shapes.text(message, "name"))
    if results:
        yield Turn("user", tuple(results))
    if prompt := shapes.text(asked, "prompt"):
        yield Turn("user", (Text(prompt),))


def _result(message: Mapping[str, Any]) -> ToolResult:
    parts = [part for part in _parts(message) if isinstance(part, (Text, Media))]
    name = shapes.text(message, "name")
    return ToolResult(shapes.text(message, "tool_call_id") or name, tuple(parts), name=name)


def _parts(message: Mapping[str, Any]) -> Iterator[Part]:
    if not isinstance(message.get("content"), list):
        text = shapes.text(message, "content")
        if text:
            yield Text(text, cache=_cache(message))
        return
    for part in shapes.items(message, "content"):
        yield from _part(part)


def _part(part: Mapping[str, Any]) -> Iterator[Part]:
    kind = shapes.text(part, "type")
    if "image" in part and kind in ("", "image"):
        yield _picture(part)
        if "text" in part:
            yield Text(shapes.text(part, "text"))
    elif kind == "doc_url":
        addresses = part.get("doc_url")
        for address in addresses if isinstance(addresses, list) else [addresses]:
            if not isinstance(address, str):
                raise shapes.ShapeError("doc_url", "an array of texts")
            yield Media("document", url=address, cache=_cache(part))
    elif "text" in part and kind in ("", "text"):
        yield Text(shapes.text(part, "text"), cache=_cache(part))
    else:
        raise shapes.ShapeError("content", "an array of texts and pictures")


def _picture(part: Mapping[str, Any]) -> Media:
    address = shapes.text(part, "image")
    head, comma, data = address.partition(";base64,")
    cache = _cache(part)
    if comma and head.startswith("data:"):
        return Media("image", head.removeprefix("data:"), data=data, cache=cache)
    if address.startswith(_STORED):
        return Media("image", file_id=address, cache=cache)
    if not address:
        raise shapes.ShapeError("image", "an address")
    return Media("image", url=address, cache=cache)


def _cache(holder: Mapping[str, Any]) -> Cache:
    return "5m" if isinstance(holder.get("cache_control"), dict) else ""


def _assistant(message: Mapping[str, Any]) -> list[Part]:
    """Thinking, words and calls, in the order in which they were said."""
    parts: list[Part] = []
    thought = shapes.text(message, "reasoning_content")
    opaque = signature.read(shapes.text(message, signature.NAME), thought)
    if thought or opaque:
        parts.append(Thinking(thought, opaque))
    parts += [part for part in _parts(message) if isinstance(part, (Text, Media))]
    for call in shapes.items(message, "tool_calls"):
        function = shapes.item(call, "function")
        name = shapes.text(function, "name")
        parts.append(
            ToolCall(
                shapes.text(call, "id") or name,
                name,
                shapes.text(function, "arguments"),
                opaque=_google_signature(call),
            )
        )
    return parts


def _google_signature(call: Mapping[str, Any]) -> Opaque | None:
    """Google's signature of a call, where our answers have it."""
    google = shapes.item(shapes.item(call, "extra_content"), "google")
    data = shapes.text(google, "thought_signature")
    return Opaque(Origin.GOOGLE, Seal.SIGNATURE, data) if data else None


def _tools(parameters: Mapping[str, Any]) -> Iterator[Tool]:
    for tool in shapes.items(parameters, "tools"):
        kind = shapes.text(tool, "type") or "function"
        if kind != "function":
            yield HostedTool(kind, dict(tool))
            continue
        function = shapes.item(tool, "function")
        yield FunctionTool(
            shapes.text(function, "name"),
            shapes.text(function, "description"),
            shapes.item(function, "parameters") or None,
            shapes.flag(function, "strict"),
        )


def _tool_choice(parameters: Mapping[str, Any]) -> ToolChoice | None:
    choice = parameters.get("tool_choice")
    if choice is None:
        return None
    if isinstance(choice, str):
        match choice:
            case "auto" | "none" | "required":
                return ToolChoice(choice)
    if isinstance(choice, dict) and (name := shapes.text(shapes.item(choice, "function"), "name")):
        return ToolChoice("required", (name,))
    raise shapes.ShapeError("tool_choice", "auto, none or an object that names a tool")
