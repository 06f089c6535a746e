"""Tools and the choice among them, both ways: functions, tools of free text, and groups of both."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from tollgate_dialects.common import shapes
from tollgate_dialects.conversation.parts import FunctionTool, HostedTool, Tool
from tollgate_dialects.conversation.request import ToolChoice
from tollgate_dialects.conversation.tools import flat_name, flat_names
from tollgate_dialects.openai_responses.tools import DECLARING

_CHOICES: Final = "auto, none, required or an object"
_GRAMMAR: Final = ("syntax", "definition")


def read(document: Mapping[str, Any]) -> Iterator[Tool]:
    """All tools, in the order in which they are declared first. Raises ShapeError."""
    known: set[tuple[str, str]] = set()
    items = document.get("input")
    found = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    holders = [document, *(item for item in found if item.get("type") in DECLARING)]
    for tool in (tool for holder in holders for tool in _read(holder)):
        if isinstance(tool, FunctionTool):
            # A search gives a tool as often as it is found.
            if (tool.namespace, tool.name) in known:
                continue
            known.add((tool.namespace, tool.name))
        yield tool


def _read(holder: Mapping[str, Any]) -> Iterator[Tool]:
    for tool in shapes.items(holder, "tools"):
        if shapes.text(tool, "type") != "namespace":
            yield _tool(tool)
            continue
        namespace, description = shapes.text(tool, "name"), shapes.text(tool, "description")
        for inner in shapes.items(tool, "tools"):
            yield _tool(inner, namespace, description)


def _tool(tool: Mapping[str, Any], namespace: str = "", about: str = "") -> Tool:
    kind = shapes.text(tool, "type") or "function"
    if kind not in ("function", "custom"):
        return HostedTool(kind, dict(tool))
    name, description = shapes.text(tool, "name"), shapes.text(tool, "description")
    if kind == "function":
        return FunctionTool(
            name,
            description,
            shapes.item(tool, "parameters") or None,
            shapes.flag(tool, "strict"),
            namespace,
            namespace_description=about,
        )
    wanted = shapes.item(tool, "format")
    grammar = {member: shapes.text(wanted, member) for member in _GRAMMAR}
    return FunctionTool(
        name,
        description,
        namespace=namespace,
        takes_text=True,
        grammar=grammar if wanted.get("type") == "grammar" else None,
        namespace_description=about,
    )


def read_choice(document: Mapping[str, Any]) -> ToolChoice | None:
    """What the client says of calling. Raises ShapeError."""
    choice = document.get("tool_choice")
    if choice is None:
        return None
    match choice:
        case "auto" | "none" | "required":
            return ToolChoice(choice)
    if not isinstance(choice, dict):
        raise shapes.ShapeError("tool_choice", _CHOICES)
    if shapes.text(choice, "type") != "allowed_tools":
        return ToolChoice("required", (_named(choice),))
    names = tuple(_named(tool) for tool in shapes.items(choice, "tools"))
    return ToolChoice("required" if choice.get("mode") == "required" else "auto", names)


def _named(choice: Mapping[str, Any]) -> str:
    """A hosted tool goes by its kind."""
    kind = shapes.text(choice, "type")
    own = shapes.text(choice, "name") if kind in ("function", "custom", "") else ""
    if not (own or kind):
        raise shapes.ShapeError("tool_choice", _CHOICES)
    return own or kind


class NativeTools:
    """The client's tools as an upstream of this protocol has them: groups and free text stay."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._functions = [tool for tool in tools if isinstance(tool, FunctionTool)]
        self._names = flat_names(self._functions)

    def name(self, namespace: str, name: str) -> str:
        """What a tool is called: in a group as its client named it."""
        return name if namespace else self._names.get(("", name)) or flat_name("", name)

    def written(self) -> list[dict[str, Any]]:
        """All of them, those of one group together where its first one stands."""
        written: list[dict[str, Any]] = []
        groups: dict[str, dict[str, Any]] = {}
        for tool in self._functions:
            if not tool.namespace:
                written.append(self._tool(tool))
                continue
            group = groups.get(tool.namespace)
            if group is None:
                group = groups[tool.namespace] = {
                    "type": "namespace",
                    "name": tool.namespace,
                    "description": tool.namespace_description,
                    "tools": [],
                }
                written.append(group)
            group["tools"].append(self._tool(tool))
        return written

    def _tool(self, tool: FunctionTool) -> dict[str, Any]:
        name = self.name(tool.namespace, tool.name)
        if tool.takes_text:
            custom: dict[str, Any] = {"type": "custom", "name": name}
            if tool.description:
                custom["description"] = tool.description
            if tool.grammar:
                custom["format"] = {"type": "grammar", **tool.grammar}
            return custom
        function: dict[str, Any] = {"type": "function", "name": name}
        if tool.description:
            function["description"] = tool.description
        function["parameters"] = {"type": "object", "properties": {}, **(tool.schema or {})}
        # Unsaid, OpenAI would hold the model to a schema that was not made for that.
        function["strict"] = tool.strict is True
        return function

    def chosen(self, choice: ToolChoice) -> str | dict[str, Any] | None:
        """A choice; None: it names tools that are not there."""
        chosen = [
            {
                "type": "custom" if tool.takes_text else "function",
                "name": self.name(tool.namespace, tool.name),
            }
            for wanted in dict.fromkeys(choice.names)
            for tool in self._functions
            if tool.name == wanted
        ]
        if not choice.names or choice.mode == "none":
            return choice.mode
        if not chosen:
            return None
        if choice.mode == "required" and len(chosen) == 1:
            return chosen[0]
        return {"type": "allowed_tools", "mode": choice.mode, "tools": chosen}
