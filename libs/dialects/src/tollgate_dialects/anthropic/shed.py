"""Thinking that Anthropic did not seal, in a message that else goes up as its client wrote it.

A conversation may come from a model of another maker: its thinking stands there under a signature
that this gateway made (`conversation/carrier.py`), or under none. Anthropic refuses both, so they
are left out; other vendors of this protocol seal nothing, and want theirs back.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.conversation import carrier
from tollgate_dialects.conversation.parts import Origin, Seal
from tollgate_dialects.request.content import kind_of
from tollgate_dialects.request.rules import Shed

_CLAUDE: Final = "claude"
# The seal of each kind of block, and where it stands.
_SEALS: Final = {
    "thinking": ("signature", Seal.SIGNATURE),
    "redacted_thinking": ("data", Seal.ENCRYPTED),
}
# What a text of such a message is never without.
_TRACES: Final = (f'"{carrier.CARRIED}'.encode(), b'"signature":""', b'"data":""')


def may_have(_document: Mapping[str, Any], printed: bytes) -> bool:
    """Whether there may be such thinking: a look at the text, for most have none."""
    if b'thinking"' not in printed:  # in a block's type, and in its name
        return False
    # A block without a signature has one name less in it.
    return any(trace in printed for trace in _TRACES) or (
        printed.count(b'"thinking":"') > printed.count(b'"signature":')
    )


def shed(
    document: Mapping[str, Any],
    model: str,
    _keeps_tools: bool = True,  # noqa: FBT001, FBT002 - as every dialect's
    _base_path: str = "",
) -> Shed:
    """The message without it, and without what thinking cannot stand its absence."""
    is_claude = _CLAUDE in model.lower()
    said = document.get("messages")
    messages: list[Any] = []
    dropped: set[str] = set()
    last = -1
    for message in said if isinstance(said, list) else ():
        kept = _sealed(message, is_claude=is_claude)
        if kept is not message and len(kept["content"]) < len(message["content"]):
            dropped.add("thinking")
        # Anthropic refuses a message of nothing.
        if kept is message or kept["content"]:
            messages.append(kept)
        if message.get("role") == "assistant":
            last = len(messages) - 1 if kept is not message and kept["content"] else -1
    if all(one is two for one, two in zip(messages, said or (), strict=False)) and not dropped:
        return Shed(document)
    whole: dict[str, Any] = {**document, "messages": messages}
    if "thinking" in dropped and last >= 0 and _is_unsigned(messages, last):
        dropped |= _rest(whole)
    return Shed(whole, frozenset(dropped))


def _sealed(message: Any, *, is_claude: bool) -> Any:
    """The message itself, or a copy of it with its own maker's blocks alone."""
    blocks = message.get("content")
    if message.get("role") != "assistant" or not isinstance(blocks, list):
        return message
    kept = [_restored(block, is_claude=is_claude) for block in blocks]
    if all(one is two for one, two in zip(kept, blocks, strict=True)):
        return message
    return {**message, "content": [block for block in kept if block is not None]}


def _restored(block: Any, *, is_claude: bool) -> Any:
    """The block as its maker made it; None for what is not to be sent."""
    place = _SEALS.get(kind_of(block) or "") if isinstance(block, dict) else None
    if place is None:
        return block
    name, seal = place
    data = block.get(name)
    if not isinstance(data, str) or not data:
        return None if is_claude else block
    opaque = carrier.restored(data, Origin.ANTHROPIC, seal)
    if opaque.origin is Origin.NOBODY and not is_claude:
        return {**block, name: ""}
    if opaque.origin is not Origin.ANTHROPIC:
        return None
    return block if opaque.data == data else {**block, name: opaque.data}


def _is_unsigned(messages: list[Any], last: int) -> bool:
    """Whether the answer that is to be gone on with begins with anything but thinking."""
    kinds = [block.get("type") for block in messages[last]["content"] if isinstance(block, dict)]
    goes_on = last == len(messages) - 1 or "tool_use" in kinds
    return goes_on and not _SEALS.keys() & set(kinds[:1])


def _rest(document: dict[str, Any]) -> set[str]:
    """Take away what Anthropic takes only where such an answer begins with thinking."""
    thinking = document.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return set()
    del document["thinking"]
    management = document.get("context_management")
    if isinstance(management, dict) and isinstance(edits := management.get("edits"), list):
        left = [edit for edit in edits if not str(edit.get("type")).startswith("clear_thinking_")]
        document["context_management"] = {**management, "edits": left}
        if not left:
            del document["context_management"]
    return {"reasoning"}
