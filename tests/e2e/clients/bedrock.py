"""A vendor of Bedrock's Converse: how it answers, and which requests it accepts."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

from tests.e2e.clients.answer import OVERLOADED, Answer, Failure, Usage, pieces_of, refusal
from tests.unit.dialects.bedrock_converse import aws
from tests.upstream import STREAM_HEAD, Piece, whole

SIGNATURE = "c2lnbmF0dXJlIG9mIHRoZSBzY3JpcHQ="
# How it tells that a conversation is too long, and that it has no time.
TOO_LONG = Failure(400, "Input is too long for requested model.")
BUSY = Failure(503, OVERLOADED, {"type": "ServiceUnavailableException"})
CACHE_MARKS_MAX = 4


def write(answer: Answer, *, stream: bool) -> list[Piece]:
    """The answer, whole or as a stream."""
    stop = "tool_use" if answer.calls else "end_turn"
    blocks = list(_blocks(answer))
    if not stream:
        message = {"role": "assistant", "content": blocks}
        document = {
            "output": {"message": message}, "stopReason": stop, "usage": _usage(answer.usage),
            "metrics": {"latencyMs": 1},
        }  # fmt: skip
        return [whole(json.dumps(document).encode())]
    pieces: list[Piece] = [STREAM_HEAD % b"", aws.event("messageStart", role="assistant")]
    for index, block in enumerate(blocks):
        pieces += _streamed(index, block, answer.pause_s)
    if answer.breaks:
        return [*pieces, aws.exception("serviceUnavailableException", OVERLOADED)]
    told = {"usage": _usage(answer.usage), "metrics": {"latencyMs": 1}}
    return [*pieces, aws.event("messageStop", stopReason=stop), aws.event("metadata", **told)]


def refuse(failure: Failure) -> list[Piece]:
    """The refusal in this vendor's form: its kind stands in a header."""
    kind = failure.members.get("type", "ValidationException")
    header = f"x-amzn-errortype: {kind}:http://internal.amazon.com/coral/\r\n"
    return refusal(failure.status, {"message": failure.words}, header.encode())


def check(document: dict[str, Any]) -> None:
    """Raises AssertionError for what this vendor refuses."""
    aws.check_request(document)
    assert json.dumps(document).count('"cachePoint"') <= CACHE_MARKS_MAX
    tools = (document.get("toolConfig") or {}).get("tools", ())
    names = [tool["toolSpec"]["name"] for tool in tools if "toolSpec" in tool]
    assert len(names) == len(set(names))
    thinking = (document.get("additionalModelRequestFields") or {}).get("thinking") or {}
    assert thinking.get("budget_tokens", 0) < document["inferenceConfig"]["maxTokens"]
    roles = [message["role"] for message in document["messages"]]
    assert roles[0] == "user"
    assert all(one != other for one, other in itertools.pairwise(roles)), roles
    open_calls: list[str] = []
    for message in document["messages"]:
        blocks = message["content"]
        given = [block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block]
        assert sorted(given) == sorted(open_calls)
        open_calls = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
        if open_calls and thinking.get("type") == "enabled":
            assert "reasoningContent" in blocks[0]
        assert not open_calls or names
    assert not open_calls


def results(document: dict[str, Any]) -> dict[str, str]:
    """Texts of the results of tools, by the call's id."""
    return {
        block["toolResult"]["toolUseId"]: _text(block["toolResult"]["content"])
        for message in document["messages"]
        for block in message["content"]
        if "toolResult" in block
    }


def thinking(document: dict[str, Any]) -> str:
    """The thinking of earlier turns that came back, with the vendor's own signature."""
    told = (
        block["reasoningContent"]["reasoningText"]
        for message in document["messages"]
        for block in message["content"]
        if "reasoningContent" in block
    )
    return "".join(one["text"] for one in told if one.get("signature") == SIGNATURE)


def _text(content: list[dict[str, Any]]) -> str:
    return "".join(part["text"] if "text" in part else json.dumps(part["json"]) for part in content)


def _blocks(answer: Answer) -> Iterator[dict[str, Any]]:
    if answer.thinking:
        text = {"text": answer.thinking, "signature": SIGNATURE}
        yield {"reasoningContent": {"reasoningText": text}}
    if answer.text:
        yield {"text": answer.text}
    for call in answer.calls:
        yield {"toolUse": {"toolUseId": call.call_id, "name": call.name, "input": call.arguments}}


def _streamed(index: int, block: dict[str, Any], pause_s: float) -> Iterator[Piece]:
    at = {"contentBlockIndex": index}
    if used := block.get("toolUse"):
        start = {"toolUse": {name: used[name] for name in ("toolUseId", "name")}}
        yield aws.event("contentBlockStart", **at, start=start)
    for delta in _deltas(block):
        yield aws.event("contentBlockDelta", **at, delta=delta)
        if pause_s and "text" in delta:
            yield pause_s
    yield aws.event("contentBlockStop", **at)


def _deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What fills a block; only those of tools have an event for their start."""
    if "reasoningContent" in block:
        told = block["reasoningContent"]["reasoningText"]
        yield from ({"reasoningContent": {"text": piece}} for piece in pieces_of(told["text"]))
        yield {"reasoningContent": {"signature": told["signature"]}}
    elif "toolUse" in block:
        text = json.dumps(block["toolUse"]["input"])
        yield from ({"toolUse": {"input": piece}} for piece in pieces_of(text))
    else:
        yield from ({"text": piece} for piece in pieces_of(block["text"]))


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "inputTokens": usage.read,
        "cacheReadInputTokens": usage.cached,
        "cacheWriteInputTokens": 0,
        "outputTokens": usage.produced,
        "totalTokens": usage.read + usage.cached + usage.produced,
    }
