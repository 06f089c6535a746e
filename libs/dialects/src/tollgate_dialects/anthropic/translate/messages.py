"""The order in which Anthropic wants a conversation: who speaks, and what comes first.

Promises: a system prompt apart, no side twice in a row, no id of two calls, the results of tools in
the one message that follows their calls and before anything else in it.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from tollgate_dialects.anthropic.translate.content_writer import ContentWriter
from tollgate_dialects.claude.models import Model
from tollgate_dialects.conversation import pairing
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
    turns = pairing.paired(turns, is_joined=True)
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
