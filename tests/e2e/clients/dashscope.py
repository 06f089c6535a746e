"""A vendor of DashScope's own generation: how it answers, and which requests it accepts."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

from tests.e2e.clients.answer import OVERLOADED, Answer, Failure, Usage, pieces_of, refusal
from tests.upstream import STREAM_HEAD, Piece, whole

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# How it tells that a conversation is too long, and that it has no time.
TOO_LONG = Failure(400, "Range of input length should be [1, 258048]")
BUSY = Failure(503, OVERLOADED, {"code": "ModelServingError"})
PARAMETERS = {
    "result_format", "incremental_output", "tools", "tool_choice", "parallel_tool_calls",
    "max_tokens", "max_completion_tokens", "enable_thinking", "thinking_budget", "temperature",
    "top_p",
}  # fmt: skip


def write(answer: Answer, *, stream: bool) -> list[Piece]:
    """The answer, whole or as a stream of pieces."""
    finish = "tool_calls" if answer.calls else "stop"
    if not stream:
        message: dict[str, Any] = {"content": answer.text}
        if answer.thinking:
            message["reasoning_content"] = answer.thinking
        if answer.calls:
            calls = [_call(index, one.text, one) for index, one in enumerate(answer.calls)]
            message["tool_calls"] = calls
        return [whole(json.dumps(_document(message, finish, answer.usage)).encode())]
    numbers = itertools.count(1)
    pieces: list[Piece] = [STREAM_HEAD % b""]
    for message in _messages(answer):
        pieces.append(_frame(next(numbers), _document(message, "null", answer.usage)))
        if answer.pause_s and message["content"]:
            pieces.append(answer.pause_s)
    if answer.breaks:
        error = {"code": "ServiceUnavailable", "message": OVERLOADED, "request_id": "scripted"}
        return [*pieces, _frame(next(numbers), error, "error", 503)]
    return [*pieces, _frame(next(numbers), _document({"content": ""}, finish, answer.usage))]


def refuse(failure: Failure) -> list[Piece]:
    """The refusal in this vendor's form."""
    error = {"code": "InvalidParameter", "message": failure.words, "request_id": "scripted"}
    return refusal(failure.status, error | dict(failure.members))


def check(document: dict[str, Any]) -> None:
    """Raises AssertionError for what this vendor refuses."""
    assert {"model", "input", "parameters"} == document.keys()
    assert {"messages"} == document["input"].keys()
    parameters = document["parameters"]
    assert parameters.keys() <= PARAMETERS, parameters.keys() - PARAMETERS
    assert "message" == parameters["result_format"]
    names = [tool["function"]["name"] for tool in parameters.get("tools", ())]
    assert all(NAME.fullmatch(name) for name in names), names
    assert len(names) == len(set(names))
    open_calls: set[str] = set()
    messages = document["input"]["messages"]
    assert all(message["role"] != "system" for message in messages[1:])
    for message in messages:
        if message["role"] == "tool":
            open_calls.remove(message["tool_call_id"])
            continue
        assert not open_calls, f"no result of {open_calls} before {message}"
        open_calls = {call["id"] for call in message.get("tool_calls") or ()}
    assert not open_calls
    assert messages[-1]["role"] in ("user", "tool")


def results(document: dict[str, Any]) -> dict[str, str]:
    """Texts of the results of tools, by the call's id."""
    return {
        message["tool_call_id"]: _text(message["content"])
        for message in document["input"]["messages"]
        if message["role"] == "tool"
    }


def thinking(document: dict[str, Any]) -> str:
    """The thinking of earlier turns that came back."""
    messages = document["input"]["messages"]
    return "".join(message.get("reasoning_content") or "" for message in messages)


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _messages(answer: Answer) -> Iterator[dict[str, Any]]:
    for piece in pieces_of(answer.thinking):
        yield {"content": "", "reasoning_content": piece}
    for piece in pieces_of(answer.text):
        yield {"content": piece}
    for index, call in enumerate(answer.calls):
        yield {"content": "", "tool_calls": [_call(index, "", call)]}
        for piece in pieces_of(call.text):
            # What follows a call's first frame has an empty id and no name.
            yield {"content": "", "tool_calls": [_call(index, piece)]}


def _call(index: int, arguments: str, opened: Any = None) -> dict[str, Any]:
    name = {"name": opened.name} if opened else {}
    return {
        "index": index, "id": opened.call_id if opened else "", "type": "function",
        "function": {**name, "arguments": arguments},
    }  # fmt: skip


def _document(message: dict[str, Any], finish: str, usage: Usage) -> dict[str, Any]:
    read = usage.read + usage.cached
    choice = {"message": {"role": "assistant", **message}, "finish_reason": finish}
    report = {
        "input_tokens": read,
        "output_tokens": usage.produced,
        "total_tokens": read + usage.produced,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    }
    return {"output": {"choices": [choice]}, "usage": report, "request_id": "scripted"}


def _frame(
    number: int, document: dict[str, Any], event: str = "result", status: int = 200
) -> bytes:
    head = f"id:{number}\nevent:{event}\n:HTTP_STATUS/{status}\ndata:"
    return head.encode() + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"
