"""What a client's message says in the one form."""

import pytest

from tollgate_dialects.anthropic.translate import request_reader
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.conversation.parts import (
    FunctionTool,
    HostedTool,
    Media,
    Opaque,
    Origin,
    Seal,
    Text,
    Thinking,
    ToolResult,
)
from tollgate_dialects.conversation.request import OutputFormat, Reasoning, ToolChoice, Turn

HOUR = {"type": "ephemeral", "ttl": "1h"}
SHORT = {"type": "ephemeral"}


def read(*content, role="user", **members):
    messages = [{"role": role, "content": list(content)}] if content else []
    return request_reader.read({"model": "m", "max_tokens": 9, "messages": messages, **members})


def parts(*content, role="user", **members):
    return read(*content, role=role, **members).turns[-1].parts


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("be brief", (Text("be brief"),)),
        (
            [{"type": "text", "text": "a", "cache_control": HOUR}, "b"],
            (Text("a", cache="1h"), Text("b")),
        ),
    ],
)
def test_a_system_prompt_is_the_first_turn(system, expected):
    """The system prompt, text or blocks with marks, comes before what was said."""
    request = read({"type": "text", "text": "hi"}, system=system)
    assert (Turn("system", expected), Turn("user", (Text("hi"),))) == request.turns


def test_the_system_may_speak_later():
    """A system message in the conversation stands where it was said."""
    messages = [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]
    request = request_reader.read({"model": "m", "max_tokens": 1, "messages": messages})
    assert ["user", "system"] == [turn.role for turn in request.turns]


def test_media_are_read_with_their_places():
    """Pictures and documents by bytes, address, file or text, with title and mark."""
    image = {"type": "base64", "media_type": "image/png", "data": "aa"}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "bb"}
    plain = {"type": "text", "media_type": "text/plain", "data": "words"}
    nested = {
        "type": "content",
        "content": [{"type": "text", "text": "x"}, {"type": "image", "source": image}],
    }
    request = read(
        {"type": "image", "source": image, "cache_control": SHORT},
        {"type": "image", "source": {"type": "url", "url": "https://p"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {
            "type": "document",
            "source": pdf,
            "title": "T",
            "context": "C",
            "citations": {"enabled": True},
        },
        {"type": "document", "source": plain},
        {"type": "document", "source": nested},
    )
    assert request.turns[0].parts == (
        Media("image", "image/png", "aa", cache="5m"),
        Media("image", url="https://p"),
        Media("image", file_id="file_1"),
        Media("document", "application/pdf", "bb", name="T"),
        Media("document", "text/plain", text="words"),
        Media("image", "image/png", "aa"),
        Media("document", "text/plain", text="x"),
    )
    assert {"document.context", "document.citations"} == request.unheld


def test_results_of_tools_keep_what_they_hold():
    """Text or blocks, pictures, errors, marks; what a search found becomes words."""
    image = {"type": "url", "url": "https://p"}
    found = {
        "type": "search_result",
        "source": "s",
        "title": "t",
        "content": [{"type": "text", "text": "x"}],
    }
    assert parts(
        {"type": "tool_result", "tool_use_id": "1", "content": "a", "is_error": True},
        {"type": "tool_result", "tool_use_id": "2", "cache_control": HOUR},
        {
            "type": "tool_result",
            "tool_use_id": "3",
            "content": [{"type": "image", "source": image}, found],
        },
    ) == (
        ToolResult("1", (Text("a"),), is_error=True),
        ToolResult("2", (), cache="1h"),
        ToolResult("3", (Media("image", url="https://p"), Text("t\ns\nx"))),
    )


def test_thinking_is_read_with_its_blocks():
    """Signatures and redacted data are Anthropic's own, byte for byte; without one there is none."""
    assert parts(
        {"type": "thinking", "thinking": "t", "signature": "s:1=="},
        {"type": "thinking", "thinking": "u", "signature": ""},
        {"type": "redacted_thinking", "data": "d"},
        role="assistant",
    ) == (
        Thinking("t", Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, "s:1==")),
        Thinking("u"),
        Thinking("", Opaque(Origin.ANTHROPIC, Seal.ENCRYPTED, "d")),
    )


def test_blocks_of_other_vendors_come_back():
    """What was carried in a signature is its maker's again."""
    carried = {"type": "thinking", "thinking": "t", "signature": "tg1:openai:encrypted:rs_1:a:b"}
    opaque = Opaque(Origin.OPENAI, Seal.ENCRYPTED, "a:b", "rs_1")
    assert (Thinking("t", opaque),) == parts(carried, role="assistant")


def call(call_id):
    return {"type": "tool_use", "id": call_id, "name": "f", "input": {"x": 1}}


def carrying(item_id="", text=""):
    signature = f"tg1:google:signature:{item_id}:sig"
    return {"type": "thinking", "thinking": text, "signature": signature}


GOOGLE = Opaque(Origin.GOOGLE, Seal.SIGNATURE, "sig")


@pytest.mark.parametrize(
    ("blocks", "owners"),
    [
        ([carrying(), call("a"), call("b")], [GOOGLE, None]),
        ([call("a"), carrying(), call("b")], [None, GOOGLE]),
        ([carrying("a"), call("a")], [GOOGLE]),
        ([call("a"), carrying("a"), call("b")], [GOOGLE, None]),
    ],
)
def test_a_call_gets_its_block_back(blocks, owners):
    """Google's block before a call, or one that names it, is the call's; no thinking is left."""
    read = parts(*blocks, role="assistant")
    assert owners == [part.opaque for part in read]


def test_signed_words_of_google_stay_thinking():
    """A block of Google's with words, or with no call behind it, is thinking."""
    for blocks in (
        [carrying(text="t"), call("a")],
        [carrying()],
        [carrying(), {"type": "text", "text": "x"}],
    ):
        assert isinstance(parts(*blocks, role="assistant")[0], Thinking)


def test_hosted_blocks_are_named():
    """What tools of the vendor's left behind goes, and is said to have gone."""
    request = read(
        {"type": "server_tool_use", "id": "1", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "1", "content": []},
        {"type": "compaction", "content": "c"},
        {"type": "of the future"},
        {"type": "text", "text": "x"},
        role="assistant",
    )
    assert (Text("x"),) == request.turns[0].parts
    assert {"server_tool_use", "server_tool_result", "compaction", "content"} == request.unheld


def test_arguments_are_json_text():
    """An input is its JSON; a wrapped text comes back, unless the tool has a member of that name."""
    own = {"name": "own", "input_schema": {"type": "object", "properties": {"arguments": {}}}}
    other = {"name": "other", "input_schema": {"type": "object"}}
    wrapped = {"arguments": "no json"}
    assert ['{"x":1}', "no json", '{"arguments":"no json"}', '{"arguments":"no json"}', "{}"] == [
        part.arguments
        for part in parts(
            call("a"),
            {"type": "tool_use", "id": "b", "name": "other", "input": wrapped},
            {"type": "tool_use", "id": "c", "name": "own", "input": wrapped},
            {"type": "tool_use", "id": "d", "name": "unknown", "input": wrapped},
            {"type": "tool_use", "id": "e", "name": "other", "input": None},
            role="assistant",
            tools=[own, other],
        )
    ]


def test_tools_are_read():
    """Custom tools with schema, strictness and mark; typed ones as they are."""
    bash = {"type": "bash_20250124", "name": "bash"}
    request = read(
        tools=[
            {
                "name": "f",
                "description": "d",
                "input_schema": {"type": "object"},
                "strict": True,
                "cache_control": HOUR,
            },
            {"type": "custom", "name": "g", "input_schema": {}, "defer_loading": True},
            bash,
        ]
    )
    assert request.tools == (
        FunctionTool("f", "d", {"type": "object"}, strict=True, cache="1h"),
        FunctionTool("g", "", {}),
        HostedTool("bash_20250124", bash),
    )
    assert {"tools.defer_loading"} == request.unheld


@pytest.mark.parametrize(
    ("choice", "expected", "parallel"),
    [
        ({"type": "auto", "disable_parallel_tool_use": True}, ToolChoice("auto"), False),
        ({"type": "any"}, ToolChoice("required"), None),
        ({"type": "tool", "name": "f"}, ToolChoice("required", ("f",)), None),
        ({"type": "none"}, ToolChoice("none"), None),
        (None, None, None),
    ],
)
def test_choices_are_read(choice, expected, parallel):
    """Each choice, and whether calls may be parallel."""
    request = read(tool_choice=choice)
    assert (expected, parallel) == (request.tool_choice, request.parallel_tool_calls)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            Reasoning("on", budget_tokens=2000),
        ),
        (
            {
                "thinking": {"type": "adaptive", "display": "summarized"},
                "output_config": {"effort": "max"},
            },
            Reasoning("adaptive", "max", summary="auto"),
        ),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}},
            Reasoning("adaptive", summary="omitted"),
        ),
        ({"thinking": {"type": "disabled"}}, Reasoning("off")),
        ({"output_config": {"effort": "low"}}, Reasoning(effort="low")),
        ({"thinking": None}, None),
    ],
)
def test_reasoning_is_read(members, expected):
    """Thinking and effort are one thing in the one form."""
    assert expected == read(**members).reasoning


def test_the_rest_is_read():
    """Sampling, stops, user, tier, format in both places; the unknown is kept."""
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    for members in ({"output_config": {"format": wanted}}, {"output_format": wanted}):
        request = read(
            **members, temperature=0.5, top_p=0.9, top_k=4, stop_sequences=["x"], stream=True,
            metadata={"user_id": "u"}, service_tier="standard_only", context_management={"edits": []},
            container=None,
        )  # fmt: skip
        assert OutputFormat("json_schema", schema={"type": "object"}) == request.output_format
        assert (0.5, 0.9, 4, ("x",), True) == (
            request.temperature, request.top_p, request.top_k, request.stop, request.stream,
        )  # fmt: skip
        assert ("u", "default", 9) == (
            request.user,
            request.service_tier,
            request.max_output_tokens,
        )
        assert {"context_management": {"edits": []}} == request.extra


def test_a_mark_on_the_whole_is_one_on_the_last_part():
    """The top-level mark goes to the last part that can have one."""
    request = read({"type": "text", "text": "a"}, {"type": "text", "text": "b"}, cache_control=HOUR)
    assert (Text("a"), Text("b", cache="1h")) == request.turns[0].parts


@pytest.mark.parametrize(
    "members",
    [
        {"messages": {}},
        {"messages": [1]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": 1}]},
        {"messages": [{"role": "user", "content": [1]}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "ftp"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
        {"tools": [1]},
        {"tool_choice": {"type": "perhaps"}},
        {"thinking": {"type": "deep"}},
        {"temperature": "hot"},
        {"output_format": {"type": "xml"}},
        {"stop_sequences": [1]},
    ],
)
def test_shapes_that_nobody_has_are_refused(members):
    """A wrong shape is the client's mistake, and never repeats what it wrote."""
    with pytest.raises(BadRequest):
        read(**members)
