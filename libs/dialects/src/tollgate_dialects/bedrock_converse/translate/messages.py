"""The order in which Bedrock wants a conversation: who speaks, and what comes first.

Promises: a system prompt apart, the user first, no side twice in a row, no id of two calls, the
results of tools in the one message that follows their calls and before anything else in it, and
words beside a document.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from tollgate_dialects.bedrock_converse.translate.content_writer import ContentWriter
from tollgate_dialects.bedrock_converse.translate.models import Model
from tollgate_dialects.conversation import pairing
from tollgate_dialects.conversation.request import Turn
from tollgate_dialects.conversation.translation import Untranslatable

_SYSTEM = ("system", "developer")
# What stands beside a document where its sender says nothing: without words it is refused.
_WORDS: Final = "See the document."


class Messages(NamedTuple):
    """The blocks of the system prompt, and the messages."""

    system: list[dict[str, Any]]
    messages: list[dict[str, Any]]

    @property
    def is_unsigned(self) -> bool:
        """Whether the answer that is to be gone on with has no thinking of Claude's before it."""
        for message in reversed(self.messages):
            if message["role"] == "assistant":
                content = message["content"]
                goes_on = message is self.messages[-1] or any("toolUse" in one for one in content)
                return goes_on and "reasoningContent" not in content[0]
        return False

    @property
    def called(self) -> str:
        """The name of the first tool that was called; empty: none was."""
        calls = (
            block["toolUse"]["name"]
            for message in self.messages
            for block in message["content"]
            if "toolUse" in block
        )
        return next(calls, "")


def write(turns: Sequence[Turn], model: Model, content: ContentWriter) -> Messages:
    """All that is said, in order. Raises Untranslatable where nothing is, or not by the user."""
    turns = pairing.paired(turns, is_joined=True)
    head = 0
    while head < len(turns) and turns[head].role in _SYSTEM:
        head += 1
    system = [block for turn in turns[:head] for block in content.blocks("system", turn.parts)]
    takes_late_system = model.claude is not None and model.claude.takes_late_system
    messages: list[dict[str, Any]] = []
    for at in range(head, len(turns)):
        turn = turns[at]
        if turn.name:
            content.dropped.add("name")
        if turn.role == "user" or turn.role == "assistant":  # noqa: PLR1714 - mypy narrows by it
            role: Literal["system", "user", "assistant"] = turn.role
        elif takes_late_system and _has_place(messages, turns[at + 1 :]):
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
    if messages[0]["role"] != "user":
        raise Untranslatable("messages", "The model's vendor wants the user to speak first.")
    for message in messages:
        message["content"] = _arranged(message["content"])
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


def _arranged(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results first, each with its mark; words beside documents, if there are none."""
    results: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for at, block in enumerate(content):
        is_of_result = "cachePoint" in block and "toolResult" in content[at - 1]
        (results if "toolResult" in block or is_of_result else others).append(block)
    has_document = any("document" in block for block in others)
    if has_document and not any(block.get("text", "").strip() for block in others):
        others.append({"text": _WORDS})
    return results + others


def _without_trailing_space(messages: Sequence[dict[str, Any]]) -> None:
    """The beginning of an answer must not end on white space."""
    said = [block for block in messages[-1]["content"] if "cachePoint" not in block]
    if messages[-1]["role"] == "assistant" and "text" in said[-1]:
        said[-1]["text"] = said[-1]["text"].rstrip()
