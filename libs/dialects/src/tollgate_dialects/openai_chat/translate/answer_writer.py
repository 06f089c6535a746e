"""An answer of the one form, written as a chat's completion or as its chunks.

Thinking is `reasoning_content`; opaque blocks stand in `reasoning_details`, each with the text that
it vouches for, where request_reader finds them again.
"""

from collections.abc import Mapping
from typing import Any, Final

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
from tollgate_dialects.conversation.parts import (
    Citation,
    Opaque,
    Origin,
    Seal,
    Text,
    Thinking,
    ToolCall,
)
from tollgate_dialects.conversation.translation import Context, EventWriter
from tollgate_dialects.openai_chat.translate.said import BETWEEN, FORMATS
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import NOTHING, Usage

_REASONS: Final[Mapping[Stop, str]] = {
    Stop.END: "stop",
    Stop.STOP_SEQUENCE: "stop",
    Stop.LENGTH: "length",
    # Not at its end either: there is more to come of it, or there would be.
    Stop.PAUSE: "length",
    Stop.CONTEXT_FULL: "length",
    Stop.TOOL_CALLS: "tool_calls",
    Stop.REFUSAL: "content_filter",
}


def write(answer: Answer, usage: Usage, context: Context) -> dict[str, Any]:
    """A whole completion."""
    told = _Told()
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    for event in events_of(answer):
        for delta in told.deltas(event):
            _merge(message, delta)
    for fragment in (*message.get("tool_calls", ()), *message.get("annotations", ())):
        del fragment["index"]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": _reason(answer.ending, told),
    }
    return {
        **_head(context, "chat.completion"),
        "choices": [choice],
        "usage": usage_report(usage),
    }


def usage_report(usage: Usage) -> dict[str, Any]:
    """A usage as a chat reports it: cached and written tokens are subsets of the prompt's."""
    prompt, completion = usage.total_input_tokens, usage.total_output_tokens
    details = {"cached_tokens": usage[Unit.CACHE_READ]}
    written = usage[Unit.CACHE_WRITE_5M] + usage[Unit.CACHE_WRITE_1H]
    if written:
        details["cache_write_tokens"] = written
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": details,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _head(context: Context, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{context.trace}",
        "object": kind,
        "created": context.created_s,
        "model": context.request.model,
    }


def _reason(ending: Ending, told: "_Told") -> str:
    """Words of a refusal are an answer; and clients look for calls where the reason says so."""
    stop = ending.stop
    if stop is Stop.REFUSAL and told.has_refused:
        return "stop"
    if stop in (Stop.END, Stop.TOOL_CALLS):
        stop = Stop.TOOL_CALLS if told.calls else Stop.END
    return _REASONS[stop]


def _merge(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Put a delta into a message, as a client does."""
    for name, value in delta.items():
        if name == "tool_calls":
            _merge_call(message.setdefault(name, []), value[0])
        elif isinstance(value, list):
            message.setdefault(name, []).extend(value)
        elif value is not None:
            message[name] = (message.get(name) or "") + value


def _merge_call(calls: list[dict[str, Any]], fragment: dict[str, Any]) -> None:
    if fragment["index"] == len(calls):
        calls.append(fragment)
        return
    call = calls[fragment["index"]]
    for name, value in fragment.items():
        if name in ("function", "custom"):
            for member, text in value.items():
                call[name][member] += text
        elif name != "index":
            call[name] = value


class _Told:
    """What one answer has told so far, and the deltas that tell more of it."""

    def __init__(self) -> None:
        self._part: AnswerPart | None = None
        self.calls = 0
        self._has_arguments = False
        self._blocks = 0
        self._notes = 0
        # The text of the thinking that has begun, for its signature.
        self._thought: list[str] = []
        self._has_thought = False
        self.has_refused = False

    def deltas(self, event: Event) -> list[dict[str, Any]]:
        """What a client is told of an event after the start, but for why it ended."""
        told: list[dict[str, Any]] = []
        match event:
            case Delta(text):
                told = [self.more(text)] if text else []
            case PartStarted(part):
                told = self._begun(part)
            case Sealed(opaque):
                told = [self._sealed(opaque)]
            case Cited(citation):
                # OpenAI's SDK puts fragments of lists together by their index.
                told = [{"annotations": [{"index": self._notes, **_annotation(citation)}]}]
                self._notes += 1
            case PartEnded():
                told = self._ended()
            case Finished(Ending(Stop.REFUSAL, explanation=why)) if why and not self.has_refused:
                # The vendor's words, where the model has none.
                told = [{"refusal": why}]
        return told

    def _ended(self) -> list[dict[str, Any]]:
        """Clients parse the arguments: those of a call without any are an empty object."""
        part, self._part = self._part, None
        if isinstance(part, ToolCall) and not part.takes_text and not self._has_arguments:
            return [{"tool_calls": [{"index": self.calls - 1, "function": {"arguments": "{}"}}]}]
        return []

    def _begun(self, part: AnswerPart) -> list[dict[str, Any]]:
        self._part = part
        if not isinstance(part, ToolCall):
            self._thought = []
            return [self.more(part.text)] if part.text else []
        fragment: dict[str, Any] = {"index": self.calls, "id": part.call_id}
        if part.takes_text:
            fragment |= {"type": "custom", "custom": {"name": part.name, "input": part.arguments}}
        else:
            function = {"name": part.name, "arguments": part.arguments}
            fragment |= {"type": "function", "function": function}
        self.calls += 1
        self._has_arguments = bool(part.arguments)
        return [{"tool_calls": [fragment]}]

    def more(self, text: str) -> dict[str, Any]:
        """The delta of more text of the part that has begun."""
        part = self._part
        if isinstance(part, ToolCall):
            self._has_arguments = True
            return {"tool_calls": [self._fragment(part, text)]}
        if isinstance(part, Thinking):
            # A thought that follows another one.
            between = BETWEEN if self._has_thought and not self._thought else ""
            self._thought.append(text)
            self._has_thought = True
            return {"reasoning_content": between + text}
        if isinstance(part, Text) and part.is_refusal:
            self.has_refused = True
            return {"refusal": text}
        return {"content": text}

    def _fragment(self, call: ToolCall, text: str) -> dict[str, Any]:
        said = {"custom": {"input": text}} if call.takes_text else {"function": {"arguments": text}}
        return {"index": self.calls - 1, **said}

    def _sealed(self, opaque: Opaque) -> dict[str, Any]:
        part = self._part
        if isinstance(part, ToolCall):
            if opaque.origin is Origin.GOOGLE:
                # OpenAI's SDK fails on a fragment that says nothing of the function.
                more = self._fragment(part, "")
                return {"tool_calls": [{**more, "extra_content": _google(opaque)}]}
            opaque = Opaque(opaque.origin, opaque.seal, opaque.data, part.call_id)
        return {"reasoning_details": [self._detail(opaque)]}

    def _detail(self, opaque: Opaque) -> dict[str, Any]:
        text = "".join(self._thought) if isinstance(self._part, Thinking) else ""
        is_signature = opaque.seal is Seal.SIGNATURE
        detail: dict[str, Any] = {
            "type": "reasoning.text" if is_signature else "reasoning.encrypted",
            "format": FORMATS[opaque.origin],
            "index": self._blocks,
        }
        self._blocks += 1
        if opaque.item_id:
            detail["id"] = opaque.item_id
        if text:
            detail["text" if is_signature else "summary"] = text
        detail["signature" if is_signature else "data"] = opaque.data
        return detail


def _google(opaque: Opaque) -> dict[str, Any]:
    """Google's own place for a call's signature in a chat."""
    return {"google": {"thought_signature": opaque.data}}


def _annotation(citation: Citation) -> dict[str, Any]:
    cited = {
        "url": citation.url,
        "title": citation.title,
        "start_index": citation.start or 0,
        "end_index": citation.end or 0,
    }
    return {"type": "url_citation", "url_citation": cited}


class ChunkWriter(EventWriter):
    """Writes one stream of chunks."""

    def __init__(self, context: Context) -> None:
        self._head = _head(context, "chat.completion.chunk")
        self._wants_usage = context.request.wants_usage
        self._told = _Told()
        # What stands around a choice's delta and reason, alike in all chunks.
        opening = documents.written(self._head).removesuffix(b"}")
        self._before = b'data: %b,"choices":[{"index":0,"delta":' % opening
        self._after = b'}],"usage":null}\n\n' if self._wants_usage else b"}]}\n\n"

    def write(self, event: Event, usage: Usage | None) -> bytes:
        """The frames of one event."""
        if isinstance(event, Delta):
            return self._chunk(self._told.more(event.text)) if event.text else b""
        if isinstance(event, Started):
            return self._chunk({"role": "assistant", "content": None, "refusal": None})
        frames = b"".join([self._chunk(delta) for delta in self._told.deltas(event)])
        if not isinstance(event, Finished):
            return frames
        frames += self._chunk({}, _reason(event.ending, self._told))
        if self._wants_usage:
            report = usage_report(usage or NOTHING)
            frames += _frame({**self._head, "choices": [], "usage": report})
        return frames + b"data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        finish = b"null" if reason is None else b'"%b"' % reason.encode()
        said = documents.written(delta)
        return b'%b%b,"logprobs":null,"finish_reason":%b%b' % (
            self._before, said, finish, self._after
        )  # fmt: skip


def _frame(document: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % documents.written(document)
