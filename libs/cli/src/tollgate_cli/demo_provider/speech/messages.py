"""Anthropic messages."""

import json
import re
from typing import Any, Final, Self

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
from tollgate_cli.demo_provider.speech.speech import SEAL, Speech, data, limit, model_of, parsed
from tollgate_cli.demo_provider.wire import Request

_STOP: Final = {
    End.STOP: "end_turn",
    End.LENGTH: "max_tokens",
    End.REFUSAL: "refusal",
    End.CALL: "tool_use",
}
_TYPES: Final = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
    529: "overloaded_error",
}  # fmt: skip


class Messages(Speech):
    """A call of messages; a part is a block."""

    name = "anthropic"
    model = "demo-claude"
    path = re.compile(r"/v1/messages")
    too_long = "prompt is too long: 210000 tokens > 200000 maximum"

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        # The number of the block that is being told, and its kind; None between two.
        self._index = -1
        self._open: Kind | None = None

    @classmethod
    def hear(cls, request: Request) -> Self:
        asked = parsed(request.body, "messages")
        return cls(question(asked, model_of(asked), stream=asked.get("stream") is True))

    def body(self, answer: Answer) -> bytes:
        message = self._message([self._block(part) for part in answer.parts], answer.usage)
        return compact({**message, "stop_reason": _STOP[answer.end]})

    def opening(self, usage: Counts | None) -> bytes:
        return _event({"type": "message_start", "message": self._message([], usage)})

    def say(self, piece: Piece, _usage: Counts | None) -> bytes:
        begun = b"" if piece.kind is self._open else self._begin(piece.kind)
        match piece.kind:
            case Kind.THINKING:
                return begun + self._delta({"type": "thinking_delta", "thinking": piece.text})
            case Kind.CALL:
                told = {"type": "input_json_delta", "partial_json": piece.text}
                return begun + self._delta({**told, "partial_json": ""}) + self._delta(told)
        return begun + self._delta({"type": "text_delta", "text": piece.text})

    def closing(self, end: End, usage: Counts | None, *, usage_on_last: bool = False) -> bytes:
        del usage_on_last  # it always is
        told: dict[str, Any] = {
            "type": "message_delta",
            "delta": {"stop_reason": _STOP[end], "stop_sequence": None},
        }
        if usage is not None:
            told["usage"] = _usage(usage)
        return self._finish() + _event(told) + _event({"type": "message_stop"})

    @classmethod
    def error(cls, status: int, message: str, *, code: str = "") -> bytes:
        del code
        error = {"type": _TYPES.get(status, "api_error"), "message": message}
        return compact({"type": "error", "error": error, "request_id": "req_demo"})

    def error_event(self, message: str) -> bytes:
        return data(self.error(529, message), "error")

    def _begin(self, kind: Kind) -> bytes:
        finished = self._finish()
        self._index += 1
        self._open = kind
        block = self._block(Piece(kind, "{}" if kind is Kind.CALL else ""))
        if kind is Kind.THINKING:
            block["signature"] = ""
        start = {"type": "content_block_start", "index": self._index, "content_block": block}
        return finished + _event(start)

    def _finish(self) -> bytes:
        if self._open is None:
            return b""
        signed = {"type": "signature_delta", "signature": SEAL}
        seal = self._delta(signed) if self._open is Kind.THINKING else b""
        self._open = None
        return seal + _event({"type": "content_block_stop", "index": self._index})

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event({"type": "content_block_delta", "index": self._index, "delta": delta})

    def _block(self, part: Piece) -> dict[str, Any]:
        match part.kind:
            case Kind.THINKING:
                return {"type": "thinking", "thinking": part.text, "signature": SEAL}
            case Kind.CALL:
                called = {"id": "toolu_demo", "name": self.question.function}
                return {"type": "tool_use", **called, "input": json.loads(part.text)}
        return {"type": "text", "text": part.text}

    def _message(self, content: list[dict[str, Any]], usage: Counts | None) -> dict[str, Any]:
        message: dict[str, Any] = {
            "id": "msg_demo",
            "type": "message",
            "role": "assistant",
            "model": self.question.model,
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
        }
        if usage is not None:
            message["usage"] = _usage(usage)
        return message


def question(asked: dict[str, Any], model: str, *, stream: bool) -> Question:
    """What a message asks. Raises ValueError."""
    if not isinstance(asked.get("max_tokens"), int):
        raise ValueError("max_tokens: Field required")
    return Question(
        model=model,
        stream=stream,
        input_tokens=input_tokens(asked, "messages", "system", "tools"),
        max_tokens=limit(asked["max_tokens"]),
        function=_function(asked),
    )


def _function(asked: dict[str, Any]) -> str:
    last = asked["messages"][-1].get("content") if asked["messages"] else None
    if isinstance(last, list) and any(block.get("type") == "tool_result" for block in last):
        return ""
    tools = asked.get("tools") or []
    return next((tool["name"] for tool in tools if "input_schema" in tool), "")


def _usage(counts: Counts) -> dict[str, Any]:
    return {
        "input_tokens": counts.input_tokens,
        "cache_creation_input_tokens": counts.cache_write_tokens,
        "cache_read_input_tokens": counts.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": counts.cache_write_tokens,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": counts.output_tokens,
        "output_tokens_details": {"thinking_tokens": counts.thinking_tokens},
        "service_tier": "standard",
    }


def _event(document: dict[str, Any]) -> bytes:
    return data(compact(document), document["type"])
