"""What is sent to Anthropic for a request of the one form, and what is named as left out."""

import dataclasses
import re

import pytest

from tests.unit.dialects.anthropic.written import (
    ADAPTIVE,
    BUDGETED,
    HELLO,
    TOOL,
    call,
    messages,
    text,
    write,
)
from tollgate_dialects.conversation.parts import (
    FunctionTool,
    HostedTool,
    Media,
    Origin,
    Text,
    ToolResult,
)
from tollgate_dialects.conversation.request import ToolChoice, Turn
from tollgate_dialects.conversation.translation import Untranslatable


def test_the_limit_is_always_sent():
    """The target's limit, zero included; 4096 where there is none."""
    assert [4096, 7, 0] == [write(limit=n).document["max_tokens"] for n in (None, 7, 0)]
    assert write().document["model"] == BUDGETED


def test_the_system_prompt_stands_apart():
    """All that the system says at the head is its prompt: one text, or blocks with marks."""
    system, developer = Turn("system", (Text("a"),)), Turn("developer", (Text("b", cache="1h"),))
    assert "a" == write(system, HELLO).document["system"]
    mark = {"type": "ephemeral", "ttl": "1h"}
    written = write(system, developer, HELLO)
    assert [text("a"), text("b", cache_control=mark)] == written.document["system"]
    assert frozenset() == written.dropped


def test_a_late_system_turn_is_a_users():
    """Further down the system speaks as the user, which is named: it has less weight there."""
    turns = (HELLO, Turn("assistant", (Text("x"),)), Turn("developer", (Text("now"),)), HELLO)
    written = write(*turns)
    assert ["user", "assistant", "user"] == [m["role"] for m in written.document["messages"]]
    assert [text("now"), text("hi")] == written.document["messages"][-1]["content"]
    assert "system" in written.dropped


@pytest.mark.parametrize(("after", "role"), [((), "system"), ((HELLO,), "user")])
def test_a_late_system_turn_stays_where_it_may(after, role):
    """Models that know of it let the system speak after the user, before an answer."""
    written = write(HELLO, Turn("system", (Text("now"),)), *after, model=ADAPTIVE)
    assert role == written.document["messages"][-1]["role"]
    assert (role == "user") == ("system" in written.dropped)


def test_a_system_prompt_alone_is_asked():
    """Anthropic answers no conversation without a message: the prompt becomes one."""
    written = write(Turn("system", (Text("a"),)))
    assert [("user", [text("a")])] == messages(Turn("system", (Text("a"),)))
    assert "system" not in written.document
    with pytest.raises(Untranslatable):
        write(Turn("user", (Text(" "),)))


def test_results_come_first_and_in_one_message():
    """Results of parallel calls, in several turns and behind words, lead the one message."""
    turns = (
        HELLO,
        Turn("assistant", (call("a"),)),
        Turn("assistant", (call("b"),)),
        Turn("user", (Text("look"), ToolResult("a", (Text("1"),)))),
        Turn("user", (ToolResult("b", (Text(""),), is_error=True), Text("more"))),
    )
    roles = messages(*turns)
    assert ["user", "assistant", "user"] == [role for role, _ in roles]
    assert ["a", "b"] == [block["id"] for block in roles[1][1]]
    assert [
        {"type": "tool_result", "tool_use_id": "a", "content": [text("1")]},
        {"type": "tool_result", "tool_use_id": "b", "is_error": True},
        text("look"),
        text("more"),
    ] == roles[2][1]


def test_nothing_empty_is_sent():
    """Blocks and turns of white space alone are refused by Anthropic; other text is untouched."""
    turns = (
        Turn("user", (Text(""), Text(" a "), Text("\n"))),
        Turn("assistant", (Text(" "),)),
        HELLO,
    )
    assert [("user", [text(" a "), text("hi")])] == messages(*turns)


def test_a_begun_answer_does_not_end_on_space():
    """A prefilled answer loses the white space at its end, which Anthropic refuses."""
    assert [text("So")] == messages(HELLO, Turn("assistant", (Text("So \n"),)))[-1][1]


def test_media_have_their_sources():
    """Bytes, addresses and files; the kind of a picture is told by its bytes where unsaid."""
    parts = (
        Media("image", "image/jpg", "/9j/AA", detail="high"),
        Media("image", url="https://p"),
        Media("document", data="JVBE", name="T"),
        Media("document", "text/csv", data="YSxi"),
        Media("document", text="words"),
        Media("document", file_id="file_1"),
    )
    [(_, blocks)] = messages(Turn("user", parts))
    assert blocks == [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/AA"},
        },
        {"type": "image", "source": {"type": "url", "url": "https://p"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
            "title": "T",
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "words"},
        },
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
    ]
    assert {"image.detail"} == write(Turn("user", parts)).dropped


@pytest.mark.parametrize(
    ("part", "param"),
    [
        (Media("audio", data="x"), "audio"),
        (Media("video", url="https://v"), "video"),
        (Media("image", file_id="file-openai"), "file_id"),
        (Media("document", "application/zip", data="/w=="), "file"),
        (Media("image", "image/bmp", data="Qk0"), "image"),
    ],
)
def test_media_that_nobody_there_sees_are_refused(part, param):
    """A request whose medium cannot be sent makes no sense without it."""
    with pytest.raises(Untranslatable) as refusal:
        write(Turn("user", (part,)))
    assert param == refusal.value.param


def test_ids_and_names_are_made_fit():
    """Other vendors' ids and names get Anthropic's letters, alike for call and result."""
    tools = (FunctionTool("read file", namespace="fs"), FunctionTool("ok", namespace="fs"))
    written = write(
        HELLO,
        Turn("assistant", (call("a:b", "read file", namespace="fs"), call("a_b", "x" * 99))),
        Turn("user", (ToolResult("a:b", ()), ToolResult("a_b", ()))),
        tools=tools,
        tool_choice=ToolChoice("required", ("read file",)),
    )
    _, asked, given = written.document["messages"]
    ids = [block["id"] for block in asked["content"]]
    assert ids == [block["tool_use_id"] for block in given["content"]]
    assert all(re.fullmatch("[a-zA-Z0-9_-]+", one) for one in ids)
    assert 2 == len({*ids})
    assert "a_b" == ids[1]
    names = [tool["name"] for tool in written.document["tools"]]
    assert "fs__ok" == names[1]
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", one) for one in names)
    assert names[0] == asked["content"][0]["name"] == written.document["tool_choice"]["name"]


@pytest.mark.parametrize(
    ("arguments", "takes_text", "expected"),
    [
        ('{"a":1}', False, {"a": 1}),
        ("", False, {}),
        ("[1]", False, {"arguments": "[1]"}),
        ('{"a":', False, {"arguments": '{"a":'}),
        ("free", True, {"input": "free"}),
    ],
)
def test_arguments_become_an_object(arguments, takes_text, expected):
    """Whatever a model wrote as arguments is an object there."""
    turn = Turn("assistant", (call(arguments=arguments, takes_text=takes_text),))
    assert expected == messages(HELLO, turn)[1][1][0]["input"]


def test_tools_are_written():
    """Schema, description, strictness, mark; free text as one member; own typed tools as they are."""
    bash = {"type": "bash_20250124", "name": "bash"}
    tools = (
        dataclasses.replace(TOOL, description="d", strict=True, cache="5m"),
        FunctionTool("g", takes_text=True, grammar={"type": "regex"}),
        FunctionTool("h"),
        HostedTool("bash_20250124", bash),
        HostedTool("web_search", {"type": "web_search"}),
    )
    written = write(tools=tools, origin=Origin.ANTHROPIC)
    empty = {"type": "object", "properties": {}}
    closed = {"type": "object", "additionalProperties": False}
    words = {"input": {"type": "string"}}
    assert written.document["tools"] == [
        {
            "name": "f",
            "input_schema": {**closed, "properties": {}},
            "description": "d",
            "strict": True,
            "cache_control": {"type": "ephemeral"},
        },
        {"name": "g", "input_schema": {**closed, "properties": words, "required": ["input"]}},
        {"name": "h", "input_schema": empty},
        bash,
    ]
    assert {"tools.grammar", "tools.web_search"} == written.dropped
    assert "tools.strict" in write(tools=tools, model="claude-sonnet-4-0").dropped


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice("required", ("f",)), True, {"type": "tool", "name": "f"}),
        (ToolChoice("none"), False, {"type": "none"}),
        (ToolChoice("auto"), None, {"type": "auto"}),
    ],
)
def test_choices_are_written(choice, parallel, expected):
    """Each choice; parallel calls are forbidden inside of it."""
    members = {"tools": (TOOL,), "tool_choice": choice, "parallel_tool_calls": parallel}
    assert expected == write(**members).document.get("tool_choice")


def test_a_choice_among_some_leaves_the_others_out():
    """Of several names, only those tools are declared; without tools there is no choice."""
    tools = tuple(FunctionTool(name) for name in "fgh")
    written = write(tools=tools, tool_choice=ToolChoice("auto", ("f", "g"))).document
    assert ["f", "g"] == [tool["name"] for tool in written["tools"]]
    assert "tool_choice" not in write(tool_choice=ToolChoice("auto")).document
    for forced in (ToolChoice("required"), ToolChoice("required", ("web_search",))):
        with pytest.raises(Untranslatable):
            write(tools=(HostedTool("web_search", {}),), tool_choice=forced)


def test_tools_of_groups_never_share_a_name():
    """Flattened, a group's tool may be called as another one is: declared and repeated alike."""
    grouped = FunctionTool("read", namespace="files", schema=TOOL.schema)
    plain = FunctionTool("files__read", schema=TOOL.schema)
    turn = Turn("assistant", (call("a", "read", namespace="files"), call("b", "files__read")))
    choice = ToolChoice("required", ("files__read",))
    written = write(HELLO, turn, tools=(grouped, plain), tool_choice=choice).document
    names = [tool["name"] for tool in written["tools"]]
    assert 2 == len(set(names))
    assert names == [block["name"] for block in written["messages"][1]["content"]]
    assert {"type": "tool", "name": names[1]} == written["tool_choice"]


def test_results_that_come_late_follow_their_calls():
    """Responses let them stand anywhere behind; Anthropic only in the message that follows."""
    turns = (
        HELLO,
        Turn("assistant", (call("a"), call("b"))),
        Turn("user", (ToolResult("a", (Text("1"),)),)),
        Turn("assistant", (Text("wait"),)),
        Turn("user", (ToolResult("b", (Text("2"),)), Text("go on"))),
    )
    said = messages(*turns)
    assert ["user", "assistant", "user", "assistant", "user"] == [role for role, _ in said]
    assert ["a", "b"] == [block["tool_use_id"] for block in said[2][1]]
    assert [text("go on")] == said[4][1]


def test_calls_of_one_message_never_share_an_id():
    """Anthropic refuses that, and some vendors name all calls alike; results are in their order.

    Those of several messages may: then an id stays what it was.
    """
    turns = (
        HELLO,
        Turn("assistant", (call("x"), call("x"))),
        Turn("user", (ToolResult("x", (Text("1"),)), ToolResult("x", (Text("2"),)))),
        Turn("assistant", (call("x"),)),
        Turn("user", (ToolResult("x", (Text("3"),)),)),
    )
    said = messages(*turns)
    ids = [block["id"] for role, blocks in said for block in blocks if role == "assistant"]
    assert ["x", "x_2", "x"] == ids
    results = [block for role, blocks in said[2:] for block in blocks if role == "user"]
    assert ids == [one["tool_use_id"] for one in results]
    assert ["1", "2", "3"] == [one["content"][0]["text"] for one in results]


def test_a_mark_inside_of_a_result_is_moved_behind_it():
    """Anthropic refuses one in there (invalid_cache); a chat's message of a tool has no other place."""
    parts = (Text("a", cache="1h"), Text("b", cache="5m"), Text("c"))
    ((_, (block,)),) = messages(Turn("user", (ToolResult("c", parts),)))
    assert [text("a"), text("b"), text("c")] == block["content"]
    assert {"type": "ephemeral"} == block["cache_control"]
    marked = ToolResult("c", parts, cache="1h")
    ((_, (block,)),) = messages(Turn("user", (marked,)))
    assert {"type": "ephemeral", "ttl": "1h"} == block["cache_control"]


def test_a_call_has_one_result():
    """Anthropic refuses a second one (litellm#20047): a client's two are told as one."""
    results = [ToolResult("c", (Text(words),), is_error=words == "1") for words in ("1", "1", "2")]
    said = messages(HELLO, Turn("assistant", (call("c"),)), *(Turn("user", (r,)) for r in results))
    assert [{"type": "tool_result", "tool_use_id": "c", "content": [text("1"), text("2")]}] == (
        said[-1][1]
    )
