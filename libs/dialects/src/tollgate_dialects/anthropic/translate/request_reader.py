"""A client's message, read into the one form.

Promises: all that Anthropic accepts is read; what the one form has no place for is named.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, cast

from tollgate_dialects.anthropic.translate.content_reader import ContentReader, cache_of, text_in
from tollgate_dialects.claude import reasoning
from tollgate_dialects.common.refusal import BadRequest, Code, wrong_type
from tollgate_dialects.conversation import call_input
from tollgate_dialects.conversation.parts import (
    Cache,
    FunctionTool,
    HostedTool,
    Media,
    Origin,
    Part,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from tollgate_dialects.conversation.request import (
    OutputFormat,
    Request,
    Role,
    ToolChoice,
    Turn,
)
from tollgate_dialects.request import values
from tollgate_dialects.request.content import kind_of, object_in

_BILLING_NOTE: Final = "x-anthropic-billing-header:"
_ROLES: Final = frozenset(("user", "assistant", "system"))
_KNOWN: Final = frozenset(
    ("model", "messages", "system", "max_tokens", "stream", "tools", "tool_choice", "temperature",
     "top_p", "top_k", "stop_sequences", "thinking", "output_config", "output_format", "metadata",
     "service_tier", "cache_control")
)  # fmt: skip
# What a tool may say of itself that only Anthropic acts on.
_TOOL_HINTS: Final = (
    "defer_loading",
    "allowed_callers",
    "input_examples",
    "eager_input_streaming",
)
_TIERS: Final = {"auto": "auto", "standard_only": "default", "standard": "default"}
_CHOICES: Final = {"auto": "auto", "any": "required", "tool": "required", "none": "none"}


def read(document: Mapping[str, Any]) -> Request:
    """The request of a document. Raises BadRequest."""
    unheld: set[str] = set()
    tools = _tools(document, unheld)
    schemas = {tool.name: tool.schema for tool in tools if isinstance(tool, FunctionTool)}
    reader = ContentReader(unheld, lambda name: _has_no_wrapper(schemas.get(name)))
    turns = _turns(document, reader)
    if "cache_control" in document:
        turns = _marked_last(turns, cache_of(document))
    config = object_in(document, "output_config")
    unheld |= {f"output_config.{name}" for name in config.keys() & {"task_budget"}}
    metadata = object_in(document, "metadata")
    if metadata.keys() - {"user_id"}:
        unheld.add("metadata")
    choice = _member(document, "tool_choice", dict) or {}
    return Request(
        model=text_in(document, "model"),
        turns=turns,
        stream=values.boolean(document, "stream"),
        tools=tools,
        tool_choice=_tool_choice(choice),
        parallel_tool_calls=False if choice.get("disable_parallel_tool_use") is True else None,
        max_output_tokens=values.integer(
            document, "max_tokens", lowest=0, highest=values.MAX_OUTPUT_TOKENS
        ),
        stop=_stops(document),
        temperature=_number(document, "temperature"),
        top_p=_number(document, "top_p"),
        top_k=values.integer(document, "top_k", lowest=0, highest=values.MAX_OUTPUT_TOKENS),
        reasoning=reasoning.read(document.get("thinking"), config, unheld),
        output_format=_output_format(config.get("format") or document.get("output_format")),
        user=text_in(metadata, "user_id"),
        service_tier=_tier(text_in(document, "service_tier")),
        extra={
            name: value
            for name, value in document.items()
            if name not in _KNOWN and value is not None
        },
        unheld=frozenset(unheld),
        origin=Origin.ANTHROPIC,
    )


def _member(document: Mapping[str, Any], name: str, kind: type[Any]) -> Any:
    value = document.get(name)
    if value is not None and not isinstance(value, kind):
        raise wrong_type(name, "an array" if kind is list else "an object")
    return value


def _tier(word: str) -> str:
    return _TIERS.get(word, word)


def _number(document: Mapping[str, Any], name: str) -> float | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong_type(name, "a number")
    return value


def _stops(document: Mapping[str, Any]) -> tuple[str, ...]:
    stops = _member(document, "stop_sequences", list) or ()
    if not all(isinstance(stop, str) for stop in stops):
        raise wrong_type("stop_sequences", "an array of texts")
    return tuple(stops)


def _turns(document: Mapping[str, Any], reader: ContentReader) -> tuple[Turn, ...]:
    """The system prompt first, then what was said."""
    system = tuple(
        part
        for part in reader.parts(document.get("system"), "system")
        # Claude Code's note to Anthropic's billing is new in each request: no cache would hold.
        if not (isinstance(part, Text) and part.text.startswith(_BILLING_NOTE))
    )
    turns = [Turn("system", system)] if system else []
    for message in _member(document, "messages", list) or ():
        if not isinstance(message, dict):
            raise wrong_type("messages", "an array of objects")
        role = message.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise BadRequest(Code.INVALID_VALUE, "This role is not known.", "messages.role")
        turns.append(Turn(cast("Role", role), reader.parts(message.get("content"), "content")))
    return tuple(turns)


def _marked_last(turns: tuple[Turn, ...], cache: Cache) -> tuple[Turn, ...]:
    """A mark on the whole request is one on the last part that can have one."""
    for at in range(len(turns) - 1, -1, -1):
        parts = turns[at].parts
        for place in range(len(parts) - 1, -1, -1):
            part = parts[place]
            if isinstance(part, Text | Media | ToolCall | ToolResult):
                marked: Part = dataclasses.replace(part, cache=part.cache or cache)
                whole = (*parts[:place], marked, *parts[place + 1 :])
                return (*turns[:at], dataclasses.replace(turns[at], parts=whole), *turns[at + 1 :])
    return turns


def _tools(document: Mapping[str, Any], unheld: set[str]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for tool in _member(document, "tools", list) or ():
        if not isinstance(tool, dict):
            raise wrong_type("tools", "an array of objects")
        kind = kind_of(tool)
        if kind not in (None, "custom"):
            tools.append(HostedTool(str(kind), dict(tool)))
            continue
        unheld |= {f"tools.{hint}" for hint in _TOOL_HINTS if tool.get(hint)}
        tools.append(
            FunctionTool(
                text_in(tool, "name"),
                text_in(tool, "description"),
                _member(tool, "input_schema", dict),
                strict=values.boolean(tool, "strict") if tool.get("strict") is not None else None,
                cache=cache_of(tool),
            )
        )
    return tuple(tools)


def _has_no_wrapper(schema: Mapping[str, Any] | None) -> bool:
    """Whether a lone member of the wrapper's name cannot be a tool's own."""
    return schema is not None and call_input.WRAPPER not in object_in(schema, "properties")


def _tool_choice(choice: Mapping[str, Any]) -> ToolChoice | None:
    if not choice:
        return None
    kind = kind_of(choice) or ""
    mode = _CHOICES.get(kind)
    name = text_in(choice, "name")
    if mode is None or (kind == "tool" and not name):
        raise BadRequest(Code.INVALID_VALUE, "This choice is not known.", "tool_choice")
    return ToolChoice(cast("Any", mode), (name,) if kind == "tool" else ())


def _output_format(wanted: object) -> OutputFormat | None:
    if wanted is None:
        return None
    if not isinstance(wanted, dict):
        raise wrong_type("output_config.format", "an object")
    schema = _member(wanted, "schema", dict)
    if kind_of(wanted) != "json_schema" or schema is None:
        raise BadRequest(Code.INVALID_VALUE, "This format is not known.", "output_config.format")
    return OutputFormat("json_schema", schema=schema)
