"""The order in which Anthropic wants a conversation: who speaks, and what comes first.

Promises: a system prompt apart, no side twice in a row, no id of two calls, the results of tools in
the one message that follows their calls and before anything else in it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from tollgate_dialects.anthropic.translate.content_writer import ContentWriter
from tollgate_dialects.claude.models import Model
from tollgate_dialects.conversation.parts import Part, ToolCall, ToolResult
from tollgate_dialects.conversation.request import Turn
from tollgate_dialects.conversation.translation import Untranslatable

_SYSTEM = ("system", "developer")


class Messages(NamedTuple):
    """The blocks of the system prompt, and the messages."""

    system: list[dict[str, Any]]
    messages: list[dict[str, Any]]

    @property
    def is_unsigned(self) -> bool:
        """Whether the answer that is to be gone on with has no thinking of Anthropic's before it.

        So it is in the middle of calling tools, and where the answer's beginning is given.
        """
        for message in reversed(self.messages):
            if message["role"] == "assistant":
                kinds = [block["type"] for block in message["content"]]
                goes_on = message is self.messages[-1] or "tool_use" in kinds
                return goes_on and kinds[0] not in ("thinking", "redacted_thinking")
        return False


def write(turns: Sequence[Turn], model: Model, content: ContentWriter) -> Messages:
    """All that is said, in order. Raises Untranslatable where nothing is."""
    turns = _paired(turns)
    head = 0
    while head < len(turns) and turns[head].role in _SYSTEM:
        head += 1
    system = [block for turn in turns[:head] for block in content.blocks("system", turn.parts)]
    messages: list[dict[str, Any]] = []
    for at in range(head, len(turns)):
        turn = turns[at]
        if turn.name:
            content.dropped.add("name")
        if turn.role == "user" or turn.role == "assistant":  # noqa: PLR1714 - mypy narrows by it
            role: Literal["system", "user", "assistant"] = turn.role
        elif model.takes_late_system and _has_place(messages, turns[at + 1 :]):
            role = "system"
        else:
            # In a user's mouth it has less weight.
            content.dropped.add("system")
            role = "user"
        _append(messages, role, content.blocks(role, turn.parts))
    if not messages and system:
        content.dropped.add("system")
        system, messages = [], [{"role": "user", "content": system}]
    if not messages:
        raise Untranslatable("messages", "There is no message with anything in it.")
    for message in messages:
        message["content"].sort(key=lambda block: block["type"] != "tool_result")
    _without_trailing_space(messages)
    return Messages(system, messages)


class _Calls:
    """The calls so far: under which id each is sent, and in which turn it stands."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        # By the id that the client has: those without a result, and the last one with one.
        self._waiting: dict[str, list[tuple[str, int]]] = {}
        self._answered: dict[str, tuple[str, int]] = {}

    def begin_message(self) -> None:
        """Ids have to be unique within a message."""
        self._used.clear()

    def call(self, call: ToolCall, at: int) -> ToolCall:
        unused, number = call.call_id, 1
        while unused in self._used:
            number += 1
            unused = f"{call.call_id}_{number}"
        self._used.add(unused)
        self._waiting.setdefault(call.call_id, []).append((unused, at))
        return replace(call, call_id=unused)

    def of(self, result: ToolResult) -> tuple[str, int] | None:
        """The call that a result belongs to."""
        if waiting := self._waiting.get(result.call_id):
            self._answered[result.call_id] = waiting.pop(0)
        return self._answered.get(result.call_id)


def _paired(turns: Sequence[Turn]) -> list[Turn]:
    """Each call under an id of its own, and its result in the turn that follows the call.

    In other protocols results may come later.
    """
    paired: list[Turn] = []
    calls = _Calls()
    late: dict[int, list[Part]] = {}
    # Where the answer began that was given last: several turns of one side are one message.
    answer = 0
    for turn in turns:
        is_answer = turn.role == "assistant"
        if is_answer and not (paired and paired[-1].role == "assistant"):
            answer = len(paired)
            calls.begin_message()
        parts: list[Part] = []
        for part in turn.parts:
            if isinstance(part, ToolCall) and is_answer:
                parts.append(calls.call(part, len(paired)))
            elif isinstance(part, ToolResult) and not is_answer and (found := calls.of(part)):
                call_id, at = found
                place = parts if at >= answer else late.setdefault(at, [])
                place.append(replace(part, call_id=call_id))
            else:
                parts.append(part)
        paired.append(replace(turn, parts=tuple(parts)))
    for at in sorted(late, reverse=True):
        after = at + 1
        while paired[after].role == "assistant":
            after += 1
        if paired[after].role == "user":
            paired[after] = replace(paired[after], parts=(*paired[after].parts, *late[at]))
        else:
            paired.insert(after, Turn("user", tuple(late[at])))
    return paired


def _has_place(before: Sequence[dict[str, Any]], after: Sequence[Turn]) -> bool:
    """Whether the system may speak here: after the user, and before an answer."""
    follows = next((turn.role for turn in after if turn.role not in _SYSTEM), "assistant")
    return bool(before) and before[-1]["role"] != "assistant" and follows == "assistant"


def _append(messages: list[dict[str, Any]], role: str, blocks: list[dict[str, Any]]) -> None:
    if not blocks:
        return
    if messages and messages[-1]["role"] == role:
        messages[-1]["content"] += blocks
    else:
        messages.append({"role": role, "content": blocks})


def _without_trailing_space(messages: Sequence[dict[str, Any]]) -> None:
    """The beginning of an answer must not end on white space."""
    last = messages[-1]["content"][-1]
    if messages[-1]["role"] == "assistant" and last["type"] == "text":
        last["text"] = last["text"].rstrip()
