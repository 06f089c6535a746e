"""A request as it is written for Anthropic, in few words."""

from tollgate_dialects.anthropic.translate import request_writer
from tollgate_dialects.conversation.parts import (
    FunctionTool,
    Opaque,
    Origin,
    Seal,
    Text,
    ToolCall,
)
from tollgate_dialects.conversation.request import Request, Turn
from tollgate_dialects.conversation.translation import Target

OLD, BUDGETED, ADAPTIVE = (
    "claude-3-5-haiku-20241022", "claude-sonnet-4-5", "claude-opus-4-8",
)  # fmt: skip
HELLO = Turn("user", (Text("hi"),))
TOOL = FunctionTool("f", schema={"type": "object", "properties": {}})
SIGNED = Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, "sig==")


def write(*turns, model=BUDGETED, limit=None, **members):
    request = Request(model="asked", turns=turns or (HELLO,), **members)
    return request_writer.write(request, Target(model, limit))


def messages(*turns, **members):
    return [(m["role"], m["content"]) for m in write(*turns, **members).document["messages"]]


def text(words, **more):
    return {"type": "text", "text": words, **more}


def call(call_id="c", name="f", arguments="{}", **more):
    return ToolCall(call_id, name, arguments, **more)
