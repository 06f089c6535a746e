"""A vendor of Gemini's API: how it answers, and which requests it accepts."""

import base64
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

from google.genai import types
from pydantic import TypeAdapter

from tests.e2e.clients.answer import OVERLOADED, Answer, Failure, Usage, pieces_of, refusal
from tests.upstream import STREAM_HEAD, Piece, whole

NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
CONTENTS = TypeAdapter(list[types.Content])
TOOLS = TypeAdapter(list[types.Tool])
CONFIG = TypeAdapter(types.GenerationConfig)
MEMBERS = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig"}
# A signature of the script's holds the thinking that it stands for, which itself never comes back.
# How it tells that a conversation is too long, and that it has no time.
TOO_LONG = Failure(
    400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
)
BUSY = Failure(503, OVERLOADED, {"status": "UNAVAILABLE"})
SEALED = b"\xfb\xffsealed:"
# Google's own word for a call that another made.
SKIPPED = "skip_thought_signature_validator"


def write(answer: Answer, *, stream: bool) -> list[Piece]:
    """The answer, whole or as a stream."""
    told = {"finishReason": "STOP"}
    if not stream:
        candidate = {"content": _content(list(_parts(answer))), "index": 0, **told}
        return [whole(json.dumps(_document(candidate, answer.usage)).encode())]
    pieces: list[Piece] = [STREAM_HEAD % b""]
    for part in _streamed(answer):
        pieces.append(_frame(_document({"content": _content([part]), "index": 0}, answer.usage)))
        if answer.pause_s and "text" in part and "thought" not in part:
            pieces.append(answer.pause_s)
    if answer.breaks:
        error = {"code": 503, "message": OVERLOADED, "status": "UNAVAILABLE"}
        return [*pieces, _frame({"error": error})]
    ended = {"content": _content([{"text": ""}]), "index": 0, **told}
    return [*pieces, _frame(_document(ended, answer.usage))]


def refuse(failure: Failure) -> list[Piece]:
    """The refusal in this vendor's form."""
    error = {"code": failure.status, "message": failure.words, "status": "INVALID_ARGUMENT"}
    return refusal(failure.status, {"error": error | dict(failure.members)})


def check(document: dict[str, Any]) -> None:
    """Raises AssertionError for what this vendor refuses, ValidationError for unknown shapes."""
    assert document.keys() <= MEMBERS, document.keys() - MEMBERS
    CONTENTS.validate_python(document["contents"])
    TOOLS.validate_python(document.get("tools", []))
    CONFIG.validate_python(document.get("generationConfig", {}))
    names = [
        one["name"]
        for tool in document.get("tools", ())
        for one in tool.get("functionDeclarations", ())
    ]
    assert all(NAME.fullmatch(name) for name in names), names
    assert len(names) == len(set(names))
    contents = document["contents"]
    assert ("user", "user") == (contents[0]["role"], contents[-1]["role"])
    open_calls: list[str] = []
    for content in contents:
        parts = content["parts"]
        assert parts
        results = [part["functionResponse"] for part in parts if "functionResponse" in part]
        assert open_calls == [one["name"] for one in results]
        assert len(results) in (0, len(parts))
        calls = [part for part in parts if "functionCall" in part]
        open_calls = [part["functionCall"]["name"] for part in calls]
        assert not calls or (content["role"] == "model" and calls[0].get("thoughtSignature"))
    assert not open_calls


def results(document: dict[str, Any]) -> list[str]:
    """Texts of the results of tools, in the order of the calls: Google is told no ids."""
    return [
        _text(part["functionResponse"]["response"])
        for content in document["contents"]
        for part in content["parts"]
        if "functionResponse" in part
    ]


def thinking(document: dict[str, Any]) -> str:
    """The thinking of earlier turns whose signature came back byte for byte."""
    signatures = [
        base64.b64decode(part["thoughtSignature"])
        for content in document["contents"]
        for part in content["parts"]
        if part.get("thoughtSignature", SKIPPED) != SKIPPED
    ]
    assert all(one.startswith(SEALED) for one in signatures)
    return "".join(one.removeprefix(SEALED).decode() for one in signatures)


def _text(response: dict[str, Any]) -> str:
    (value,) = response.values()
    return value if isinstance(value, str) else json.dumps(value)


def _content(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"role": "model", "parts": parts}


def _document(candidate: dict[str, Any], usage: Usage) -> dict[str, Any]:
    read = usage.read + usage.cached
    report = {
        "promptTokenCount": read,
        "cachedContentTokenCount": usage.cached,
        "candidatesTokenCount": usage.produced,
        "totalTokenCount": read + usage.produced,
    }
    return {
        "candidates": [candidate], "usageMetadata": report, "modelVersion": "scripted",
        "responseId": "scripted",
    }  # fmt: skip


def _seal(thinking: str) -> dict[str, str]:
    sealed = base64.b64encode(SEALED + thinking.encode()).decode()
    return {"thoughtSignature": sealed} if thinking else {}


def _parts(answer: Answer) -> Iterator[dict[str, Any]]:
    """The signature stands on the first call, or on the text where there is none."""
    if answer.thinking:
        yield {"text": answer.thinking, "thought": True}
    if answer.text:
        yield {"text": answer.text} | (_seal(answer.thinking) if not answer.calls else {})
    for call, seal in zip(
        answer.calls, itertools.chain([_seal(answer.thinking)], itertools.repeat({})), strict=False
    ):
        function = {"id": call.call_id, "name": call.name, "args": call.arguments}
        yield {"functionCall": function} | seal


def _streamed(answer: Answer) -> Iterator[dict[str, Any]]:
    """Texts in pieces, of which the last is signed; calls whole."""
    for part in _parts(answer):
        if "text" not in part:
            yield part
            continue
        *first, last = pieces_of(part["text"])
        yield from (
            {"text": piece} | ({"thought": True} if "thought" in part else {}) for piece in first
        )
        yield part | {"text": last}


def _frame(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"
