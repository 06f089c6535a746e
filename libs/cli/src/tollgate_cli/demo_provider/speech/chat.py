"""OpenAI chat completions."""

import re
from typing import Any, Final, Self

from tollgate_cli.demo_provider.speech import openai_errors
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
from tollgate_cli.demo_provider.speech.speech import CREATED, Speech, data, limit, model_of, parsed
from tollgate_cli.demo_provider.wire import Request

_ID: Final = "chatcmpl-demo"
_CALL_ID: Final = "call_demo"
_FINISH: Final = {
    End.STOP: "stop",
    End.LENGTH: "length",
    End.REFUSAL: "stop",
    End.CALL: "tool_calls",
}
_MEMBERS: Final = {
    Kind.TEXT: "content",
    Kind.THINKING: "reasoning_content",
    Kind.REFUSAL: "refusal",
}


class Chat(Speech):
    """A call of chat completions; each choice says the same."""

    name = "openai"
    model = "demo-gpt"
    path = re.compile(r"/v1/chat/completions")
    too_long = openai_errors.TOO_LONG

    def __init__(self, question: Question, *, include_usage: bool) -> None:
        super().__init__(question)
        self._include_usage = include_usage

    @classmethod
    def hear(cls, request: Request) -> Self:
        asked = parsed(request.body, "messages")
        question = Question(
            model=model_of(asked),
            stream=asked.get("stream") is True,
            input_tokens=input_tokens(asked, "messages", "tools"),
            max_tokens=limit(asked.get("max_completion_tokens") or asked.get("max_tokens")),
            choices=asked.get("n") or 1,
            function=_function(asked),
        )
        options = asked.get("stream_options") or {}
        return cls(question, include_usage=bool(options.get("include_usage")))

    def body(self, answer: Answer) -> bytes:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": answer.told(Kind.TEXT),
            "refusal": answer.told(Kind.REFUSAL),
        }
        if thinking := answer.told(Kind.THINKING):
            message["reasoning_content"] = thinking
        if arguments := answer.told(Kind.CALL):
            message["tool_calls"] = [self._call(arguments)]
        elif answer.told(Kind.REFUSAL) is None:
            message["content"] = message["content"] or ""
        document: dict[str, Any] = {
            "id": _ID,
            "object": "chat.completion",
            "created": CREATED,
            "model": self.question.model,
            "choices": [
                {
                    "index": index,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": _FINISH[answer.end],
                }
                for index in range(self.question.choices)
            ],
        }
        if answer.usage is not None:
            document["usage"] = _usage(answer.usage)
        return compact(document)

    def opening(self, _usage: Counts | None) -> bytes:
        return self._each({"role": "assistant", "content": ""})

    def say(self, piece: Piece, _usage: Counts | None) -> bytes:
        if piece.kind is not Kind.CALL:
            return self._each({_MEMBERS[piece.kind]: piece.text})
        named = {"index": 0, **self._call("")}
        told = {"index": 0, "function": {"arguments": piece.text}}
        return self._each({"tool_calls": [named]}) + self._each({"tool_calls": [told]})

    def closing(self, end: End, usage: Counts | None, *, usage_on_last: bool = False) -> bytes:
        last = [self._chunk(index, {}, _FINISH[end]) for index in range(self.question.choices)]
        if usage is not None and usage_on_last:
            last[-1]["usage"] = _usage(usage)
        elif usage is not None and self._include_usage:
            last.append({**self._chunk(0, {}), "choices": [], "usage": _usage(usage)})
        return b"".join(data(compact(chunk)) for chunk in last) + data(b"[DONE]")

    @classmethod
    def error(cls, status: int, message: str, *, code: str = "") -> bytes:
        return openai_errors.body(status, message, code)

    def error_event(self, message: str) -> bytes:
        return data(self.error(500, message))

    def _call(self, arguments: str) -> dict[str, Any]:
        function = {"name": self.question.function, "arguments": arguments}
        return {"id": _CALL_ID, "type": "function", "function": function}

    def _each(self, delta: dict[str, Any]) -> bytes:
        chunks = (self._chunk(index, delta) for index in range(self.question.choices))
        return b"".join(data(compact(chunk)) for chunk in chunks)

    def _chunk(
        self, index: int, delta: dict[str, Any], finish: str | None = None
    ) -> dict[str, Any]:
        chunk: dict[str, Any] = {
            "id": _ID,
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": self.question.model,
            "choices": [
                {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
            ],
        }
        if self._include_usage:
            chunk["usage"] = None
        return chunk


def _function(asked: dict[str, Any]) -> str:
    messages, tools = asked["messages"], asked.get("tools") or []
    if messages and messages[-1].get("role") == "tool":
        return ""
    return next((tool["function"]["name"] for tool in tools if tool.get("type") == "function"), "")


def _usage(counts: Counts) -> dict[str, Any]:
    return {
        "prompt_tokens": counts.all_input_tokens,
        "completion_tokens": counts.output_tokens,
        "total_tokens": counts.all_tokens,
        "prompt_tokens_details": {
            "cached_tokens": counts.cache_read_tokens,
            "cache_write_tokens": counts.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": counts.thinking_tokens},
    }
