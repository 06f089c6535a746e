"""Amazon Bedrock's Converse and ConverseStream."""

import json
import re
from typing import Any, Final, Self
from urllib.parse import unquote

from tollgate_cli.demo_provider.speech import event_stream
from tollgate_cli.demo_provider.speech.conversation import (
    Answer,
    Counts,
    End,
    Kind,
    Piece,
    Question,
    compact,
    input_tokens,
)
from tollgate_cli.demo_provider.speech.speech import BROKEN, SEAL, Speech, limit, parsed
from tollgate_cli.demo_provider.wire import Request

_STREAM: Final = "converse-stream"
_STOP: Final = {
    End.STOP: "end_turn",
    End.LENGTH: "max_tokens",
    End.REFUSAL: "content_filtered",
    End.CALL: "tool_use",
}
_TYPES: Final = {
    401: "UnrecognizedClientException", 403: "AccessDeniedException",
    404: "ResourceNotFoundException", 429: "ThrottlingException",
    503: "ServiceUnavailableException",
}  # fmt: skip
# Beside each event's own members, so that its length tells nothing.
_PADDING: Final = {"p": "abcdefghijklm"}


class Bedrock(Speech):
    """A call of Converse; a part is a block."""

    name = "bedrock"
    model = "demo-nova"
    base_path = ""
    path = re.compile(rf"/model/(?P<model>[^/]+)/(?P<verb>converse|{_STREAM})")
    too_long = (
        "The model returned the following errors: Input Tokens Exceeded: Number of input tokens "
        "exceeds maximum length. Please update the input to try again."
    )
    stream_type = "application/vnd.amazon.eventstream"

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        # The number of the block that is being told, and its kind; None between two.
        self._index = -1
        self._open: Kind | None = None

    @classmethod
    def hear(cls, request: Request) -> Self:
        asked = parsed(request.body, "messages")
        place = cls.path.fullmatch(request.path)
        assert place, "routed here by its path"
        question = Question(
            model=unquote(place["model"]),
            stream=place["verb"] == _STREAM,
            input_tokens=input_tokens(asked, "system", "messages", "toolConfig"),
            max_tokens=limit((asked.get("inferenceConfig") or {}).get("maxTokens")),
            function=_function(asked),
        )
        return cls(question)

    def body(self, answer: Answer) -> bytes:
        content = [self._block(part) for part in answer.parts]
        document: dict[str, Any] = {
            "metrics": {"latencyMs": 1},
            "output": {"message": {"content": content, "role": "assistant"}},
            "stopReason": _STOP[answer.end],
        }
        if answer.usage is not None:
            document["usage"] = _usage(answer.usage)
        return compact(document)

    def opening(self, _usage: Counts | None) -> bytes:
        return _event("messageStart", role="assistant")

    def say(self, piece: Piece, _usage: Counts | None) -> bytes:
        begun = b"" if piece.kind is self._open else self._begin(piece.kind)
        match piece.kind:
            case Kind.THINKING:
                return begun + self._delta({"reasoningContent": {"text": piece.text}})
            case Kind.CALL:
                return begun + self._delta({"toolUse": {"input": piece.text}})
        return begun + self._delta({"text": piece.text})

    def closing(self, end: End, usage: Counts | None, *, usage_on_last: bool = False) -> bytes:
        del usage_on_last  # it always comes after the end
        told = {} if usage is None else {"usage": _usage(usage)}
        stopped = self._finish() + _event("messageStop", stopReason=_STOP[end])
        return stopped + _event("metadata", metrics={"latencyMs": 1}, **told)

    @classmethod
    def error(cls, status: int, message: str, *, code: str = "") -> bytes:
        del status, code  # in a header
        return compact({"message": message})

    @classmethod
    def error_headers(cls, status: int) -> dict[str, str]:
        usual = "ValidationException" if status < 500 else "InternalServerException"  # noqa: PLR2004
        kind = _TYPES.get(status, usual)
        return {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"}

    def error_event(self, message: str) -> bytes:
        headers = {
            ":exception-type": "internalServerException",
            ":content-type": "application/json",
            ":message-type": "exception",
        }
        return event_stream.frame(headers, self.error(500, message))

    def broken_event(self) -> bytes:
        return _frame("contentBlockDelta", BROKEN)

    def _begin(self, kind: Kind) -> bytes:
        finished = self._finish()
        self._index += 1
        self._open = kind
        if kind is not Kind.CALL:
            # Blocks of other kinds begin with their first piece.
            return finished
        start = {"toolUse": self._tool_use()}
        return finished + _event("contentBlockStart", contentBlockIndex=self._index, start=start)

    def _finish(self) -> bytes:
        if self._open is None:
            return b""
        signed = {"reasoningContent": {"signature": SEAL}}
        seal = self._delta(signed) if self._open is Kind.THINKING else b""
        self._open = None
        return seal + _event("contentBlockStop", contentBlockIndex=self._index)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("contentBlockDelta", contentBlockIndex=self._index, delta=delta)

    def _block(self, part: Piece) -> dict[str, Any]:
        match part.kind:
            case Kind.THINKING:
                text = {"text": part.text, "signature": SEAL}
                return {"reasoningContent": {"reasoningText": text}}
            case Kind.CALL:
                return {"toolUse": {**self._tool_use(), "input": json.loads(part.text)}}
        return {"text": part.text}

    def _tool_use(self) -> dict[str, Any]:
        return {"toolUseId": "tooluse_demo", "name": self.question.function}


def _function(asked: dict[str, Any]) -> str:
    last = asked["messages"][-1] if asked["messages"] else {}
    if any("toolResult" in block for block in last.get("content") or ()):
        return ""
    tools = (asked.get("toolConfig") or {}).get("tools") or []
    return next((tool["toolSpec"]["name"] for tool in tools if "toolSpec" in tool), "")


def _usage(counts: Counts) -> dict[str, Any]:
    read, write = counts.cache_read_tokens, counts.cache_write_tokens
    return {
        "inputTokens": counts.input_tokens,
        "outputTokens": counts.output_tokens,
        "totalTokens": counts.all_tokens,
        "cacheReadInputTokens": read,
        "cacheReadInputTokenCount": read,
        "cacheWriteInputTokens": write,
        "cacheWriteInputTokenCount": write,
    }


def _event(name: str, **members: Any) -> bytes:
    return _frame(name, compact({**members, **_PADDING}))


def _frame(name: str, payload: bytes) -> bytes:
    headers = {
        ":event-type": name,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    return event_stream.frame(headers, payload)
