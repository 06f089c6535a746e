"""A request as it is written for Converse, in few words: each is of the SDK's own shape."""

from tests.unit.dialects.bedrock_converse import aws
from tollgate_dialects.conversation.parts import FunctionTool, Opaque, Origin, Seal, Text, ToolCall
from tollgate_dialects.conversation.request import Request, Turn
from tollgate_dialects.conversation.translation import Target

CLAUDE, OLD, NOVA, OSS, LLAMA = (
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "anthropic.claude-3-haiku-20240307-v1:0",
    "us.amazon.nova-2-lite-v1:0",
    "openai.gpt-oss-120b-1:0",
    "us.meta.llama4-maverick-17b-instruct-v1:0",
)
ADAPTIVE = "us.anthropic.claude-opus-4-8-v1:0"
HELLO = Turn("user", (Text("hi"),))
TOOL = FunctionTool("f", "does it", {"type": "object", "properties": {"a": {"type": "string"}}})
CALL = ToolCall("c", "f", "{}")
CALLED = (HELLO, Turn("assistant", (CALL,)))
SIGNED = Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, "sig==")
PNG = "iVBORw0KGgo="


def write(*turns, model=CLAUDE, limit=1_000, asked="asked", **members):
    request = Request(model=asked, turns=turns or (HELLO,), **members)
    written = aws.TRANSLATION.write_request(request, Target(model, limit))
    aws.check_request(written.document)
    return written


def contents(*turns, **members):
    return [(m["role"], m["content"]) for m in write(*turns, **members).document["messages"]]


def answered(*parts, **members):
    """The content of the user's message that answers a call."""
    return contents(*CALLED, Turn("user", parts), **members)[-1][1]
