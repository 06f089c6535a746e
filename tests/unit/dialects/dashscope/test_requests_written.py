"""Requests of other protocols and their own, told as generations."""

import orjson
import pytest

from tests.unit.dialects.dashscope.models import MODELS
from tollgate_dialects.alibaba import models
from tollgate_dialects.anthropic.dialect import ANTHROPIC_MESSAGES
from tollgate_dialects.conversation.parts import (
    FunctionTool,
    Media,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollgate_dialects.conversation.request import (
    OutputFormat,
    Reasoning,
    Request,
    ToolChoice,
    Turn,
)
from tollgate_dialects.conversation.translation import Target, Untranslatable
from tollgate_dialects.dashscope import limits
from tollgate_dialects.dashscope.dialect import DASHSCOPE
from tollgate_dialects.dashscope.translate.translation import TRANSLATION
from tollgate_dialects.openai_chat.dialect import OPENAI_CHAT
from tollgate_dialects.request import request


def facts_of(document, *, stream=False):
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    return request.read(body, DASHSCOPE.request, DASHSCOPE.request.told(None, stream=stream))


def written(request_, model="qwen-plus", limit=1_000):
    told = TRANSLATION.write_request(request_, Target(model, limit))
    facts = facts_of(told.document, stream=request_.stream)
    if limit is not None and facts.max_output_tokens is not None:
        beyond = facts.beyond_limit_tokens
        # All that the model gives is within the limit, by the reader's own rules; where nothing is
        # said of thinking, because the model does not think unasked.
        if beyond is not None:
            assert facts.max_output_tokens + beyond - 10 <= limit
        else:
            assert models.always_thinks(model) or not limits.thinks(model)
            assert facts.max_output_tokens <= limit
    return told.document, told.dropped


def ask(*turns, **fields):
    turns = turns or (Turn("user", (Text("Hi"),)),)
    return Request(model="m", turns=turns, **fields)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("limit", [1, 2, 50, 4_000])
@pytest.mark.parametrize(
    "reasoning",
    [
        None,
        Reasoning("off"),
        Reasoning("on", budget_tokens=100),
        Reasoning("on", budget_tokens=10**6),
        Reasoning("", "high"),
        Reasoning("", "none"),
        Reasoning("adaptive", "low"),
    ],
)
def test_thinking_and_answer_are_within_the_limit(model, limit, reasoning):
    """Whatever is asked, of whatever model: together they are what the call was reserved for."""
    is_split = models.always_thinks(model) and not models.is_limited_whole(model)
    is_split = is_split and models.takes_budget(model)
    if is_split and limit == 1:
        with pytest.raises(Untranslatable):
            written(ask(reasoning=reasoning), model, limit)
        return
    document, dropped = written(ask(reasoning=reasoning), model, limit)
    parameters = document["parameters"]
    if is_split:
        assert parameters["thinking_budget"] > 0
        assert parameters["thinking_budget"] + parameters["max_tokens"] == limit
    if reasoning is not None and (reasoning.mode == "off" or reasoning.effort == "none"):
        is_told = parameters.get("enable_thinking") is False
        assert is_told is ("reasoning" not in dropped) is not models.always_thinks(model)


OPEN = ["qwen3-8b", "qwen3-0.6b", "qwen3-235b-a22b", "Qwen/Qwen3-32B"]
OTHERS = [
    "qwen3-30b-a3b-instruct-2507",
    "qwen3-235b-a22b-thinking-2507",
    "qwen3-max",
    "qwen3.5-27b",
]


@pytest.mark.parametrize("model", OPEN + OTHERS)
@pytest.mark.parametrize(
    "reasoning", [None, Reasoning("on", budget_tokens=9), Reasoning("", "low")]
)
@pytest.mark.parametrize("limit", [2, 1_000, None])
def test_the_open_qwen_3_think_in_streams_alone(model, reasoning, limit):
    """They refuse a call that does not stream and may think: it is told not to, and that is named."""
    document, dropped = written(ask(reasoning=reasoning), model, limit)
    parameters = document["parameters"]
    if model in OPEN:
        assert parameters["enable_thinking"] is False
        assert "thinking_budget" not in parameters
        assert limit == parameters.get("max_tokens")
        assert (reasoning is not None) is ("reasoning" in dropped)
    elif reasoning is not None:
        assert parameters["enable_thinking"] is True
    streamed, dropped = written(ask(reasoning=reasoning, stream=True), model, 1_000)
    assert streamed["parameters"].get("enable_thinking") is not False
    assert "reasoning" not in dropped


@pytest.mark.parametrize("model", ["qwen3.5-27b", "qwen3.5-plus", "qwen3-max", "qwen3-8b"])
@pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high", "xhigh", "max"])
@pytest.mark.parametrize("limit", [2, 1_000, 100_000, None])
def test_an_effort_is_a_number_that_leaves_room_for_an_answer(model, effort, limit):
    """Thinking without a number may have no end; of the limit, half at least is the answer's."""
    asked = ask(reasoning=Reasoning("", effort), stream=True)
    parameters = written(asked, model, limit)[0]["parameters"]
    assert parameters["enable_thinking"] is True
    assert 0 < parameters["thinking_budget"] <= (limit or 32_768) // 2
    if limit is not None and "max_tokens" in parameters:
        assert parameters["max_tokens"] >= limit // 2


@pytest.mark.parametrize("model", ["qwq-plus", "qvq-max", "deepseek-r1", "deepseek-r1-0528"])
@pytest.mark.parametrize("reasoning", [Reasoning("on", budget_tokens=100), Reasoning("on"), None])
def test_who_knows_no_budget_is_told_none(model, reasoning):
    """Only Qwen 3 and later ones take it: one that was asked for is named, the limit is the answer's."""
    document, dropped = written(ask(reasoning=reasoning), model, 50)
    assert "thinking_budget" not in document["parameters"]
    assert 50 == document["parameters"]["max_tokens"]
    is_asked = reasoning is not None and reasoning.budget_tokens is not None
    assert is_asked is ("reasoning.budget_tokens" in dropped)


def test_who_always_thinks_is_not_made_to_call():
    """It would refuse to be: the choice is left to it, and named as dropped."""
    tools = (FunctionTool("f", schema={}),)
    request_ = ask(tools=tools, tool_choice=ToolChoice("required", ("f",)))
    document, dropped = written(request_, "qwq-plus")
    parameters = document["parameters"]
    assert ("auto", True) == (parameters["tool_choice"], "tool_choice" in dropped)
    assert "enable_thinking" not in parameters


def test_what_has_no_place_is_named():
    """Each by the one form's name; and what the client cannot do without refuses the request."""
    request_ = ask(
        frequency_penalty=1.0, verbosity="low", cache_key="k", metadata={"a": "b"}, user="u",
        service_tier="flex", temperature=2.0, top_p=0.0, seed=2**40, extra={"store": True},
        tools=(FunctionTool("f", cache="5m", strict=True),),
        tool_choice=ToolChoice("required"), output_format=OutputFormat("json_schema", schema={}),
    )  # fmt: skip
    document, dropped = written(request_)
    assert dropped == {
        "frequency_penalty", "verbosity", "cache_key", "metadata", "user", "service_tier",
        "temperature", "top_p", "seed", "store", "cache", "tools.strict", "output_format",
    }  # fmt: skip
    assert {"type": "function", "function": {"name": "f"}} == document["parameters"]["tool_choice"]
    assert 1.99 == document["parameters"]["temperature"]
    for fields in (
        {"choices": 2},
        {"extra": {"previous_response_id": "r"}},
        {"tool_choice": ToolChoice("required", ("g",))},
        {"turns": (Turn("user", (Media("audio", data="AA=="),)),)},
        {"turns": (Turn("user", (Media("document", "application/pdf", data="AA=="),)),)},
        {"turns": (Turn("user", (Media("image", file_id="f"),)),)},
    ):
        with pytest.raises(Untranslatable):
            written(Request(**{"model": "m", "turns": (), **fields}))


def test_json_is_asked_for_in_words_too():
    """DashScope refuses to be asked for JSON by a conversation that does not speak of it."""
    document, _ = written(ask(output_format=OutputFormat("json_object")))
    assert "JSON" in document["input"]["messages"][0]["content"]
    spoken = ask(Turn("user", (Text("as json"),)), output_format=OutputFormat("json_object"))
    document, _ = written(spoken)
    assert 1 == len(document["input"]["messages"])


def test_a_conversation_with_tools_keeps_its_order():
    """Results stand behind their calls, thinking beside the answer; pictures in parts."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": "", "reasoning_content": "Hm.", "tool_calls": [
            {"index": 0, "id": "c1", "type": "function",
             "function": {"name": "look", "arguments": "{}"}},
            {"index": 1, "id": "c2", "type": "function",
             "function": {"name": "look", "arguments": "{}"}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": "two"},
        {"role": "assistant", "content": "So", "partial": True},
    ]  # fmt: skip
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    document = {"model": "m", "input": {"messages": messages}, "parameters": {"tools": [tool]}}
    read = TRANSLATION.read_request(document)
    assert (Thinking("Hm."), ToolCall("c1", "look", "{}")) == read.turns[2].parts[:2]
    assert read.parallel_tool_calls is False
    again, _ = written(read)
    assert messages == again["input"]["messages"]
    for dialect, model in ((ANTHROPIC_MESSAGES, "claude-sonnet-4-5"), (OPENAI_CHAT, "gpt-4o")):
        told = dialect.translation.write_request(read, Target(model, 100)).document
        assert orjson.dumps(told).count(b'"c1"') == 2
    seen, _ = written(ask(Turn("user", (Text("a"), Media("image", url="https://p")))), "m")
    assert [{"text": "a"}, {"image": "https://p"}] == seen["input"]["messages"][0]["content"]


def test_calls_that_repeat_an_id_are_answered_each():
    """Kimi counts its calls anew in each turn (fireconnect#16, oh-my-pi#2055, openclaw#51593).

    Each result goes right behind its own call, in the order of both, and no id goes up twice.
    """
    call, again = ToolCall("s:0", "s", "{}"), ToolCall("s:0", "s", '{"a":1}')
    turns = []
    for number in ("1", "2"):
        turns += [
            Turn("assistant", (call, again)),
            Turn("user", (ToolResult("s:0", (Text(f"r{number}"),)),)),
            Turn("user", (ToolResult("s:0", (Text(f"q{number}"),)),)),
        ]
    document, _ = written(ask(Turn("user", (Text("Hi"),)), *turns), "kimi-k2.5")
    messages = document["input"]["messages"]
    roles = ["assistant", "tool", "tool"]
    assert ["user", *roles, *roles] == [message["role"] for message in messages]
    ids = [call["id"] for message in messages for call in message.get("tool_calls", ())]
    assert ["s:0", "s:0_2", "s:0_3", "s:0_4"] == ids
    results = [message for message in messages if message["role"] == "tool"]
    assert ids == [result["tool_call_id"] for result in results]
    assert ["r1", "q1", "r2", "q2"] == [result["content"] for result in results]


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{"a": 1.0 }', '{"a": 1.0 }'),
        ('{"a": ', '{"arguments":"{\\"a\\": "}'),
        ("[1]", '{"arguments":"[1]"}'),
        ("null", "{}"),
        (" ", "{}"),
    ],
)
def test_arguments_are_an_object(arguments, sent):
    """What a model once broke would be refused in each later turn (nanobot#1487, nanobot#2469)."""
    turn = Turn("assistant", (ToolCall("c", "f", arguments),))
    document, _ = written(ask(Turn("user", (Text("Hi"),)), turn))
    (call,) = document["input"]["messages"][1]["tool_calls"]
    assert sent == call["function"]["arguments"]


def test_the_older_prompt_is_a_conversation():
    """A prompt behind its history, and stop words that are tokens, which only one model knows."""
    document = {
        "model": "m",
        "input": {"prompt": "Now", "history": [{"user": "a", "bot": "b"}]},
        "parameters": {"stop": [[37763, 367], "x"], "enable_search": False},
    }
    read = TRANSLATION.read_request(document)
    assert [("user", "a"), ("assistant", "b"), ("user", "Now")] == [
        (turn.role, turn.parts[0].text) for turn in read.turns
    ]
    assert (("x",), {"stop"}, {}) == (read.stop, read.unheld, read.extra)


def test_four_marks_for_the_cache_at_most():
    """The last four, which cover all that stands before them."""
    turns = tuple(Turn("user", (Text(str(n), cache="1h"),)) for n in range(6))
    document, dropped = written(ask(*turns))
    marks = [
        message["content"][0].get("cache_control") for message in document["input"]["messages"]
    ]
    assert [None] * 2 + [{"type": "ephemeral"}] * 4 == marks
    assert {"cache"} == dropped
