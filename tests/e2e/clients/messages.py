"""A vendor of messages: how it answers, and which requests it accepts."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

from anthropic.types.message_create_params import MessageCreateParams
from pydantic import TypeAdapter

from tests.e2e.clients.answer import OVERLOADED, Answer, Failure, Usage, pieces_of, refusal
from tests.upstream import STREAM_HEAD, Piece, whole

PARAMETERS: TypeAdapter[Any] = TypeAdapter(MessageCreateParams)
NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
SIGNATURE = "c2lnbmF0dXJlIG9mIHRoZSBzY3JpcHQ="
CACHE_MARKS_MAX = 4
# How it tells that a conversation is too long, and that it has no time.
TOO_LONG = Failure(400, "prompt is too long: 210000 tokens > 200000 maximum")
BUSY = Failure(529, OVERLOADED, {"type": "overloaded_error"})
HEAD = {"id": "msg_scripted", "type": "message", "role": "assistant", "model": "scripted"}


def write(answer: Answer, *, stream: bool) -> list[Piece]:
    """The answer, whole or as a stream."""
    stop = {"stop_reason": "tool_use" if answer.calls else "end_turn", "stop_sequence": None}
    usage = _usage(answer.usage)
    if not stream:
        message = HEAD | stop | {"content": list(_blocks(answer)), "usage": usage}
        return [whole(json.dumps(message).encode())]
    opened = HEAD | {
        "content": [], "stop_reason": None, "stop_sequence": None,
        "usage": usage | {"output_tokens": 1},
    }  # fmt: skip
    pieces: list[Piece] = [
        STREAM_HEAD % b"", _frame("message_start", message=opened), _frame("ping"),
    ]  # fmt: skip
    for index, block in enumerate(_blocks(answer)):
        pieces += _streamed(index, block, answer.pause_s)
    if answer.breaks:
        error = {"type": "overloaded_error", "message": OVERLOADED}
        return [*pieces, _frame("error", error=error)]
    pieces.append(_frame("message_delta", delta=stop, usage=usage))
    pieces.append(_frame("message_stop"))
    return pieces


def refuse(failure: Failure) -> list[Piece]:
    """The refusal in this vendor's form."""
    error = {"type": "invalid_request_error", "message": failure.words, **failure.members}
    return refusal(failure.status, {"type": "error", "error": error})


def check(document: dict[str, Any]) -> None:
    """Raises AssertionError for what this vendor refuses, ValidationError for unknown shapes."""
    PARAMETERS.validate_python(document)
    names = [tool["name"] for tool in document.get("tools", ())]
    assert all(NAME.fullmatch(name) for name in names), names
    assert len(names) == len(set(names))
    assert json.dumps(document).count('"cache_control"') <= CACHE_MARKS_MAX
    thinking = document.get("thinking") or {}
    assert thinking.get("budget_tokens", 0) < document["max_tokens"]
    roles = [message["role"] for message in document["messages"]]
    assert roles[0] == "user"
    assert all(one != other for one, other in itertools.pairwise(roles)), roles
    open_calls: list[str] = []
    for message in document["messages"]:
        blocks = message["content"]
        if isinstance(blocks, str):
            blocks = [{"type": "text", "text": blocks}]
        assert blocks
        assert all(block["text"].strip() for block in blocks if block["type"] == "text")
        given = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert sorted(given) == sorted(open_calls)
        assert all(block["type"] == "tool_result" for block in blocks[: len(given)])
        open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if open_calls and thinking.get("type") == "enabled":
            assert blocks[0]["type"] in ("thinking", "redacted_thinking")
    assert not open_calls


def results(document: dict[str, Any]) -> dict[str, str]:
    """Texts of the results of tools, by the call's id."""
    return {
        block["tool_use_id"]: _text(block["content"])
        for message in document["messages"]
        if not isinstance(message["content"], str)
        for block in message["content"]
        if block["type"] == "tool_result"
    }


def thinking(document: dict[str, Any]) -> str:
    """The thinking of earlier turns that came back, with the vendor's own signature."""
    return "".join(
        block["thinking"]
        for message in document["messages"]
        if not isinstance(message["content"], str)
        for block in message["content"]
        if block["type"] == "thinking" and block["signature"] == SIGNATURE
    )


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _blocks(answer: Answer) -> Iterator[dict[str, Any]]:
    if answer.thinking:
        yield {"type": "thinking", "thinking": answer.thinking, "signature": SIGNATURE}
    if answer.text:
        yield {"type": "text", "text": answer.text}
    for call in answer.calls:
        yield {
            "type": "tool_use", "id": call.call_id, "name": call.name, "input": call.arguments,
        }  # fmt: skip


def _streamed(index: int, block: dict[str, Any], pause_s: float) -> Iterator[Piece]:
    opened, deltas = _opened(block)
    yield _frame("content_block_start", index=index, content_block=opened)
    for delta in deltas:
        yield _frame("content_block_delta", index=index, delta=delta)
        if pause_s and delta["type"] == "text_delta":
            yield pause_s
    yield _frame("content_block_stop", index=index)


def _opened(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The block as it starts, and the deltas that fill it."""
    match block["type"]:
        case "thinking":
            deltas = [
                {"type": "thinking_delta", "thinking": piece}
                for piece in pieces_of(block["thinking"])
            ]
            seal = {"type": "signature_delta", "signature": block["signature"]}
            return block | {"thinking": "", "signature": ""}, [*deltas, seal]
        case "text":
            return block | {"text": ""}, [
                {"type": "text_delta", "text": piece} for piece in pieces_of(block["text"])
            ]
        case _:
            return block | {"input": {}}, [
                {"type": "input_json_delta", "partial_json": piece}
                for piece in ("", *pieces_of(json.dumps(block["input"])))
            ]


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.read,
        "cache_read_input_tokens": usage.cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": usage.produced,
    }


def _frame(event: str, **members: Any) -> bytes:
    document = {"type": event, **members}
    return f"event: {event}\ndata: {json.dumps(document)}\n\n".encode()
