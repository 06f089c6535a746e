"""The client's tools in a protocol that has neither groups of tools nor tools of free text.

Owns the names and the wrapping, both ways. A writer of requests declares and repeats what
`FlatTools` gives it; on the way back `CallRestorer` (a stream's, inside of `StreamTranslator`) and
`restored_answer` give the client's writer the calls as the client declared them. Promises that two
tools never share a name, that the same tools always get the same names, and that a name which every
protocol takes (letters, digits, `_`, `-`, a letter or `_` first; up to 64) stays as it is.
"""

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from tollgate_dialects.common import documents
from tollgate_dialects.conversation.answer import (
    Answer,
    Delta,
    Event,
    PartEnded,
    PartStarted,
    Sealed,
)
from tollgate_dialects.conversation.parts import FunctionTool, Tool, ToolCall

MAX_NAME_CHARACTERS: Final = 64

_BETWEEN: Final = "__"
_MARK_DIGITS: Final = 8
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")
# The one member of what stands for a free text.
_INPUT: Final = "input"


def flat_name(namespace: str, name: str) -> str:
    """A name that every protocol takes: a tool's own, behind its group's; shortened by a hash."""
    full = f"{namespace}{_BETWEEN}{name}" if namespace else name
    plain = _plain(full)
    if plain == full and 0 < len(plain) <= MAX_NAME_CHARACTERS:
        return plain
    return _marked(plain, full)


def _plain(name: str) -> str:
    name = _FORBIDDEN.sub("_", name)
    # Google wants a letter or `_` first.
    return f"_{name}" if name[:1].isdigit() or name[:1] == "-" else name


def _marked(plain: str, told_apart_by: str) -> str:
    digest = hashlib.sha256(told_apart_by.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{plain[: MAX_NAME_CHARACTERS - _MARK_DIGITS - 1]}_{digest[:_MARK_DIGITS]}"


def flat_names(tools: Iterable[Tool]) -> dict[tuple[str, str], str]:
    """The name of each function by its group and own name, no two alike."""
    keys = dict.fromkeys(
        (tool.namespace, tool.name) for tool in tools if isinstance(tool, FunctionTool)
    )
    # Who needs no other name keeps its own, wherever it is declared.
    names = {key: key[1] for key in keys if not key[0] and flat_name(*key) == key[1]}
    taken = set(names.values())
    for key in keys:
        if key in names:
            continue
        name = flat_name(*key)
        attempt = 0
        while name in taken:
            attempt += 1
            name = _marked(_plain(_BETWEEN.join(key)), f"{key[0]}\0{key[1]}\0{attempt}")
        names[key] = name
        taken.add(name)
    return names


class FlatTools:
    """What a writer of requests makes of the tools, and of calls and choices that name them."""

    def __init__(self, tools: Sequence[Tool], *, keeps_text: bool = False) -> None:
        """`keeps_text`: the protocol has tools of free text, so they are not wrapped."""
        self._names = flat_names(tools)
        self._keeps_text = keeps_text
        self.functions = tuple(self.tool(tool) for tool in tools if isinstance(tool, FunctionTool))

    def name(self, namespace: str, name: str) -> str:
        """What a tool is called; also one that is not declared any more."""
        return self._names.get((namespace, name)) or flat_name(namespace, name)

    def call(self, call: ToolCall) -> ToolCall:
        """An earlier call, as the upstream would have made it."""
        name = self.name(call.namespace, call.name)
        if not call.takes_text or self._keeps_text:
            return dataclasses.replace(call, name=name, namespace="")
        wrapped = documents.written({_INPUT: call.arguments}).decode()
        return dataclasses.replace(
            call, name=name, namespace="", takes_text=False, arguments=wrapped
        )

    def chosen(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names of a choice: a group's tools go by their own name there. Unknown ones go."""
        wanted = set(names)
        return tuple(flat for (_, name), flat in self._names.items() if name in wanted)

    def tool(self, tool: FunctionTool) -> FunctionTool:
        """One of the tools, as it is declared to the upstream."""
        name = self._names[tool.namespace, tool.name]
        if not tool.takes_text or self._keeps_text:
            return dataclasses.replace(tool, name=name, namespace="")
        return dataclasses.replace(
            tool,
            name=name,
            namespace="",
            takes_text=False,
            grammar=None,
            description=_described(tool),
            schema={
                "type": "object",
                "properties": {_INPUT: {"type": "string"}},
                "required": [_INPUT],
                "additionalProperties": False,
            },
        )


def _described(tool: FunctionTool) -> str:
    """A grammar cannot be enforced any more: the model is told of it."""
    definition = _definition(tool.grammar)
    lines = [tool.description] if tool.description else []
    if definition:
        lines.append(f"The input follows this grammar:\n{definition}")
    return "\n\n".join(lines)


def _definition(grammar: dict[str, Any] | None) -> str:
    definition = (grammar or {}).get("definition")
    return definition if isinstance(definition, str) else ""


def _unwrapped(arguments: str) -> str:
    """The free text in the arguments of a wrapped tool; the arguments, where there is none."""
    try:
        value = documents.read(arguments)
    except ValueError:
        return arguments
    text = value.get(_INPUT) if isinstance(value, dict) else None
    return text if isinstance(text, str) else arguments


class CallRestorer:
    """Gives the calls in one stream the names and the form that the client declared."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        names = flat_names(tools)
        self._tools = {
            names[tool.namespace, tool.name]: tool
            for tool in tools
            if isinstance(tool, FunctionTool)
        }
        # The arguments of a wrapped call, which are whole when the call is.
        self._arguments: list[str] | None = None
        self._sealed: list[Event] = []

    def restore(self, event: Event) -> list[Event]:
        """The events that the client is told instead of one."""
        if isinstance(event, PartStarted) and isinstance(event.part, ToolCall):
            return [PartStarted(self._begun(event.part))]
        if self._arguments is None:
            return [event]
        if isinstance(event, Delta):
            self._arguments.append(event.text)
            return []
        if isinstance(event, Sealed):
            self._sealed.append(event)
            return []
        if isinstance(event, PartEnded):
            text = _unwrapped("".join(self._arguments))
            told: list[Event] = [Delta(text)] if text else []
            told += [*self._sealed, event]
            self._arguments, self._sealed = None, []
            return told
        return [event]

    def _begun(self, call: ToolCall) -> ToolCall:
        tool = self._tools.get(call.name)
        # A call that names its group comes from a protocol that has groups: it is restored already.
        if tool is None or call.namespace:
            return call
        begun = dataclasses.replace(call, name=tool.name, namespace=tool.namespace)
        if tool.takes_text and not call.takes_text:
            self._arguments = [call.arguments]
            begun = dataclasses.replace(begun, takes_text=True, arguments="")
        return begun

    def whole(self, call: ToolCall) -> ToolCall:
        """A whole call, as the client declared it."""
        begun = self._begun(call)
        if self._arguments is None:
            return begun
        self._arguments = None
        return dataclasses.replace(begun, arguments=_unwrapped(call.arguments))


def restored_answer(answer: Answer, tools: Sequence[Tool]) -> Answer:
    """A whole answer with its calls as the client declared their tools."""
    restorer = CallRestorer(tools)
    parts = tuple(
        restorer.whole(part) if isinstance(part, ToolCall) else part for part in answer.parts
    )
    return dataclasses.replace(answer, parts=parts)
