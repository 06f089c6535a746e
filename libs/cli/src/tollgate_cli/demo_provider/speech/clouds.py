"""Anthropic messages as other clouds serve them: Bedrock's InvokeModel, and Vertex."""

import base64
import json
import re
from typing import Any, Final, Self
from urllib.parse import unquote

from tollgate_cli.demo_provider.speech import event_stream
from tollgate_cli.demo_provider.speech.bedrock import Bedrock
from tollgate_cli.demo_provider.speech.conversation import Counts, End, Piece, compact
from tollgate_cli.demo_provider.speech.messages import Messages, question
from tollgate_cli.demo_provider.speech.speech import BROKEN, parsed
from tollgate_cli.demo_provider.wire import Request

_INVOKE_STREAM: Final = "invoke-with-response-stream"
_PREDICT_STREAM: Final = "streamRawPredict"
# Which all clouds call the same, beside each one's own first one.
_COMMON_VERSION: Final = "2026-10-21"
_METRICS: Final = "amazon-bedrock-invocationMetrics"


class _Enveloped(Messages):
    """The model stands in the path, and the version in the body."""

    version: str
    stream_verb: str

    @classmethod
    def hear(cls, request: Request) -> Self:
        asked = parsed(request.body, "messages")
        place = cls.path.fullmatch(request.path)
        assert place, "routed here by its path"
        if asked.get("anthropic_version") not in (cls.version, _COMMON_VERSION):
            raise ValueError("anthropic_version: Field required")
        if "model" in asked:
            raise ValueError("model: Extra inputs are not permitted")
        stream = place["verb"] == cls.stream_verb
        return cls(question(asked, unquote(place["model"]), stream=stream))


class Vertex(_Enveloped):
    """A call of rawPredict."""

    name = "vertex-anthropic"
    version = "vertex-2023-10-16"
    stream_verb = _PREDICT_STREAM
    path = re.compile(
        rf"/v1/(?:projects/[^/]+/locations/[^/]+/)?publishers/anthropic/models/(?P<model>[^/:]+)"
        rf":(?P<verb>rawPredict|{_PREDICT_STREAM})"
    )


class Invoke(_Enveloped):
    """A call of InvokeModel: each event of a stream is a chunk in base64."""

    name = "bedrock-invoke"
    version = "bedrock-2023-05-31"
    stream_verb = _INVOKE_STREAM
    path = re.compile(rf"/model/(?P<model>[^/]+)/(?P<verb>invoke|{_INVOKE_STREAM})")
    stream_type = Bedrock.stream_type

    def opening(self, usage: Counts | None) -> bytes:
        return _chunks(super().opening(usage))

    def say(self, piece: Piece, usage: Counts | None) -> bytes:
        return _chunks(super().say(piece, usage))

    def closing(self, end: End, usage: Counts | None, *, usage_on_last: bool = False) -> bytes:
        told = super().closing(end, usage, usage_on_last=usage_on_last)
        return _chunks(told, {} if usage is None else _metrics(usage))

    @classmethod
    def error(cls, status: int, message: str, *, code: str = "") -> bytes:
        return Bedrock.error(status, message, code=code)

    @classmethod
    def error_headers(cls, status: int) -> dict[str, str]:
        return Bedrock.error_headers(status)

    def error_event(self, message: str) -> bytes:
        return Bedrock(self.question).error_event(message)

    def broken_event(self) -> bytes:
        return _chunk(BROKEN)


def _chunks(frames: bytes, metrics: dict[str, Any] | None = None) -> bytes:
    """The same events as chunks; metrics stand in the last one of a stream."""
    chunks = []
    for frame in frames.split(b"\n\n")[:-1]:
        document = json.loads(frame.partition(b"data: ")[2])
        if document["type"] == "message_stop" and metrics:
            document[_METRICS] = metrics
        chunks.append(_chunk(compact(document)))
    return b"".join(chunks)


def _chunk(document: bytes) -> bytes:
    headers = {
        ":event-type": "chunk",
        ":content-type": "application/json",
        ":message-type": "event",
    }
    told = {"bytes": base64.b64encode(document).decode(), "p": "abcdefghijklm"}
    return event_stream.frame(headers, compact(told))


def _metrics(usage: Counts) -> dict[str, Any]:
    return {
        "inputTokenCount": usage.input_tokens,
        "outputTokenCount": usage.output_tokens,
        "invocationLatency": 1,
        "firstByteLatency": 1,
    }
