"""A client's request for a response, in the one form.

Promises that only BadRequest leaves; that what the model said in one go is one turn, in the order
of its items; and that what a vendor keeps, which no other has, is never taken for nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tollgate_dialects.common import shapes
from tollgate_dialects.common.refusal import (
    BadRequest,
    Code,
    stored_item,
    wrong_type,
)
from tollgate_dialects.conversation.answer import AnswerPart
from tollgate_dialects.conversation.parts import Cache, Media, Origin, Text, Thinking, ToolResult
from tollgate_dialects.conversation.request import Request, Role, Turn
from tollgate_dialects.openai_responses.translate import said, settings, tools

_ROLES: Final[Mapping[str, Role]] = {
    "system": "system", "developer": "developer", "user": "user", "assistant": "assistant",
}  # fmt: skip
_RESULTS: Final = frozenset(("function_call_output", "custom_tool_call_output"))
# What tools of a vendor's did, and what only its words tell of.
_UNHELD: Final = frozenset(
    ("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call",
     "computer_call", "computer_call_output", "local_shell_call", "local_shell_call_output",
     "shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output",
     "mcp_list_tools", "mcp_approval_request", "mcp_approval_response", "mcp_call",
     "tool_search_call", "tool_search_output")
)  # fmt: skip


def read(document: Mapping[str, Any]) -> Request:
    """The request in a document that the strict reader has accepted. Raises BadRequest."""
    try:
        return _read(document)
    except shapes.ShapeError as bad:
        raise wrong_type(bad.param, bad.expected) from None


def _read(document: Mapping[str, Any]) -> Request:
    turns: list[Turn] = []
    if instructions := shapes.text(document, "instructions"):
        turns.append(Turn("system", (Text(instructions),)))
    unheld = settings.unheld(document)
    given = document.get("input")
    if isinstance(given, str):
        turns.append(Turn("user", (Text(given),) if given else ()))
    else:
        turns += _turns(shapes.items(document, "input"), unheld)
    return Request(
        model=shapes.text(document, "model"),
        turns=tuple(turns),
        stream=bool(shapes.flag(document, "stream")),
        tools=tuple(tools.read(document)),
        tool_choice=tools.read_choice(document),
        unheld=frozenset(unheld),
        **settings.read(document),
    )


def _turns(items: list[dict[str, Any]], unheld: set[str]) -> Iterator[Turn]:
    """Items of the model that stand one after another are one turn, and so are results."""
    spoken: list[AnswerPart] = []
    results: list[ToolResult] = []
    for item in items:
        kind = said.kind_of(item)
        role = _role(item) if kind == "message" else None
        if kind in said.KINDS and role in (None, "assistant"):
            yield from _results(results)
            spoken += said.parts_of(item)
        elif kind in _RESULTS:
            yield from _spoken(spoken)
            results.append(_result(item))
        elif role is not None:
            yield from _spoken(spoken)
            yield from _results(results)
            yield Turn(role, tuple(_parts(item, "content")))
        else:
            _pass_over(kind, unheld)
            _forget_thinking(spoken, unheld)
    yield from _spoken(spoken)
    yield from _results(results)


def _role(item: Mapping[str, Any]) -> Role:
    role = _ROLES.get(shapes.text(item, "role"))
    if role is None:
        raise shapes.ShapeError("role", "system, developer, user or assistant")
    return role


def _spoken(parts: list[AnswerPart]) -> Iterator[Turn]:
    if parts:
        yield Turn("assistant", tuple(said.reunited(parts)))
        parts.clear()


def _results(results: list[ToolResult]) -> Iterator[Turn]:
    if results:
        yield Turn("user", tuple(results))
        results.clear()


def _pass_over(kind: str, unheld: set[str]) -> None:
    if kind in ("item_reference", ""):
        raise stored_item()
    if kind == "compaction":
        # All that was said before is in there.
        raise BadRequest(
            Code.UNSUPPORTED_PARAMETER,
            "A compacted conversation can be read by the vendor that made it alone.",
            "input",
        )
    if kind in _UNHELD:
        unheld.add(kind)
    elif kind != "additional_tools":
        unheld.add("input.other")


def _forget_thinking(spoken: list[AnswerPart], unheld: set[str]) -> None:
    """OpenAI takes its thinking back only with the item that followed it, which is not held."""
    while spoken and isinstance(last := spoken[-1], Thinking):
        if last.opaque is None or last.opaque.origin is not Origin.OPENAI:
            return
        spoken.pop()
        unheld.add("thinking")


def _result(item: Mapping[str, Any]) -> ToolResult:
    return ToolResult(
        shapes.text(item, "call_id"), tuple(_parts(item, "output")), cache=_cache(item)
    )


def _parts(holder: Mapping[str, Any], name: str) -> Iterator[Text | Media]:
    content = holder.get(name)
    if not isinstance(content, list):
        if text := shapes.text(holder, name):
            yield Text(text)
        return
    for part in shapes.items(holder, name):
        yield _part(part)


def _part(part: Mapping[str, Any]) -> Text | Media:
    match shapes.text(part, "type"):
        case "input_text" | "output_text" | "text" | "":
            return Text(shapes.text(part, "text"), cache=_cache(part))
        case "refusal":
            return Text(shapes.text(part, "refusal"), is_refusal=True)
        case "input_image":
            return _picture(part)
        case "input_file":
            return _file(part)
        case "input_audio":
            sound = shapes.item(part, "input_audio")
            data, kind = shapes.text(sound, "data"), shapes.text(sound, "format")
            if not data:
                raise shapes.ShapeError("input_audio", "an object with data")
            return Media("audio", f"audio/{kind}" if kind else "", data=data)
    raise shapes.ShapeError("type", "a kind of part that is known here")


def _picture(part: Mapping[str, Any]) -> Media:
    url, file_id = shapes.text(part, "image_url"), shapes.text(part, "file_id")
    if not (url or file_id):
        raise shapes.ShapeError("image_url", "there")
    media_type, data = _data_url(url)
    detail = shapes.text(part, "detail")
    return Media(
        "image",
        media_type,
        data=data,
        url="" if data else url,
        file_id="" if url else file_id,
        # What it is unsaid.
        detail="" if detail == "auto" else detail,
        cache=_cache(part),
    )


def _file(part: Mapping[str, Any]) -> Media:
    given, url = shapes.text(part, "file_data"), shapes.text(part, "file_url")
    file_id = shapes.text(part, "file_id")
    if not (given or url or file_id):
        raise shapes.ShapeError("input_file", "an object with file_data, file_url or file_id")
    media_type, data = _data_url(given)
    return Media(
        "document",
        media_type or ("application/pdf" if given else ""),
        data=data or given,
        url="" if given else url,
        file_id="" if given or url else file_id,
        name=shapes.text(part, "filename"),
        cache=_cache(part),
    )


def _data_url(url: str) -> tuple[str, str]:
    """Media type and base64; both empty for what is no such URL."""
    head, comma, data = url.partition(";base64,")
    if not comma or not head.startswith("data:"):
        return "", ""
    return head.removeprefix("data:"), data


def _cache(part: Mapping[str, Any]) -> Cache:
    return "5m" if isinstance(part.get("prompt_cache_breakpoint"), dict) else ""
