"""Google's own SDK as the judge of answers: what it makes of a document or of a stream."""

import base64
from typing import Any

import httpx
from google.genai import errors, models, types
from google.genai._api_client import HttpResponse

from tollgate_dialects.conversation.request import Request
from tollgate_dialects.conversation.translation import Context

TRACE = "0123456789abcdef0123456789abcdef"


def context(request: Request | None = None) -> Context:
    return Context(
        request=request or Request(model="asked-model", turns=()),
        trace=TRACE,
        created_s=1_760_000_000,
        estimated_input_tokens=1,
    )


def taken(document: dict[str, Any]) -> types.GenerateContentResponse:
    """A document as the SDK gives it to its caller."""
    told = models._GenerateContentResponse_from_mldev(document)
    return types.GenerateContentResponse._from_response(response=told, kwargs={})


def chunks(stream: bytes) -> list[dict[str, Any]]:
    """The documents that the SDK's own reader finds in a stream; raises its error for one."""
    found = list(HttpResponse({}, httpx.Response(200, content=stream)).segments())
    for chunk in found:
        if next(iter(chunk), "") == "error":
            errors.APIError.raise_error(chunk["error"]["code"], chunk, None)
    return found


def history(stream: bytes) -> list[dict[str, Any]]:
    """The contents that the SDK's chat keeps of a stream and sends back: each chunk is one."""
    return [
        sent(candidate.content)
        for chunk in chunks(stream)
        for candidate in taken(chunk).candidates or ()
        if candidate.content and candidate.content.parts
    ]


def sent(content: types.Content) -> dict[str, Any]:
    """A content as the SDK writes it into a request: bytes in the other base64."""
    return content.model_dump(mode="json", by_alias=True, exclude_none=True)


def gist(*documents: dict[str, Any]) -> dict[str, Any]:
    """What has to be the same on both sides of a translation."""
    said: list[tuple[Any, ...]] = []
    signed: list[tuple[str, bytes]] = []
    reason, calls = None, 0
    for response in map(taken, documents):
        for candidate in response.candidates or ():
            reason = candidate.finish_reason or reason
            for part in (candidate.content and candidate.content.parts) or ():
                if part.function_call:
                    calls += 1
                    kind, text = "call", part.function_call
                    said.append((kind, text.name, text.args or {}))
                else:
                    kind = "thought" if part.thought else "text"
                    if part.text and said and said[-1][0] == kind:
                        said[-1] = kind, said[-1][1] + part.text
                    elif part.text:
                        said.append((kind, part.text))
                if part.thought_signature:
                    signed.append((kind, part.thought_signature))
    usage = taken(documents[-1]).usage_metadata if documents else None
    return {
        "said": said,
        "signed": [(kind, base64.b64encode(data)) for kind, data in signed],
        "reason": reason and reason.value,
        "usage": usage
        and (
            usage.prompt_token_count or 0,
            usage.cached_content_token_count or 0,
            (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
            usage.thoughts_token_count or 0,
        ),
    }
