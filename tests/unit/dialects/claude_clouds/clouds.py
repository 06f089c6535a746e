"""Anthropic's own clients for other clouds as the judge: what they would send, and read."""

import base64
import json

from anthropic._models import FinalRequestOptions
from anthropic.lib.bedrock import _client as bedrock_client
from anthropic.lib.bedrock._stream_decoder import AWSEventStreamDecoder
from anthropic.lib.vertex import _client as vertex_client

from tests.unit.dialects.bedrock_converse import aws
from tollgate_dialects.claude_clouds.bedrock import BEDROCK_INVOKE
from tollgate_dialects.claude_clouds.vertex import VERTEX_ANTHROPIC

BEDROCK, VERTEX = BEDROCK_INVOKE, VERTEX_ANTHROPIC


def _options(document: dict, betas: str):
    headers = {"anthropic-beta": betas} if betas else {}
    return FinalRequestOptions(
        method="post", url="/v1/messages", json_data=dict(document), headers=headers
    )


def sent_to_bedrock(document: dict, betas: str = ""):
    """The path and the body of the SDK's call."""
    made = bedrock_client._prepare_options(_options(document, betas), {})
    return made.url, made.json_data


def sent_to_vertex(document: dict, betas: str = ""):
    options = _options(document, betas)
    made = vertex_client._prepare_options(options, project_id="P", region="global")
    return made.url, made.json_data


def chunk(document: bytes) -> bytes:
    """One event of a stream of InvokeModelWithResponseStream."""
    return aws.event("chunk", bytes=base64.b64encode(document).decode())


def chunks(frames: bytes) -> bytes:
    """Frames of events as that operation sends them."""
    lines = [line[6:] for line in frames.split(b"\n") if line.startswith(b"data: ")]
    return b"".join(map(chunk, lines))


def read_by_the_sdk(raw: bytes, size: int = 1_000_000) -> list:
    """The documents that the SDK reads in a binary stream, and the names of its events."""
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    events = AWSEventStreamDecoder().iter_bytes(iter(pieces))
    return [(event.event, json.loads(event.data)) for event in events]
