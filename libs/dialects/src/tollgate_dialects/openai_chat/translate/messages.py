"""The turns of a conversation as a chat's messages.

Promises: each result of a tool is a message of its own, right behind the calls, of which no two
have one id; thinking goes back as words where the model's vendor wants them, and never as text.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Any, Final

from tollgate_dialects.conversation import call_input, pairing
from tollgate_dialects.conversation.parts import (
    Media,
    Origin,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollgate_dialects.conversation.request import Turn
from tollgate_dialects.conversation.tools import FlatTools
from tollgate_dialects.conversation.translation import Untranslatable
from tollgate_dialects.openai_chat import limits
from tollgate_dialects.openai_chat.translate import models

# Characters of a call's id.
_ID_MAX: Final = 40
# The ids that Mistral takes.
_MISTRAL_ID: Final = re.compile(r"[a-zA-Z0-9]{9}")
_MISTRAL_ID_CHARACTERS: Final = 9
# What Mistral's models are told to have said between a result and the user's next words.
_BRIDGE: Final = "Understood."


class MessageWriter:
    """Writes messages, and notes what they could not carry."""

    def __init__(self, tools: FlatTools, dropped: set[str], *, model: str) -> None:
        """`model`: whom they are for, by the upstream's name."""
        self._tools = tools
        self._dropped = dropped
        self._is_openai = limits.is_openai(model)
        self._is_mistral = models.is_mistral(model)
        self._wants_thinking = models.wants_thinking(model)
        # Somebody but the system has spoken.
        self._has_begun = False

    def write(self, turns: Sequence[Turn]) -> list[dict[str, Any]]:
        """All messages. Raises Untranslatable."""
        messages: list[dict[str, Any]] = []
        for turn in pairing.paired(turns, is_joined=False):
            self._has_begun |= turn.role in ("user", "assistant")
            if turn.role == "assistant":
                messages += self._assistant(turn)
            else:
                messages += self._said(turn)
        if not self._is_openai:
            messages = _with_one_system(messages)
        return _bridged(messages) if self._is_mistral else messages

    def _said(self, turn: Turn) -> list[dict[str, Any]]:
        results = [part for part in turn.parts if isinstance(part, ToolResult)]
        others = [part for part in turn.parts if not isinstance(part, (ToolResult, ToolCall))]
        behind: list[Part] = []
        messages = [self._result(result, behind) for result in results]
        parts = [*behind, *others]
        if parts or not results:
            message: dict[str, Any] = {"role": self._role(turn), "content": self._content(parts)}
            if turn.name:
                message["name"] = turn.name
            messages.append(message)
        return messages

    def _role(self, turn: Turn) -> str:
        """Developers are OpenAI's word; templates of others take a system at the head alone."""
        if self._is_openai or turn.role == "user":
            return turn.role
        if self._has_begun:
            # In a user's mouth it has less weight.
            self._dropped.add("system")
            return "user"
        return "system"

    def _result(self, result: ToolResult, behind: list[Part]) -> dict[str, Any]:
        """A result holds words alone: its pictures follow in a message of the user's."""
        texts = [part.text for part in result.parts if isinstance(part, Text)]
        media = [part for part in result.parts if isinstance(part, Media)]
        if media:
            behind += [Text(f"Result of the tool call {result.call_id}:"), *media]
            texts = texts or ["See the next message."]
        if result.is_error:
            self._dropped.add("tool_result.is_error")
        if result.cache:
            self._dropped.add("cache")
        return {
            "role": "tool",
            "tool_call_id": self._fit(result.call_id),
            "content": "\n".join(texts),
        }

    def _content(self, parts: Sequence[Part]) -> str | list[dict[str, Any]]:
        if any(isinstance(part, Text) and part.cache for part in parts):
            self._dropped.add("cache")
        texts = [part.text for part in parts if isinstance(part, Text)]
        if len(texts) == len(parts) and len(texts) < 2:  # noqa: PLR2004 - one needs no list
            return texts[0] if texts else ""
        return [self._part(part) for part in parts if isinstance(part, (Text, Media))]

    def _part(self, part: Text | Media) -> dict[str, Any]:
        if isinstance(part, Text):
            return {"type": "text", "text": part.text}
        if part.cache:
            self._dropped.add("cache")
        match part.kind:
            case "image":
                return self._image(part)
            case "audio" if part.data:
                kind = part.media_type.removeprefix("audio/") or "wav"
                return {"type": "input_audio", "input_audio": {"data": part.data, "format": kind}}
            case "document":
                return self._document(part)
        raise Untranslatable("messages", "The model's protocol cannot carry this medium.")

    def _image(self, part: Media) -> dict[str, Any]:
        url = part.url
        if part.data:
            url = f"data:{part.media_type or 'image/png'};base64,{part.data}"
        if not url:
            raise Untranslatable("messages", "The model's vendor does not have this stored file.")
        image = {"url": url}
        if part.detail:
            image["detail"] = part.detail
        return {"type": "image_url", "image_url": image}

    def _document(self, part: Media) -> dict[str, Any]:
        if part.text:
            name = f"{part.name}\n\n" if part.name else ""
            return {"type": "text", "text": f"{name}{part.text}"}
        if not part.data:
            raise Untranslatable("messages", "A chat takes documents by their bytes alone.")
        kind = part.media_type or "application/pdf"
        name = part.name or "document.pdf"
        return {
            "type": "file",
            "file": {"filename": name, "file_data": f"data:{kind};base64,{part.data}"},
        }

    def _assistant(self, turn: Turn) -> list[dict[str, Any]]:
        words = [part for part in turn.parts if isinstance(part, Text) and not part.is_refusal]
        refusals = [part.text for part in turn.parts if isinstance(part, Text) and part.is_refusal]
        calls = [part for part in turn.parts if isinstance(part, ToolCall)]
        message: dict[str, Any] = {"role": "assistant"}
        text = "".join(part.text for part in words)
        if any(part.cache for part in words):
            self._dropped.add("cache")
        if any(part.citations for part in words):
            self._dropped.add("citations")
        if any(isinstance(part, Media) for part in turn.parts):
            self._dropped.add("image")
        message["content"] = text if text or not calls else None
        if refusals:
            message["refusal"] = "".join(refusals)
        self._think(turn, message)
        if calls:
            message["tool_calls"] = [self._call(call) for call in calls]
        if message.keys() == {"role", "content"} and not text:
            return []  # nothing that a chat can repeat
        return [message]

    def _think(self, turn: Turn, message: dict[str, Any]) -> None:
        thinking = [part for part in turn.parts if isinstance(part, Thinking)]
        if not thinking:
            return
        text = "\n\n".join(part.text for part in thinking if part.text)
        if not (self._wants_thinking and text):
            self._dropped.add("thinking")
            return
        if any(part.opaque for part in thinking):
            self._dropped.add("thinking.opaque")
        message["reasoning_content"] = text

    def _call(self, call: ToolCall) -> dict[str, Any]:
        flat = self._tools.call(call)
        if flat.takes_text:
            custom = {"name": flat.name, "input": flat.arguments}
            return {"id": self._fit(flat.call_id), "type": "custom", "custom": custom}
        function = {"name": flat.name, "arguments": call_input.object_text(flat.arguments)}
        written: dict[str, Any] = {
            "id": self._fit(flat.call_id),
            "type": "function",
            "function": function,
        }
        if flat.opaque is not None:
            if not self._is_openai and flat.opaque.origin is Origin.GOOGLE:
                # Google's own place for it in a chat.
                written["extra_content"] = {"google": {"thought_signature": flat.opaque.data}}
            else:
                self._dropped.add("thinking.opaque")
        return written

    def _fit(self, call_id: str) -> str:
        """A call's id as the model's vendor takes it, the same for its result."""
        fits = _MISTRAL_ID.fullmatch(call_id) if self._is_mistral else len(call_id) <= _ID_MAX
        if fits:
            return call_id
        digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()
        if self._is_mistral:
            return digest[:_MISTRAL_ID_CHARACTERS]
        return f"call_{digest[: _ID_MAX - len('call_')]}"


def _with_one_system(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The system prompt as one message: templates of some models refuse a second one."""
    head = 0
    while head < len(messages) and messages[head]["role"] == "system":
        head += 1
    if head < 2:  # noqa: PLR2004 - one is what is wanted
        return messages
    contents = [message["content"] for message in messages[:head]]
    whole: str | list[dict[str, Any]]
    if all(isinstance(content, str) for content in contents):
        whole = "\n\n".join(filter(None, contents))
    else:
        whole = [
            part
            for content in contents
            for part in (
                [{"type": "text", "text": content}] if isinstance(content, str) else content
            )
        ]
    return [{"role": "system", "content": whole}, *messages[head:]]


def _bridged(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """As Mistral takes it: an answer behind results, and the last one said to be a beginning."""
    ordered: list[dict[str, Any]] = []
    for message in messages:
        if ordered and (ordered[-1]["role"], message["role"]) == ("tool", "user"):
            ordered.append({"role": "assistant", "content": _BRIDGE})
        ordered.append(message)
    last = ordered[-1] if ordered else {}
    if last.get("role") == "assistant" and "tool_calls" not in last:
        ordered[-1] = {**last, "prefix": True}
    return ordered
