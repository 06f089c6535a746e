"""A chat's answer in the one form, whole or chunk by chunk. The first choice is the answer."""

import hashlib
import zlib
from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common import documents, shapes, sse
from tollgate_dialects.conversation.answer import Answer, Ending, Event, Finished, Started, Stop
from tollgate_dialects.conversation.assembly import Assembly, Thought, Words
from tollgate_dialects.conversation.machine import Machine
from tollgate_dialects.conversation.translation import EventReader
from tollgate_dialects.openai_chat.translate import said

# OpenAI's words and those of vendors that kept their own; every other one is a plain end.
_STOPS: Final[Mapping[str, Stop]] = {
    "stop": Stop.END,
    "length": Stop.LENGTH,
    "max_tokens": Stop.LENGTH,
    "model_length": Stop.LENGTH,
    "tool_calls": Stop.TOOL_CALLS,
    "tool_call": Stop.TOOL_CALLS,
    "function_call": Stop.TOOL_CALLS,
    "content_filter": Stop.REFUSAL,
    "sensitive": Stop.REFUSAL,
    "safety": Stop.REFUSAL,
    # Anthropic's and Google's, where a gateway has left them.
    "refusal": Stop.REFUSAL,
    "recitation": Stop.REFUSAL,
    "prohibited_content": Stop.REFUSAL,
}

# The answer was cut by a fault of the vendor's: DeepSeek, Zhipu, OpenRouter.
_BROKEN: Final = frozenset(("error", "network_error", "insufficient_system_resource"))


def read(document: Mapping[str, Any]) -> Answer:
    """A whole answer. Raises ValueError."""
    machine = Machine()
    reader = ChunkReader()
    for event in [*reader.take(document), *reader.finish()]:
        machine.check(event)
    return machine.answer()


def _ending(choice: Mapping[str, Any]) -> Ending:
    reason = shapes.text(choice, "finish_reason")
    if reason.lower() in _BROKEN:
        raise shapes.ShapeError("finish_reason", "the reason of an end")
    stop = _STOPS.get(reason.lower(), Stop.END)
    # vLLM and SGLang say which sequence it was.
    for name in ("stop_reason", "matched_stop"):
        met = choice.get(name)
        if stop is Stop.END and isinstance(met, str) and met:
            return Ending(Stop.STOP_SEQUENCE, sequence=met)
    return Ending(stop)


class ChunkReader(EventReader):
    """Reads one stream of chunks."""

    def __init__(self) -> None:
        self._assembly = Assembly(self._made_id)
        self._answer_id = ""
        self._has_begun = False
        self._ending = Ending(Stop.END)
        self._has_refused = False
        # Of the plain thinking that no seal has followed yet: its size and its checksum.
        self._thought_bytes = self._thought_sum = 0

    def read(self, event: sse.Event) -> list[Event]:
        """One frame. Raises ValueError."""
        if event.data.strip() == b"[DONE]":
            return self.finish()
        document = documents.read(event.data)
        if not isinstance(document, dict):
            raise shapes.ShapeError("chunk", "an object")
        return self.take(document)

    def take(self, document: Mapping[str, Any]) -> list[Event]:
        """What a chunk, or a whole answer, says. Raises ShapeError."""
        events: list[Event] = []
        if not self._has_begun:
            self._has_begun = True
            self._answer_id = shapes.text(document, "id")
            events.append(Started(self._answer_id, shapes.text(document, "model")))
        for choice in shapes.items(document, "choices"):
            if choice.get("index") in (None, 0):
                self._choose(choice)
        return events + self._assembly.told()

    def _choose(self, choice: Mapping[str, Any]) -> None:
        delta = shapes.item(choice, "delta")
        message = delta or shapes.item(choice, "message")
        for piece in said.pieces_of(message, is_whole=not delta):
            self._has_refused |= isinstance(piece, Words) and piece.is_refusal
            self._assembly.take(self._once(piece) if isinstance(piece, Thought) else piece)
        if choice.get("finish_reason"):
            self._ending = _ending(choice)

    def _once(self, thought: Thought) -> Thought:
        """A thought without the words that were told before it.

        Where a seal comes behind plain thinking, as this gateway writes it, the whole thought
        stands beside it once more.
        """
        if thought.opaque is None:
            between = "" if self._thought_bytes else said.BETWEEN
            told = thought.text.removeprefix(between).encode("utf-8", "surrogatepass")
            self._thought_sum = zlib.crc32(told, self._thought_sum)
            self._thought_bytes += len(told)
            return thought
        told = thought.text.encode("utf-8", "surrogatepass")
        is_told = (len(told), zlib.crc32(told)) == (self._thought_bytes, self._thought_sum)
        self._thought_bytes = self._thought_sum = 0
        return thought._replace(text="") if is_told else thought

    def _made_id(self, number: int) -> str:
        """For a call that came without one: other answers of a conversation have others."""
        answer = hashlib.sha256(self._answer_id.encode("utf-8", "surrogatepass")).hexdigest()
        return f"call_{answer[:8]}_{number}"

    def finish(self) -> list[Event]:
        """What follows the last chunk. Raises ShapeError."""
        events: list[Event] = [] if self._has_begun else [Started()]
        self._has_begun = True
        ending = self._ending
        if ending.stop is Stop.END and self._has_refused:
            # OpenAI says of a refusal in words what it says of an answer.
            ending = Ending(Stop.REFUSAL)
        return [*events, *self._assembly.finish(), Finished(ending)]
