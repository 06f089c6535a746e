"""A demo provider in a process of its own, and how each of its protocols is asked and read."""

import contextlib
import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from botocore.eventstream import EventStreamBuffer

from tollgate_dialects.common.protocol import Protocol

MESSAGES = [{"role": "user", "content": "hi"}]


@contextlib.contextmanager
def running(key_file: Path, *options: str) -> Iterator[str]:
    """The URL of a provider that takes the key in the file; it must end well."""
    command = [sys.executable, "-m", "tollgate_cli.demo_provider", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, "--key-file", str(key_file), *options], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield "http://" + re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())[0]
        finally:
            process.terminate()
            assert 0 == process.wait(10)


def of_sse(stream: bytes) -> list[dict]:
    """The JSON of server-sent events."""
    return [json.loads(data) for data in re.findall(rb"^data: ?(\{.*)$", stream, re.MULTILINE)]


def of_frames(stream: bytes) -> list[dict]:
    """The JSON of AWS's frames, as botocore takes them apart."""
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    return [json.loads(frame.payload) for frame in buffer]


@dataclasses.dataclass(frozen=True)
class Wire:
    """How a protocol is asked, and what of its answers and events is text for the reader."""

    # The gateway's name of it: its meter reads what the demo says.
    dialect: Protocol
    # Where a model is called, and whether as a stream.
    path: Callable[[str, bool], str]
    # The body of a call: model, output limit, whether it is a stream.
    body: Callable[[str, int, bool], dict]
    # The text in a whole answer, and in one event.
    whole: Callable[[dict], str]
    event: Callable[[dict], str]
    # What stands after the last piece, and in an error inside a stream.
    end: bytes
    error: bytes
    # The headers that make a call a stream.
    streams: dict[str, str] = dataclasses.field(default_factory=dict)
    # The events of a stream.
    events: Callable[[bytes], list[dict]] = of_sse


WIRES = {
    "openai": Wire(
        Protocol.OPENAI_CHAT,
        lambda _model, _stream: "/v1/chat/completions",
        lambda model, limit, stream: {
            "model": model, "max_tokens": limit, "stream": stream, "messages": MESSAGES,
            **({"stream_options": {"include_usage": True}} if stream else {}),
        },
        lambda answer: answer["choices"][0]["message"]["content"],
        lambda chunk: "".join(c["delta"].get("content") or "" for c in chunk.get("choices", ())),
        b"data: [DONE]",
        b'data: {"error":',
    ),
    "anthropic": Wire(
        Protocol.ANTHROPIC_MESSAGES,
        lambda _model, _stream: "/v1/messages",
        lambda model, limit, stream: {
            "model": model, "max_tokens": limit, "stream": stream, "messages": MESSAGES,
        },
        lambda answer: "".join(block["text"] for block in answer["content"]),
        lambda event: event.get("delta", {}).get("text", ""),
        b"event: message_stop",
        b"event: error",
    ),
    "responses": Wire(
        Protocol.OPENAI_RESPONSES,
        lambda _model, _stream: "/v1/responses",
        lambda model, limit, stream: {
            "model": model, "max_output_tokens": limit, "stream": stream, "input": MESSAGES,
        },
        lambda answer: "".join(p["text"] for item in answer["output"] for p in item["content"]),
        lambda event: event["delta"] if event["type"] == "response.output_text.delta" else "",
        b"event: response.incomplete",
        b"event: response.failed",
    ),
    "gemini": Wire(
        Protocol.GEMINI,
        lambda model, stream: (
            f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")
        ),
        lambda _model, limit, _stream: {
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "generationConfig": {"maxOutputTokens": limit},
        },
        lambda answer: answer["candidates"][0]["content"]["parts"][0]["text"],
        lambda chunk: "".join(
            part["text"] for c in chunk.get("candidates", ()) for part in c["content"]["parts"]
        ),
        b'"finishReason":"MAX_TOKENS"',
        b'data: {"error":',
    ),
    "dashscope": Wire(
        Protocol.DASHSCOPE,
        lambda _model, _stream: "/api/v1/services/aigc/text-generation/generation",
        lambda model, limit, _stream: {
            "model": model,
            "input": {"messages": MESSAGES},
            "parameters": {"max_tokens": limit, "incremental_output": True},
        },
        lambda answer: answer["output"]["choices"][0]["message"]["content"],
        lambda event: "".join(
            choice["message"]["content"] for choice in event.get("output", {}).get("choices", ())
        ),
        b'"finish_reason":"length"',
        b"event:error\n:HTTP_STATUS/500\ndata:{",
        {"X-DashScope-SSE": "enable"},
    ),
    "bedrock": Wire(
        Protocol.BEDROCK_CONVERSE,
        lambda model, stream: f"/model/{model}/converse{'-stream' if stream else ''}",
        lambda _model, limit, _stream: {
            "messages": [{"role": "user", "content": [{"text": "hi"}]}],
            "inferenceConfig": {"maxTokens": limit},
        },
        lambda answer: answer["output"]["message"]["content"][0]["text"],
        lambda event: event.get("delta", {}).get("text", ""),
        b'"stopReason":"max_tokens"',
        b"internalServerException",
        events=of_frames,
    ),
}  # fmt: skip


def event(client: str, text: str) -> bytes:
    """A piece of an answer, as the protocol has it."""
    match client:
        case "openai":
            document: dict = {"choices": [{"index": 0, "delta": {"content": text}}]}
        case "anthropic":
            delta = {"type": "text_delta", "text": text}
            document = {"type": "content_block_delta", "index": 0, "delta": delta}
        case "responses":
            document = {"type": "response.output_text.delta", "delta": text}
        case "gemini":
            document = {"candidates": [{"content": {"parts": [{"text": text}]}}]}
        case _:
            choice = {"message": {"content": text}, "finish_reason": "null"}
            document = {"output": {"choices": [choice]}}
    name = f"event: {document['type']}\n" if "type" in document else ""
    name = "id:1\nevent:result\n:HTTP_STATUS/200\n" if client == "dashscope" else name
    return f"{name}data:{json.dumps(document)}\n\n".encode()
