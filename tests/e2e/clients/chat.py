"""A vendor of chat completions: how it answers, and which requests it accepts."""

import json
import re
from collections.abc import Iterator
from typing import Any

from openai.types.chat.completion_create_params import CompletionCreateParams
from pydantic import TypeAdapter

from tests.e2e.clients.answer import OVERLOADED, Answer, Call, Failure, Usage, pieces_of, refusal
from tests.upstream import STREAM_HEAD, Piece, whole

PARAMETERS: TypeAdapter[Any] = TypeAdapter(CompletionCreateParams)
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# How it tells that a conversation is too long, and that it has no time.
TOO_LONG = Failure(
    400,
    "This model's maximum context length is 128000 tokens. However, your messages resulted in"
    " 130001 tokens. Please reduce the length of the messages.",
    {"param": "messages", "code": "context_length_exceeded"},
)
BUSY = Failure(503, OVERLOADED, {"type": "server_error"})
HEAD = {"id": "chatcmpl-scripted", "created": 1_760_000_000, "model": "scripted"}


def write(answer: Answer, *, stream: bool) -> list[Piece]:
    """The answer, whole or as a stream."""
    if not stream:
        return [whole(json.dumps(_completion(answer)).encode())]
    pieces: list[Piece] = [STREAM_HEAD % b""]
    for delta in _deltas(answer):
        pieces.append(_frame({"choices": [_choice(delta)], "usage": None}))
        if answer.pause_s and delta.get("content"):
            pieces.append(answer.pause_s)
    if answer.breaks:
        error = {"message": OVERLOADED, "type": "server_error", "code": "overloaded"}
        return [*pieces, b"data: " + json.dumps({"error": error}).encode() + b"\n\n"]
    finish = "tool_calls" if answer.calls else "stop"
    pieces.append(_frame({"choices": [_choice({}, finish)], "usage": None}))
    pieces.append(_frame({"choices": [], "usage": _usage(answer.usage)}))
    pieces.append(b"data: [DONE]\n\n")
    return pieces


def refuse(failure: Failure) -> list[Piece]:
    """The refusal in this vendor's form."""
    error = {"type": "invalid_request_error", "param": None, "code": None, **failure.members}
    return refusal(failure.status, {"error": {"message": failure.words, **error}})


def check(document: dict[str, Any]) -> None:
    """Raises AssertionError for what this vendor refuses, ValidationError for unknown shapes."""
    PARAMETERS.validate_python(document)
    names = [tool["function"]["name"] for tool in document.get("tools", ())]
    assert all(NAME.fullmatch(name) for name in names), names
    assert len(names) == len(set(names))
    open_calls: set[str] = set()
    for message in document["messages"]:
        if message["role"] == "tool":
            open_calls.remove(message["tool_call_id"])
            continue
        assert not open_calls, f"no result of {open_calls} before {message}"
        open_calls = {call["id"] for call in message.get("tool_calls") or ()}
        assert all(len(call_id) <= 40 for call_id in open_calls)
    assert not open_calls


def results(document: dict[str, Any]) -> dict[str, str]:
    """Texts of the results of tools, by the call's id."""
    return {
        message["tool_call_id"]: _text(message["content"])
        for message in document["messages"]
        if message["role"] == "tool"
    }


def thinking(document: dict[str, Any]) -> str:
    """The thinking of earlier turns that came back."""
    return "".join(message.get("reasoning_content") or "" for message in document["messages"])


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _completion(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant", "content": answer.text or None, "refusal": None,
    }  # fmt: skip
    if answer.thinking:
        message["reasoning_content"] = answer.thinking
    if answer.calls:
        message["tool_calls"] = [_call(call) for call in answer.calls]
    finish = "tool_calls" if answer.calls else "stop"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return HEAD | {
        "object": "chat.completion", "choices": [choice], "usage": _usage(answer.usage),
    }  # fmt: skip


def _deltas(answer: Answer) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": "" if answer.text else None, "refusal": None}
    for piece in pieces_of(answer.thinking):
        yield {"reasoning_content": piece}
    for piece in pieces_of(answer.text):
        yield {"content": piece}
    for index, call in enumerate(answer.calls):
        opening = _call(call)
        opening["function"]["arguments"] = ""
        yield {"tool_calls": [{"index": index, **opening}]}
        for piece in pieces_of(call.text):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _call(call: Call) -> dict[str, Any]:
    return {
        "id": call.call_id, "type": "function",
        "function": {"name": call.name, "arguments": call.text},
    }  # fmt: skip


def _choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _usage(usage: Usage) -> dict[str, Any]:
    read = usage.read + usage.cached
    return {
        "prompt_tokens": read,
        "completion_tokens": usage.produced,
        "total_tokens": read + usage.produced,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    }


def _frame(members: dict[str, Any]) -> bytes:
    document = HEAD | {"object": "chat.completion.chunk"} | members
    return b"data: " + json.dumps(document).encode() + b"\n\n"
