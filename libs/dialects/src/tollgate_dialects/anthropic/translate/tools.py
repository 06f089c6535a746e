"""The client's tools and the choice among them, as Anthropic takes them.

Promises: no two tools of one name; a strict tool only with a schema that Anthropic can hold a model
to, and no more of them than it takes; what cannot be said is named, or the request is refused where
it makes no sense without.
"""

import re
from typing import Any

from tollgate_dialects.anthropic.translate.content_writer import marked
from tollgate_dialects.claude import schemas
from tollgate_dialects.claude.models import Model
from tollgate_dialects.conversation.parts import FunctionTool, HostedTool, Origin, Tool
from tollgate_dialects.conversation.request import Request
from tollgate_dialects.conversation.tools import FlatTools
from tollgate_dialects.conversation.translation import Untranslatable

_OWN_TOOL = re.compile(r"[a-z0-9_]+_\d{8}")


def written(
    request: Request, flat: FlatTools, model: Model, dropped: set[str]
) -> list[dict[str, Any]]:
    """The tools that may be called: a choice among several leaves the others out."""
    choice = request.tool_choice
    wanted = {*choice.names} if choice is not None and choice.mode != "none" else set[str]()
    # Where it is one alone the choice itself says so; the others stay for the model to read of.
    keeps_all = choice is not None and choice.mode == "required" and len(wanted) == 1
    strictness = schemas.Strictness()
    tools: list[dict[str, Any]] = []
    for tool in request.tools:
        is_wanted = bool(wanted & {*_names_of(tool, flat)})
        if wanted and not (is_wanted or keeps_all):
            continue
        if isinstance(tool, FunctionTool):
            tools.append(_function(tool, flat, model, strictness, dropped))
        elif _is_own(tool, request):
            tools.append(dict(tool.raw))
        elif choice is not None and choice.mode == "required" and is_wanted:
            raise Untranslatable("tool_choice", "The model's vendor does not have this tool.")
        else:
            dropped.add(f"tools.{tool.kind}")
    return tools


def choice(request: Request, flat: FlatTools, *, has_tools: bool) -> dict[str, Any]:
    """Empty where the model may do as it likes. Raises Untranslatable."""
    asked = request.tool_choice
    if not has_tools:
        if asked is not None and asked.mode == "required":
            raise Untranslatable("tool_choice", "There is no tool that the vendor has.")
        return {}
    chosen: dict[str, Any] = {}
    if asked is not None:
        kinds = {"auto": "auto", "none": "none", "required": "any"}
        chosen["type"] = kinds[asked.mode]
        if asked.mode == "required" and len(asked.names) == 1:
            chosen = {"type": "tool", "name": _called(asked.names[0], request, flat)}
    if request.parallel_tool_calls is False and chosen.get("type") != "none":
        chosen = {"type": "auto", **chosen, "disable_parallel_tool_use": True}
    return chosen


def _names_of(tool: Tool, flat: FlatTools) -> tuple[str, ...]:
    """The words by which a choice may mean a tool."""
    if isinstance(tool, HostedTool):
        return tool.kind, str(tool.raw.get("name"))
    return tool.name, flat.name(tool.namespace, tool.name)


def _called(name: str, request: Request, flat: FlatTools) -> str:
    """The name under which a chosen tool is sent."""
    for tool in request.tools:
        if name in (names := _names_of(tool, flat)):
            return names[1]
    return flat.name("", name)


def _is_own(tool: HostedTool, request: Request) -> bool:
    """Whether Anthropic's own reader let it pass: others do not know what it costs."""
    if request.origin is not Origin.ANTHROPIC or tool.raw.get("type") != tool.kind:
        return False
    return _OWN_TOOL.fullmatch(tool.kind) is not None


def _function(
    tool: FunctionTool,
    flat: FlatTools,
    model: Model,
    strictness: schemas.Strictness,
    dropped: set[str],
) -> dict[str, Any]:
    if tool.grammar is not None:
        dropped.add("tools.grammar")
    sent = flat.tool(tool)
    given = schemas.of_tool(sent.schema)
    if given.is_looser:
        dropped.add("tools.schema")
    written: dict[str, Any] = {"name": sent.name, "input_schema": given.schema}
    if sent.description:
        written["description"] = sent.description
    if tool.strict and model.takes_schema and strictness.take(held := schemas.held(given.schema)):
        written |= {"input_schema": held.schema, "strict": True}
        if held.is_looser:
            dropped.add("tools.schema")
    elif tool.strict:
        dropped.add("tools.strict")
    elif tool.strict is False and model.takes_schema:
        written["strict"] = False
    return marked(written, tool.cache)
