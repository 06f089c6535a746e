"""A vendor of Responses: how it answers, and which requests it accepts."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import TypeAdapter

from tests.e2e.clients.answer import OVERLOADED, Answer, Failure, Usage, pieces_of, refusal
from tests.upstream import STREAM_HEAD, Piece, whole

PARAMETERS: TypeAdapter[Any] = TypeAdapter(ResponseCreateParams)
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
CALL_ID_LENGTH_MAX = 64
SEALED = "gAAAAABsealed-by-the-script=="
REASONING_ID = "rs_scripted"
# How it tells that a conversation is too long, and that it has no time.
TOO_LONG = Failure(
    400,
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    {"param": "input", "code": "context_length_exceeded"},
)
BUSY = Failure(503, OVERLOADED, {"type": "server_error", "code": "server_is_overloaded"})
HEAD = {
    "id": "resp_scripted", "object": "response", "created_at": 1_760_000_000, "model": "scripted",
    "error": None, "incomplete_details": None, "parallel_tool_calls": True, "tool_choice": "auto",
    "tools": [],
}  # fmt: skip


def write(answer: Answer, *, stream: bool) -> list[Piece]:
    """The answer, whole or as a stream."""
    output = list(_items(answer))
    done = HEAD | {"status": "completed", "output": output, "usage": _usage(answer.usage)}
    if not stream:
        return [whole(json.dumps(done).encode())]
    opened = HEAD | {"status": "in_progress", "output": [], "usage": None}
    ending = {"type": "response.completed", "response": done}
    if answer.breaks:
        error = {"code": "server_error", "message": OVERLOADED}
        failed = opened | {"status": "failed", "error": error}
        ending = {"type": "response.failed", "response": failed}
    numbers = itertools.count()
    pieces: list[Piece] = [STREAM_HEAD % b""]
    for event in (
        {"type": "response.created", "response": opened},
        {"type": "response.in_progress", "response": opened},
        *(event for index, item in enumerate(output) for event in _events(index, item)),
        ending,
    ):
        numbered = json.dumps({**event, "sequence_number": next(numbers)})
        pieces.append(f"event: {event['type']}\ndata: {numbered}\n\n".encode())
        if answer.pause_s and event["type"] == "response.output_text.delta":
            pieces.append(answer.pause_s)
    return pieces


def refuse(failure: Failure) -> list[Piece]:
    """The refusal in this vendor's form."""
    error = {"type": "invalid_request_error", "param": None, "code": None, **failure.members}
    return refusal(failure.status, {"error": {"message": failure.words, **error}})


def check(document: dict[str, Any]) -> None:
    """Raises AssertionError for what this vendor refuses, ValidationError for unknown shapes."""
    PARAMETERS.validate_python(document)
    names = [tool["name"] for tool in document.get("tools", ())]
    assert all(NAME.fullmatch(name) for name in names), names
    assert len(names) == len(set(names))
    open_calls: set[str] = set()
    items = document["input"]
    for item, after in itertools.zip_longest(items, items[1:]):
        match item.get("type", "message"):
            case "function_call":
                assert len(item["call_id"]) <= CALL_ID_LENGTH_MAX
                open_calls.add(item["call_id"])
            case "function_call_output":
                open_calls.remove(item["call_id"])
            case "reasoning":
                assert after, "reasoning without its required following item"
                assert after.get("role", "assistant") == "assistant"
    assert not open_calls


def results(document: dict[str, Any]) -> dict[str, str]:
    """Texts of the results of tools, by the call's id."""
    return {
        item["call_id"]: _text(item["output"])
        for item in document["input"]
        if item.get("type") == "function_call_output"
    }


def thinking(document: dict[str, Any]) -> str:
    """The thinking of earlier turns that came back, with the vendor's own block and its name."""
    return "".join(
        part["text"]
        for item in document["input"]
        if item.get("type") == "reasoning"
        and (item["encrypted_content"], item.get("id")) == (SEALED, REASONING_ID)
        for part in item["summary"]
    )


def _text(output: Any) -> str:
    return output if isinstance(output, str) else "".join(part["text"] for part in output)


def _items(answer: Answer) -> Iterator[dict[str, Any]]:
    if answer.thinking:
        yield {
            "type": "reasoning", "id": REASONING_ID, "encrypted_content": SEALED,
            "summary": [{"type": "summary_text", "text": answer.thinking}],
        }  # fmt: skip
    if answer.text:
        part = {"type": "output_text", "text": answer.text, "annotations": []}
        yield {
            "type": "message", "id": "msg_scripted", "role": "assistant", "status": "completed",
            "content": [part],
        }  # fmt: skip
    for call in answer.calls:
        yield {
            "type": "function_call", "id": f"fc_{call.call_id}", "call_id": call.call_id,
            "name": call.name, "arguments": call.text, "status": "completed",
        }  # fmt: skip


def _events(index: int, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    place: dict[str, Any] = {"output_index": index, "item_id": item["id"]}
    match item["type"]:
        case "reasoning":
            empty = item | {"summary": []}
            inside = _told(
                "response.reasoning_summary", item["summary"][0], place | {"summary_index": 0}
            )
        case "message":
            empty = item | {"content": [], "status": "in_progress"}
            inside = _told("response", item["content"][0], place | {"content_index": 0})
        case _:
            empty = item | {"arguments": "", "status": "in_progress"}
            inside = _arguments(item["arguments"], place)
    yield {"type": "response.output_item.added", "output_index": index, "item": empty}
    yield from inside
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _told(family: str, part: dict[str, Any], place: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A part of a message or of reasoning."""
    is_text = part["type"] == "output_text"
    opened, said = (f"{family}.content_part", f"{family}.output_text") if is_text else (
        f"{family}_part", f"{family}_text",
    )  # fmt: skip
    yield {"type": f"{opened}.added", **place, "part": part | {"text": ""}}
    for piece in pieces_of(part["text"]):
        yield {"type": f"{said}.delta", **place, "delta": piece}
    yield {"type": f"{said}.done", **place, "text": part["text"]}
    yield {"type": f"{opened}.done", **place, "part": part}


def _arguments(text: str, place: dict[str, Any]) -> Iterator[dict[str, Any]]:
    family = "response.function_call_arguments"
    for piece in pieces_of(text):
        yield {"type": f"{family}.delta", **place, "delta": piece}
    yield {"type": f"{family}.done", **place, "arguments": text}


def _usage(usage: Usage) -> dict[str, Any]:
    read = usage.read + usage.cached
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.produced,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + usage.produced,
    }
