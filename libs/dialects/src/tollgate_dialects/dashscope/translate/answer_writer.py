"""An answer of the one form, written as a generation or as its frames.

Thinking is `reasoning_content`, and the block that vouches for it `reasoning_signature`, where
request_reader finds it again. A stream is told in pieces or whole so far, as its client asked; the
block stands in its last frame, of which alone DashScope's SDK keeps what it does not know.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from tollgate_dialects.common import documents
from tollgate_dialects.conversation.answer import (
    Answer,
    AnswerPart,
    Cited,
    Delta,
    Ending,
    Event,
    Finished,
    PartEnded,
    PartStarted,
    Sealed,
    Started,
    Stop,
)
from tollgate_dialects.conversation.machine import events_of
from tollgate_dialects.conversation.parts import Citation, Opaque, Origin, Thinking, ToolCall
from tollgate_dialects.conversation.translation import Context, EventWriter
from tollgate_dialects.dashscope import stream
from tollgate_dialects.dashscope.translate import signature, style
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import Usage

_LENGTH: Final = frozenset((Stop.LENGTH, Stop.CONTEXT_FULL, Stop.PAUSE))
# Between two thoughts, where they are one text.
_BETWEEN: Final = "\n\n"
# All so far is told again once it has grown by this share: telling it again for every piece would
# make the square of a long answer.
_SHARE: Final = 16


def write(answer: Answer, usage: Usage, context: Context) -> dict[str, Any]:
    """A whole generation."""
    writer = FrameWriter(context, is_stream=False)
    for event in events_of(answer):
        writer.add(event)
    return writer.document(usage, reason=writer.reason(answer.ending))


class _Call:
    """More of a call, or all of it; one that was told before goes on without id and name."""

    def __init__(self, call_id: str = "", name: str = "") -> None:
        self.call_id, self.name = call_id, name
        self.arguments: list[str] = []
        # Google's signature.
        self.signature = ""

    def written(self, index: int) -> dict[str, Any]:
        """As DashScope has a call."""
        function = {"name": self.name} if self.name else {}
        function["arguments"] = "".join(self.arguments)
        call = {"index": index, "id": self.call_id, "type": "function", "function": function}
        if self.signature:
            call["extra_content"] = {"google": {"thought_signature": self.signature}}
        return call


class _Message:
    """What is said: of the whole answer so far, or of what is new since it was told."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.thought: list[str] = []
        self.signature = ""
        self.calls: dict[int, _Call] = {}
        self.characters = 0

    def call(self, index: int) -> _Call:
        """A call that goes on."""
        return self.calls.setdefault(index, _Call())

    def written(self, *, is_parts: bool) -> dict[str, Any]:
        """As DashScope has a message."""
        text = "".join(self.text)
        content = ([{"text": text}] if text else []) if is_parts else text
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if self.thought or self.signature:
            message["reasoning_content"] = "".join(self.thought)
        if self.signature:
            message[signature.NAME] = self.signature
        if self.calls:
            message["tool_calls"] = [call.written(index) for index, call in self.calls.items()]
        return message


class FrameWriter(EventWriter):
    """Writes one stream of frames."""

    def __init__(self, context: Context, *, is_stream: bool = True) -> None:
        """`is_stream`: False for an answer in one document."""
        request = context.request
        self._words = request.told_as
        # In one text there is no place for them.
        self._needs_choices = bool(request.tools) or request.reasoning is not None
        self._request_id = str(UUID(context.trace))
        self._estimated = Usage.of(input_tokens=context.estimated_input_tokens)
        self._in_pieces = is_stream and style.PIECES in request.told_as
        self._message = _Message()
        self._part: AnswerPart | None = None
        self._calls = 0
        self._has_arguments = False
        self._signature = ""
        # Characters of the thought that is told, and whether another one came before.
        self._thought_characters = 0
        self._has_thought = False
        self._citations: list[Citation] = []
        self._frames = 0
        self._told_characters = 0

    def write(self, event: Event, usage: Usage | None) -> bytes:
        """The frames of one event."""
        is_due = self.add(event) and self._is_due()
        if isinstance(event, Finished):
            return self._frame(usage, self.reason(event.ending))
        if not is_due:
            return b""
        return self._frame(usage, "null")

    def add(self, event: Event) -> bool:
        """Take one event; whether it says anything."""
        match event:
            case PartStarted(part):
                return self._begin(part)
            case Delta(text):
                return self._say(text)
            case Sealed(opaque):
                return self._seal(opaque)
            case Cited(citation):
                self._citations.append(citation)
            case PartEnded():
                return self._end()
            case Finished():
                self._message.signature = self._signature
            case Started():
                pass
        return False

    def reason(self, ending: Ending) -> str:
        """Clients look for calls where the reason says so.

        DashScope tells of what its own filter found as an error and has no word for a refusal:
        OpenAI's is what its clients pass on.
        """
        if ending.stop in _LENGTH:
            return "length"
        if ending.stop is Stop.REFUSAL:
            return "content_filter"
        return "tool_calls" if self._calls else "stop"

    def document(self, usage: Usage | None, *, reason: str) -> dict[str, Any]:
        """What is said, with a reason why it ended."""
        message = self._message.written(is_parts=style.PARTS in self._words)
        choice = {"finish_reason": reason, "index": 0, "message": message}
        output: dict[str, Any] = {}
        if style.PARTS not in self._words and style.MESSAGE not in self._words:
            output = {"finish_reason": reason, "text": message["content"]}
        if style.TEXT not in self._words or self._needs_choices or not output:
            output["choices"] = [choice]
        if self._citations and reason != "null":
            output["search_info"] = {"search_results": _sources(self._citations)}
        return {
            "output": output,
            "usage": usage_report(usage or self._estimated),
            "request_id": self._request_id,
        }

    def _frame(self, usage: Usage | None, reason: str) -> bytes:
        self._frames += 1
        data = documents.written(self.document(usage, reason=reason))
        self._told_characters = self._message.characters
        if self._in_pieces:
            self._message = _Message()
        return stream.frame(self._frames, data)

    def _is_due(self) -> bool:
        if self._in_pieces:
            return True
        new = self._message.characters - self._told_characters
        return new * _SHARE >= self._told_characters

    def _begin(self, part: AnswerPart) -> bool:
        self._part = part
        if not isinstance(part, ToolCall):
            if isinstance(part, Thinking) and self._has_thought:
                self._say(_BETWEEN)
            self._thought_characters = 0
            return self._say(part.text)
        self._message.calls[self._calls] = _Call(part.call_id, part.name)
        self._calls += 1
        self._has_arguments = False
        self._say(part.arguments)
        return True

    def _say(self, text: str) -> bool:
        message, part = self._message, self._part
        if not text:
            return False
        message.characters += len(text)
        if isinstance(part, ToolCall):
            self._has_arguments = True
            message.call(self._calls - 1).arguments.append(text)
        elif isinstance(part, Thinking):
            self._has_thought = True
            self._thought_characters += len(text)
            message.thought.append(text)
        else:
            message.text.append(text)
        return True

    def _end(self) -> bool:
        """Clients parse the arguments: those of a call without any are an empty object."""
        if isinstance(self._part, ToolCall) and not self._has_arguments:
            return self._say("{}")
        return False

    def _seal(self, opaque: Opaque) -> bool:
        if isinstance(self._part, Thinking):
            self._signature = signature.written(opaque, self._thought_characters)
        elif isinstance(self._part, ToolCall) and opaque.origin is Origin.GOOGLE:
            self._message.call(self._calls - 1).signature = opaque.data
            return True
        return False


def usage_report(usage: Usage) -> dict[str, Any]:
    """A usage as a generation reports it: cached and written tokens are subsets of the input's."""
    total_input, output = usage.total_input_tokens, usage.total_output_tokens
    details = {"cached_tokens": usage[Unit.CACHE_READ]}
    written = usage[Unit.CACHE_WRITE_5M] + usage[Unit.CACHE_WRITE_1H]
    if written:
        details["cache_creation_input_tokens"] = written
    return {
        "input_tokens": total_input,
        "output_tokens": output,
        "total_tokens": total_input + output,
        "prompt_tokens_details": details,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _sources(citations: Sequence[Citation]) -> list[dict[str, Any]]:
    return [
        {"index": number, "title": citation.title, "url": citation.url}
        for number, citation in enumerate(citations, 1)
    ]
