"""DashScope's own SDK as the judge of generations: what both of its clients make of them."""

import json
from types import SimpleNamespace
from typing import Any

from dashscope.api_entities.dashscope_response import DashScopeAPIResponse, GenerationResponse
from dashscope.common.utils import _handle_stream
from dashscope.utils.message_utils import merge_single_response
from dashscope.v2.types.completions import parse_chunk, parse_completion

from tollgate_dialects.conversation.request import Request
from tollgate_dialects.conversation.translation import Context
from tollgate_dialects.pricing.usage import NOTHING

TRACE = "0123456789abcdef0123456789abcdef"
NO_USAGE = NOTHING


def context(request: Request | None = None, *told_as: str) -> Context:
    request = request or Request(model="asked-model", turns=(), told_as=frozenset(told_as))
    return Context(request=request, trace=TRACE, created_s=1_760_000_000, estimated_input_tokens=1)


def _lines(stream: bytes) -> SimpleNamespace:
    """A response, as the SDK's older client reads one: line by line."""
    return SimpleNamespace(iter_lines=lambda: stream.split(b"\n"))


def frames_of(stream: bytes) -> list[dict[str, Any]]:
    """The documents of a stream, as the older client finds them; none is an error to it."""
    documents = []
    for is_error, _, event in _handle_stream(_lines(stream)):
        assert not is_error
        documents.append(json.loads(event.data))
    return documents


def error_in(stream: bytes) -> tuple[int, dict[str, Any]]:
    """The status and the document of the error that ends a stream, to the older client."""
    *_, (is_error, status, event) = _handle_stream(_lines(stream))
    assert is_error
    return status, json.loads(event.data)


def whole(document: dict[str, Any]) -> dict[str, Any]:
    """The gist of a whole answer, to the newer client."""
    completion = parse_completion(document)
    choice = completion.choices[0]
    return gist([choice.message], choice.finish_reason)


def streamed(stream: bytes) -> dict[str, Any]:
    """The gist of a stream in pieces, as the newer client has its chunks."""
    chunks = [parse_chunk(document) for document in frames_of(stream)]
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert set(reasons[:-1]) <= {"null"}
    return gist(deltas, reasons[-1])


def merged(stream: bytes) -> str:
    """The text of a stream in pieces, as the older client puts it together."""
    text, so_far = "", {}
    for document in frames_of(stream):
        response = GenerationResponse.from_api_response(
            DashScopeAPIResponse(
                200, document["request_id"], output=document["output"], usage=document["usage"]
            )
        )
        if merge_single_response(response, so_far) is True:
            text = response.output.text or response.output.choices[0].message.content
    return text


def merged_message(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """The last message of a stream in pieces, as the older client gives it with all that was said."""
    so_far: dict[Any, Any] = {}
    for document in documents:
        response = GenerationResponse.from_api_response(
            DashScopeAPIResponse(200, "r", output=document["output"], usage=document["usage"])
        )
        merge_single_response(response, so_far)
    return dict(response.output.choices[0].message)


def gist(said: list[Any], reason: str | None) -> dict[str, Any]:
    """What has to be the same on both sides of a translation."""
    calls: dict[int, list[str]] = {}
    for one in said:
        for number, call in enumerate(one.tool_calls or ()):
            found = calls.setdefault(number if call.index is None else call.index, ["", "", ""])
            found[0] += call.id or ""
            found[1] += call.function.name or ""
            found[2] += call.function.arguments
    return {
        "text": "".join(one.content or "" for one in said),
        "thought": "".join(one.reasoning_content or "" for one in said),
        "calls": [tuple(call) for call in calls.values()],
        "reason": reason,
    }
