"""What vendors of chats other than OpenAI want of a conversation, by the reports of their users."""

import pytest

from tollgate_dialects.conversation.parts import Text, Thinking, ToolCall, ToolResult
from tollgate_dialects.conversation.request import Request, Turn
from tollgate_dialects.conversation.translation import Target
from tollgate_dialects.openai_chat.translate.translation import TRANSLATION

HELLO = Turn("user", (Text("hi"),))


def written(*turns, model="deepseek-chat"):
    return TRANSLATION.write_request(Request(model="m", turns=turns), Target(model, None))


def sent(*turns, model="deepseek-chat"):
    return written(*turns, model=model).document["messages"]


def asking(*calls, arguments="{}"):
    return Turn("assistant", tuple(ToolCall(one, "f", arguments) for one in calls))


def given(call_id, text):
    return Turn("user", (ToolResult(call_id, (Text(text),)),))


@pytest.mark.parametrize(
    ("model", "is_wanted"),
    [
        ("deepseek-v4-pro", True), ("moonshotai/kimi-k2.5", True), ("kimi-k2-thinking", True),
        ("glm-4.7", True), ("z-ai/glm-5", True), ("MiniMax-M2.5", True), ("mimo-v2-flash", True),
        ("Qwen/QwQ-32B", True), ("qwen3.5-plus", True), ("qwen3-next-80b-a3b-thinking", True),
        # Groq's
        ("openai/gpt-oss-120b", False), ("llama-3.3-70b-versatile", False),
        ("qwen/qwen3-32b", False), ("deepseek-r1-distill-llama-70b", False),
        ("moonshotai/kimi-k2-instruct-0905", False),
        # Mistral's, Cerebras', and nobody's
        ("mistral-large-latest", False), ("magistral-medium-2509", False),
        ("zai-glm-4.7", False), ("qwen-3-235b-a22b-thinking-2507", False),
        ("gpt-4o", False), ("gemma-4-31b", False), ("my-model", False),
    ],
)  # fmt: skip
def test_thinking_goes_back_to_those_alone_who_want_it(model, is_wanted):
    """Groq, Mistral and Cerebras refuse the member (freellmapi#1070, litellm#30835, crush#1590)."""
    thought = written(HELLO, Turn("assistant", (Thinking("hm"), Text("a"))), model=model)
    assert ("hm" if is_wanted else None) == thought.document["messages"][1].get("reasoning_content")
    assert (set() if is_wanted else {"thinking"}) == thought.dropped
