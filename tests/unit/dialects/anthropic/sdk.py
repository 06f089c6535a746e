"""Anthropic's own SDK as the judge of messages: what it makes of a document or of a stream."""

import re
from typing import Any

import orjson
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import ContentBlockParam, Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from tollgate_dialects.conversation.request import Request
from tollgate_dialects.conversation.translation import Context
from tollgate_dialects.pricing.usage import Usage

EVENTS = TypeAdapter(RawMessageStreamEvent)
CONTENT = TypeAdapter(list[ContentBlockParam])


def frames_of(stream: bytes) -> list[dict[str, Any]]:
    """The documents of the frames that the SDK does not skip: those with a name."""
    documents = []
    for frame in re.split(rb"\r?\n\r?\n", stream):
        lines = frame.splitlines()
        names = [line for line in lines if line.startswith(b"event:")]
        data = [line[5:] for line in lines if line.startswith(b"data:")]
        if names and data:
            documents.append(orjson.loads(b"".join(data)))
    return documents


def strict_events(stream: bytes) -> list[dict[str, Any]]:
    """The documents of a stream, each of which is what the SDK's types say."""
    documents = frames_of(stream)
    for document in documents:
        EVENTS.validate_python(document)
    return documents


def accumulated(stream: bytes) -> dict[str, Any]:
    """What the SDK makes of a stream that has one start."""
    snapshot, buffers = None, {}
    for document in frames_of(stream):
        if document["type"] == "ping" or (snapshot and document["type"] == "message_start"):
            continue
        snapshot = accumulate_event(event=document, current_snapshot=snapshot, json_bufs=buffers)
        if document["type"] == "message_stop":
            break
    assert snapshot is not None
    return snapshot.to_dict(warnings=False)


def message(document: dict[str, Any]) -> dict[str, Any]:
    """What the SDK makes of a whole answer."""
    return Message.model_validate(document).to_dict(warnings=False)


def gist(message: dict[str, Any]) -> dict[str, Any]:
    """What has to be the same on both sides of a translation."""
    kept = []
    for block in message["content"]:
        match block["type"]:
            case "text" if block["text"] or block.get("citations"):
                quotes = [one["cited_text"] for one in block.get("citations") or ()]
                kept.append(("text", block["text"], quotes))
            case "thinking":
                kept.append(("thinking", block["thinking"], block["signature"]))
            case "redacted_thinking":
                kept.append(("redacted_thinking", block["data"]))
            case "tool_use":
                kept.append(("tool_use", block["id"], block["name"], block["input"]))
    details = message.get("stop_details") or {}
    usage = message["usage"]
    return {
        "content": kept,
        "stop_reason": message["stop_reason"],
        "stop_sequence": message.get("stop_sequence"),
        "refusal": [details.get("category"), details.get("explanation")],
        "usage": [
            usage.get(name) or 0
            for name in (
                "input_tokens",
                "cache_creation_input_tokens",
                "cache_read_input_tokens",
                "output_tokens",
            )
        ],
    }


def context(*, request: Request | None = None, estimate: int = 321) -> Context:
    return Context(
        request=request or Request(model="asked-model", turns=()),
        trace="0123456789abcdef0123456789abcdef",
        created_s=1_700_000_000,
        estimated_input_tokens=estimate,
    )


NO_USAGE = Usage()
