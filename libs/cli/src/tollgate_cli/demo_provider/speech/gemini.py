"""Gemini's generateContent and streamGenerateContent."""

import json
import re
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote

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
from tollgate_cli.demo_provider.speech.speech import SEAL, Speech, data, limit, parsed
from tollgate_cli.demo_provider.wire import Request

_STREAM: Final = "streamGenerateContent"
# A call of a function ends as any answer does.
_FINISH: Final = {
    End.STOP: "STOP",
    End.LENGTH: "MAX_TOKENS",
    End.REFUSAL: "SAFETY",
    End.CALL: "STOP",
}
_STATUSES: Final = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip


class Gemini(Speech):
    """A call of generateContent; a part is a part. Without `alt=sse` a stream is a JSON array."""

    name = "gemini"
    model = "demo-gemini"
    base_path = "/v1beta"
    path = re.compile(rf"/.+/models/(?P<model>[^/:]+):(?P<verb>generateContent|{_STREAM})")
    too_long = (
        "The input token count (210000) exceeds the maximum number of tokens allowed (200000)."
    )

    def __init__(self, question: Question, *, is_array: bool) -> None:
        super().__init__(question)
        self._is_array = is_array
        if is_array:
            self.stream_type = "application/json"
        # What stands before the next element of an array.
        self._before = b"["
        self._has_thought = False

    @classmethod
    def hear(cls, request: Request) -> Self:
        asked = parsed(request.body, "contents")
        place = cls.path.fullmatch(request.path)
        assert place, "routed here by its path"
        is_stream = place["verb"] == _STREAM
        question = Question(
            model=unquote(place["model"]),
            stream=is_stream,
            input_tokens=input_tokens(asked, "systemInstruction", "contents", "tools"),
            max_tokens=limit((asked.get("generationConfig") or {}).get("maxOutputTokens")),
            function=_function(asked),
        )
        return cls(
            question, is_array=is_stream and "sse" not in parse_qs(request.query).get("alt", ())
        )

    def body(self, answer: Answer) -> bytes:
        parts = [self._part(part) for part in answer.parts]
        if answer.told(Kind.THINKING):
            parts[-1]["thoughtSignature"] = SEAL
        return compact(self._chunk(parts, answer.usage, answer.end))

    def opening(self, _usage: Counts | None) -> bytes:
        return b""

    def say(self, piece: Piece, usage: Counts | None) -> bytes:
        self._has_thought |= piece.kind is Kind.THINKING
        return self._event(self._chunk([self._part(piece)], usage))

    def closing(self, end: End, usage: Counts | None, *, usage_on_last: bool = False) -> bytes:
        del usage_on_last  # it always is
        last: dict[str, Any] = {"text": ""}
        if self._has_thought:
            last["thoughtSignature"] = SEAL
        return self._event(self._chunk([last], usage, end)) + (b"]" if self._is_array else b"")

    @classmethod
    def error(cls, status: int, message: str, *, code: str = "") -> bytes:
        del code
        kind = _STATUSES.get(status, "INTERNAL" if status >= 500 else "FAILED_PRECONDITION")  # noqa: PLR2004
        return compact({"error": {"code": status, "message": message, "status": kind}})

    def error_event(self, message: str) -> bytes:
        return self._event(json.loads(self.error(503, message)))

    def _event(self, document: dict[str, Any]) -> bytes:
        if not self._is_array:
            return data(compact(document))
        before, self._before = self._before, b",\r\n"
        return before + compact(document)

    def _part(self, part: Piece) -> dict[str, Any]:
        match part.kind:
            case Kind.THINKING:
                return {"text": part.text, "thought": True}
            case Kind.CALL:
                call = {"name": self.question.function, "args": json.loads(part.text)}
                return {"functionCall": call, "thoughtSignature": SEAL}
        return {"text": part.text}

    def _chunk(
        self, parts: list[dict[str, Any]], usage: Counts | None, end: End | None = None
    ) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if end is not None:
            candidate["finishReason"] = _FINISH[end]
        chunk: dict[str, Any] = {"candidates": [candidate]}
        if usage is not None:
            chunk["usageMetadata"] = _usage(usage)
        return {**chunk, "modelVersion": self.question.model, "responseId": "demo"}


def _function(asked: dict[str, Any]) -> str:
    last = asked["contents"][-1] if asked["contents"] else {}
    if any("functionResponse" in part for part in last.get("parts") or ()):
        return ""
    tools = asked.get("tools") or []
    declared = (one for tool in tools for one in tool.get("functionDeclarations") or ())
    return next((one["name"] for one in declared), "")


def _usage(counts: Counts) -> dict[str, Any]:
    """What the prompt holds of a cache is a part of it; thinking is none of the candidates'."""
    return {
        "promptTokenCount": counts.all_input_tokens,
        "candidatesTokenCount": counts.output_tokens - counts.thinking_tokens,
        "totalTokenCount": counts.all_tokens,
        "cachedContentTokenCount": counts.cache_read_tokens,
        "thoughtsTokenCount": counts.thinking_tokens,
    }
