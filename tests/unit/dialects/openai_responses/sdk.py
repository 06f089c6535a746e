"""OpenAI's own SDK as the judge of responses: what it makes of a document or of a stream."""

import json
from typing import Any

from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tollgate_dialects.conversation import carrier
from tollgate_dialects.conversation.parts import Origin
from tollgate_dialects.conversation.request import Request
from tollgate_dialects.conversation.translation import Context

EVENTS = TypeAdapter(ResponseStreamEvent)
TRACE = "0123456789abcdef0123456789abcdef"
UNSEALED = carrier.carried(carrier.UNSEALED, Origin.OPENAI)


def context(request: Request | None = None) -> Context:
    return Context(
        request=request or Request(model="asked-model", turns=()),
        trace=TRACE,
        created_s=1_760_000_000,
        estimated_input_tokens=1,
    )


def frames_of(stream: bytes) -> list[dict[str, Any]]:
    """The documents of a stream, whose frames are all named by their type."""
    documents = []
    for frame in stream.decode().strip().split("\n\n"):
        name, data = frame.split("\n")
        document = json.loads(data.removeprefix("data: "))
        assert name == f"event: {document['type']}"
        documents.append(document)
    return documents


def strict(stream: bytes) -> list[Any]:
    """The events of a stream that we wrote: each is what the SDK's types say, and in order."""
    documents = frames_of(stream)
    assert [one["sequence_number"] for one in documents] == list(range(len(documents)))
    return [EVENTS.validate_python(document) for document in documents]


def whole(document: dict[str, Any]) -> dict[str, Any]:
    """The gist of a whole response that the SDK has taken."""
    return gist(Response.model_validate(document).to_dict(warnings=False))


def streamed(stream: bytes) -> dict[str, Any]:
    """The gist of a stream that we wrote, as the SDK adds it up."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=[], text_format=omit)
    last = None
    for event in strict(stream):
        for told in state.handle_event(event):
            last = told
    assert last is not None
    assert last.type in ("response.completed", "response.incomplete")
    return gist(last.response.to_dict(warnings=False))


def gist(response: dict[str, Any]) -> dict[str, Any]:
    """What has to be the same on both sides of a translation."""
    said: list[Any] = []
    for item in response["output"]:
        match item["type"]:
            case "message":
                for part in item["content"]:
                    urls = [
                        note["url"]
                        for note in part.get("annotations") or ()
                        if note["type"] == "url_citation"
                    ]
                    words = part.get("text", part.get("refusal"))
                    said.append((part["type"], words, urls, item.get("phase")))
            case "reasoning":
                parts = item.get("summary") or ()
                text = "\n\n".join(part["text"] for part in parts)
                text = text or "".join(part["text"] for part in item.get("content") or ())
                sealed = item.get("encrypted_content") or UNSEALED
                if text or sealed != UNSEALED:
                    said.append(("reasoning", text, sealed != UNSEALED))
            case "function_call":
                said.append(
                    ("call", item["call_id"], item["name"], item["arguments"] or "{}",
                     item.get("namespace"))
                )  # fmt: skip
            case "custom_tool_call":
                said.append(("custom", item["call_id"], item["name"], item["input"]))
    details = response.get("incomplete_details") or {}
    status = "incomplete" if response["status"] == "incomplete" else "completed"
    return {"said": said, "status": status, "why": details.get("reason")}
