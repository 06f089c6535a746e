"""What vendors of chats other than OpenAI want of a conversation, by the reports of their users."""

import re

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


def paired(messages):
    """The ids in their order: of calls, and of results with what they say."""
    return [
        told
        for one in messages
        for told in (
            [(one["tool_call_id"], one["content"])]
            if one["role"] == "tool"
            else [call["id"] for call in one.get("tool_calls", ())]
        )
    ]


def test_each_call_of_a_conversation_has_an_id_of_its_own():
    """Kimi's `search:0` comes anew in each answer; MiniMax refuses a conversation that has it twice."""
    turns = [HELLO]
    for at in range(3):
        turns += [asking("search:0", "other"), given("search:0", f"{at}"), given("other", "o")]
    assert [
        "search:0", "other", ("search:0", "0"), ("other", "o"),
        "search:0_2", "other_2", ("search:0_2", "1"), ("other_2", "o"),
        "search:0_3", "other_3", ("search:0_3", "2"), ("other_3", "o"),
    ] == paired(sent(*turns))  # fmt: skip


def test_results_find_their_calls_where_ids_repeat():
    """In order within an answer; who was called last first."""
    together = (asking("e", "e"), given("e", "1"), given("e", "2"))
    assert ["e", "e_2", ("e", "1"), ("e_2", "2")] == paired(sent(HELLO, *together))
    forgotten = (asking("e"), HELLO, asking("e"), given("e", "new"), given("e", "late"))
    assert ["e", ("e", "late"), "e_2", ("e_2", "new")] == paired(sent(HELLO, *forgotten))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"a": ', '{"arguments":"{\\"a\\": "}'), ("[1]", '{"arguments":"[1]"}'),
        ("", "{}"), ("null", "{}"), ('{ "a":1 }', '{ "a":1 }'),
    ],
)  # fmt: skip
def test_arguments_that_a_model_broke_are_wrapped(arguments, expected):
    """vLLM, MiniMax and DashScope parse them and refuse the conversation for ever (nanobot#1487)."""
    turns = (HELLO, asking("c", arguments=arguments), given("c", "bad"))
    (call,) = sent(*turns)[1]["tool_calls"]
    assert expected == call["function"]["arguments"]


MISTRALS = [
    "mistral-large-latest", "mistralai/Devstral-Small-2507", "codestral-2508", "ministral-8b",
    "magistral-medium-2509", "pixtral-12b", "open-mixtral-8x22b",
]  # fmt: skip


@pytest.mark.parametrize("model", MISTRALS)
def test_mistral_gets_ids_of_nine_letters_and_digits(model):
    """It refuses others (opencode#1680): the same for a call and its result, in each request."""
    turns = (HELLO, asking("toolu_01Ab", "aB3dE6gH9"), given("toolu_01Ab", "1"))
    (_, answer, result) = sent(*turns, model=model)
    (called, kept) = answer["tool_calls"]
    assert re.fullmatch("[a-zA-Z0-9]{9}", called["id"])
    assert (called["id"], "aB3dE6gH9") == (result["tool_call_id"], kept["id"])
    assert "toolu_01Ab" == sent(*turns)[1]["tool_calls"][0]["id"]


@pytest.mark.parametrize(("model", "bridges"), [(MISTRALS[0], 1), ("deepseek-chat", 0)])
def test_mistrals_users_speak_behind_an_answer(model, bridges):
    """A user right behind a result is refused (claude-code-router#1287, avante#2695)."""
    both = Turn("user", (ToolResult("c", (Text("1"),)), Text("and now?")))
    roles = [one["role"] for one in sent(HELLO, asking("c"), both, model=model)]
    assert ["user", "assistant", "tool", *["assistant"] * bridges, "user"] == roles
    roles = [one["role"] for one in sent(HELLO, asking("c"), given("c", "1"), model=model)]
    assert ["user", "assistant", "tool"] == roles


def test_mistral_is_told_that_an_answer_is_a_beginning():
    """A last message of the assistant's without the word is refused (OmniRoute#3396)."""
    begun = Turn("assistant", (Text("{"),))
    assert sent(HELLO, begun, model=MISTRALS[0])[1]["prefix"] is True
    assert not any("prefix" in one for one in sent(HELLO, begun, HELLO, model=MISTRALS[0]))
    assert not any("prefix" in one for one in sent(HELLO, begun))
    assert not any("prefix" in one for one in sent(HELLO, asking("c"), model=MISTRALS[0]))
