"""What a vendor of Responses is not sent: tools of its own, thinking of others; nothing else."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.common import documents
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.openai_responses.dialect import OPENAI_RESPONSES as DIALECT
from tollgate_dialects.request import request
from tollgate_dialects.request.server_tools import NO_SERVER_TOOLS

FUNCTION = {"type": "function", "name": "f", "parameters": {"big": 10**30}, "new": 1}
SEARCH = {"type": "web_search"}
HELLO = {"role": "user", "content": "hi"}
OURS = f"rs_{'0' * 32}_1"
# What the one form has no place for, or no need of.
MORE = {
    "truncation": "auto",
    "include": ["web_search_call.action.sources"],
    "store": True,
    "client_metadata": {"a": "b"},
    "stream_options": {"include_obfuscation": False},
    "max_tool_calls": 3,
    "text": {"verbosity": "low", "new": 1},
    "new_at_the_top": [1],
}
ITEMS = [
    HELLO,
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA", "content": []},
    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "r", "status": "completed"},
]


def asked(**members):
    return {"model": "m", "input": list(ITEMS), **MORE, **members}


def facts(document):
    return request.read(documents.written(document), DIALECT.request)


def shed(document):
    before = copy.deepcopy(document)
    found = DIALECT.request.shed(document, "gpt-5")
    assert before == document
    # Nothing of it is left, and what is read is not more than it was.
    assert not facts(found.document).sheds
    assert facts(found.document).input_token_bound <= facts(document).input_token_bound
    return found


def test_hosted_tools_alone_are_left_out():
    """As Codex declares them: every other member, item and tool is as the client wrote it."""
    group = {"type": "namespace", "name": "g", "description": "d", "tools": [SEARCH, FUNCTION]}
    alone = {"type": "namespace", "name": "h", "tools": [SEARCH]}
    found = shed(asked(tools=[FUNCTION, SEARCH, group, alone], tool_choice="auto"))
    kept = {**group, "tools": [FUNCTION]}
    assert asked(tools=[FUNCTION, kept], tool_choice="auto") == found.document
    assert {"tools.web_search"} == found.dropped


def test_a_choice_is_among_what_is_left():
    """Of nothing there is none; without tools there is no word of a choice."""
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [SEARCH]}
    found = shed(asked(tools=[FUNCTION, SEARCH], tool_choice=choice))
    assert "none" == found.document["tool_choice"]
    choice = {**choice, "tools": [SEARCH, {"type": "function", "name": "f"}]}
    found = shed(asked(tools=[FUNCTION, SEARCH], tool_choice=choice))
    assert [{"type": "function", "name": "f"}] == found.document["tool_choice"]["tools"]
    assert asked() == shed(asked(tools=[SEARCH], tool_choice="auto")).document


@pytest.mark.parametrize(
    "item",
    [
        {"type": "reasoning", "summary": [], "encrypted_content": "tg1:google:signature:c:x"},
        {"type": "reasoning", "id": OURS, "summary": [{"type": "summary_text", "text": "t"}]},
    ],
)
def test_thinking_that_the_vendor_cannot_read_is_left_out(item):
    """Of other makers, and what nobody sealed; the rest of the conversation is as it was."""
    document = asked(input=[HELLO, item, *ITEMS[1:]])
    assert facts(document).sheds
    found = shed(document)
    assert (asked(), {"thinking"}) == (found.document, found.dropped)


def test_thinking_goes_back_under_its_own_name():
    """What OpenAI sealed and we have named otherwise is what it was."""
    sealed = ITEMS[1]
    carried = {**sealed, "id": OURS, "encrypted_content": "tg1:openai:encrypted:rs_1:gAAA"}
    assert asked() == shed(asked(input=[HELLO, carried, *ITEMS[2:]])).document
    plain = {**sealed, "id": OURS}
    found = shed(asked(input=[HELLO, plain, *ITEMS[2:]]))
    del (nameless := dict(sealed))["id"]
    assert nameless == found.document["input"][1]


def test_tools_that_were_searched_for_are_declared_where_they_were_found():
    """The search itself runs at the vendor: without it its call and its result are no items."""
    found = shed(
        asked(
            tools=[{"type": "tool_search"}],
            input=[
                HELLO,
                ITEMS[1],
                {"type": "tool_search_call", "id": "ts_1"},
                {"type": "tool_search_output", "id": "to_1", "tools": [FUNCTION, SEARCH]},
                *ITEMS[3:],
            ],
        )
    )
    declared = {"type": "additional_tools", "role": "developer", "tools": [FUNCTION]}
    assert [HELLO, declared, *ITEMS[3:]] == found.document["input"]
    assert {"tools.tool_search", "tools.web_search", "tool_search_call", "thinking"} == (
        found.dropped
    )


TOOLS = st.recursive(
    st.sampled_from((FUNCTION, SEARCH, {"type": "mcp"}, {"type": "custom", "name": "c"})),
    lambda inner: st.builds(
        lambda tools: {"type": "namespace", "name": "n", "tools": tools},
        st.lists(inner, max_size=3),
    ),
    max_leaves=6,
)
THINKING = st.builds(
    lambda data, name: {
        "type": "reasoning", "summary": [], "encrypted_content": data, **({"id": name} if name else {})
    },
    st.sampled_from(("", "gAAA", "tg1:anthropic:signature::x", "tg1:openai:encrypted:rs_2:g")),
    st.sampled_from(("", "rs_1", OURS)),
)  # fmt: skip
ADDED = st.builds(
    lambda kind, tools: {"type": kind, "role": "developer", "tools": tools},
    st.sampled_from(("additional_tools", "tool_search_output")),
    st.lists(TOOLS, max_size=3),
)


@given(
    st.lists(TOOLS, max_size=4),
    st.lists(st.sampled_from(ITEMS) | THINKING | ADDED, max_size=5),
    st.sampled_from((None, "auto", "none", "required")),
)
def test_nothing_hosted_is_ever_left(tools, items, choice):
    """However tools are declared: no unpriced tool reaches an upstream, and each is named."""
    document = asked(tools=tools, input=items, tool_choice=choice)
    try:
        read = facts(document)
    except BadRequest:
        return
    found = shed(document)
    # A search that has a price goes up, and without one goes the way of the others.
    assert read.sheds or read.server_tools != NO_SERVER_TOOLS or not found.dropped
