"""DashScope's own generation, of words and of what is seen or heard."""

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
    joined,
)
from tollgate_cli.demo_provider.speech.speech import BROKEN, Speech, limit, model_of, parsed
from tollgate_cli.demo_provider.wire import Request

# There is no word for a refusal: it is said as text, and ends as any answer does.
_FINISH: Final = {
    End.STOP: "stop",
    End.LENGTH: "length",
    End.REFUSAL: "stop",
    End.CALL: "tool_calls",
}
_CODES: Final = {
    400: "InvalidParameter", 401: "InvalidApiKey", 403: "AccessDenied", 404: "ModelNotFound",
    429: "Throttling.RateQuota", 503: "ServiceUnavailable", 504: "GatewayTimeout",
}  # fmt: skip


class DashScope(Speech):
    """A call of generation. In a stream each event is new, or all so far, as the client likes."""

    name = "dashscope"
    model = "demo-qwen"
    base_path = "/api/v1"
    path = re.compile(r"/api/v1/services/aigc/(?P<of>text|multimodal)-generation/generation")
    too_long = "Range of input length should be [1, 8192]"
    stream_type = "text/event-stream;charset=UTF-8"

    def __init__(
        self, question: Question, *, in_parts: bool, in_choices: bool, is_incremental: bool
    ) -> None:
        super().__init__(question)
        # Content is a list of parts, as it always is where pictures are; else it is a text.
        self._in_parts = in_parts
        self._in_choices = in_choices
        self._is_incremental = is_incremental
        # All so far, where each event says it again.
        self._said: tuple[Piece, ...] = ()
        self._events = 0

    @classmethod
    def hear(cls, request: Request) -> Self:
        asked = parsed(request.body)
        heard, parameters = asked.get("input"), asked.get("parameters") or {}
        if not isinstance(heard, dict):
            raise ValueError("input must be an object")
        tools = parameters.get("tools") or []
        accepted = request.headers.get("accept", "")
        is_stream = (
            request.headers.get("x-dashscope-sse") == "enable" or "text/event-stream" in accepted
        )
        question = Question(
            model=model_of(asked),
            stream=is_stream,
            input_tokens=input_tokens({**asked, **parameters}, "input", "tools"),
            max_tokens=limit(
                parameters.get("max_completion_tokens") or parameters.get("max_tokens")
            ),
            function=_function(heard.get("messages") or [], tools),
        )
        place = cls.path.fullmatch(request.path)
        in_parts = place is not None and place["of"] == "multimodal"
        return cls(
            question,
            in_parts=in_parts,
            in_choices=in_parts or bool(tools) or parameters.get("result_format") != "text",
            is_incremental=parameters.get("incremental_output") is True,
        )

    def body(self, answer: Answer) -> bytes:
        return compact(self._document(answer.parts, answer.usage, answer.end))

    def opening(self, _usage: Counts | None) -> bytes:
        return b""

    def say(self, piece: Piece, usage: Counts | None) -> bytes:
        if not self._is_incremental:
            self._said = joined((*self._said, piece))
            return self._result(self._said, usage)
        if piece.kind is not Kind.CALL:
            return self._result((piece,), usage)
        named = self._result((Piece(Kind.CALL, ""),), usage)
        # What follows a call's first event has an empty id and no name.
        more = {"id": "", "type": "function", "index": 0, "function": {"arguments": piece.text}}
        message = {**self._message(()), "tool_calls": [more]}
        document = self._document((), usage)
        document["output"] = {"choices": [{"message": message, "finish_reason": "null"}]}
        return named + self._event("result", 200, compact(document))

    def closing(self, end: End, usage: Counts | None, *, usage_on_last: bool = False) -> bytes:
        del usage_on_last  # it always is
        return self._result(self._said, usage, end)

    @classmethod
    def error(cls, status: int, message: str, *, code: str = "") -> bytes:
        del code
        own = _CODES.get(status, "InternalError" if status >= 500 else "BadRequest")  # noqa: PLR2004
        return compact({"code": own, "message": message, "request_id": "demo"})

    def error_event(self, message: str) -> bytes:
        return self._event("error", 500, self.error(500, message))

    def broken_event(self) -> bytes:
        return self._event("result", 200, BROKEN)

    def _result(
        self, parts: tuple[Piece, ...], usage: Counts | None, end: End | None = None
    ) -> bytes:
        return self._event("result", 200, compact(self._document(parts, usage, end)))

    def _event(self, name: str, status: int, text: bytes) -> bytes:
        """Without a blank after the colons: its SDK looks for them so."""
        self._events += 1
        head = f"id:{self._events}\nevent:{name}\n:HTTP_STATUS/{status}\ndata:"
        return head.encode() + text + b"\n\n"

    def _document(
        self, parts: tuple[Piece, ...], usage: Counts | None, end: End | None = None
    ) -> dict[str, Any]:
        # In a stream the word "null" until the end.
        finish = "null" if end is None else _FINISH[end]
        message = self._message(parts)
        if self._in_choices:
            output: dict[str, Any] = {"choices": [{"finish_reason": finish, "message": message}]}
        else:
            output = {"text": message.pop("content"), "finish_reason": finish}
        document: dict[str, Any] = {"output": output}
        if usage is not None:
            document["usage"] = _usage(usage)
        return {**document, "request_id": "demo"}

    def _message(self, parts: tuple[Piece, ...]) -> dict[str, Any]:
        text = "".join(part.text for part in parts if part.kind in (Kind.TEXT, Kind.REFUSAL))
        listed = [{"text": text}] if text else []
        message: dict[str, Any] = {
            "role": "assistant",
            "content": listed if self._in_parts else text,
        }
        for part in parts:
            if part.kind is Kind.THINKING:
                message["reasoning_content"] = part.text
            elif part.kind is Kind.CALL:
                function = {"name": self.question.function, "arguments": part.text}
                call = {"index": 0, "id": "call_demo", "type": "function", "function": function}
                message["tool_calls"] = [call]
        return message


def _function(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> str:
    if messages and messages[-1].get("role") == "tool":
        return ""
    return next((tool["function"]["name"] for tool in tools), "")


def _usage(counts: Counts) -> dict[str, Any]:
    thinking = counts.thinking_tokens
    return {
        "input_tokens": counts.all_input_tokens,
        "output_tokens": counts.output_tokens,
        "total_tokens": counts.all_tokens,
        "prompt_tokens_details": {"cached_tokens": counts.cache_read_tokens},
        "output_tokens_details": {
            "reasoning_tokens": thinking,
            "text_tokens": counts.output_tokens - thinking,
        },
    }
