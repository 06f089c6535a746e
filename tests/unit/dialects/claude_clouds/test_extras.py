"""What Anthropic takes and the clouds call extra inputs, for which they refuse a whole message."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import client_shapes
from tests.unit.dialects.claude_clouds import clouds
from tests.unit.dialects.claude_clouds.test_envelopes import JSON, MESSAGE, MODEL, enveloped

CLOUDS = pytest.mark.parametrize(
    "cloud", [clouds.BEDROCK, clouds.VERTEX], ids=["bedrock", "vertex"]
)
NEW = "us.anthropic.claude-opus-4-6-v1"
SCOPE = "prompt-caching-scope-2026-01-05"
MARK = {"type": "ephemeral", "scope": "global"}
PLAIN = {"type": "ephemeral"}
FORMAT = {"type": "json_schema", "schema": {"type": "object", "properties": {"scope": {}}}}
# Claude Code 2.1.197's, and what it sends to frontier models.
BETAS = (
    "claude-code-20250219,interleaved-thinking-2025-05-14,thinking-token-count-2026-05-13,"
    "context-management-2025-06-27,prompt-caching-scope-2026-01-05,effort-2025-11-24"
)


def tool(**members):
    return {"name": "f", "input_schema": {"type": "object"}, **members}


def marked(mark):
    """A message with that mark in each place that takes one; the word also where it is no mark."""
    text = {"type": "text", "text": '"scope": {', "cache_control": mark}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [text], "cache_control": mark}
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"cache_control": MARK}}
    return {
        "system": [{"type": "text", "text": "s"}, text],
        "tools": [tool(input_schema={"properties": {"scope": {}}}, cache_control=mark)],
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [text, result]},
        ],
    }


def sent(cloud, members, betas="", model=MODEL):
    body = json.dumps({**MESSAGE, **members}).encode()
    found = enveloped(cloud, body, betas, model)
    return json.loads(found.body), found.dropped


@CLOUDS
@pytest.mark.parametrize("model", [MODEL, NEW])
def test_the_scope_of_a_cache_is_left_out_wherever_it_stands(cloud, model):
    """Where no mark is, the same word stays: in a schema, in a call's input, in a text."""
    document, dropped = sent(cloud, marked(MARK), SCOPE, model)
    assert {name: document[name] for name in marked(PLAIN)} == marked(PLAIN)
    assert {"cache.scope", f"betas.{SCOPE}"} == dropped


@CLOUDS
@given(data=st.data())
def test_nothing_else_changes_by_a_byte(cloud, data):
    """However a mark is written: all other bytes are the client's, commas and spaces with them."""
    mark = {**data.draw(st.dictionaries(st.text(), JSON, max_size=2)), "type": "ephemeral"}
    mark.pop("scope", None)
    names = [*mark]
    names.insert(data.draw(st.integers(0, len(names))), "scope")
    spaces = data.draw(st.sampled_from([(",", ":"), (" , ", " : "), (",\n\t", ":\r\n")]))
    outer = st.dictionaries(st.text(), JSON, max_size=2)
    block = {**data.draw(outer), "type": "text", "text": "t"}

    def body(mark):
        content = [{**block, "cache_control": mark}, block]
        whole = {**MESSAGE, "messages": [{"role": "user", "content": content}]}
        return json.dumps(whole, separators=spaces).encode()

    scoped = body({name: "global" if name == "scope" else mark[name] for name in names})
    found, plain = enveloped(cloud, scoped), enveloped(cloud, body(mark))
    assert "cache.scope" in found.dropped
    assert json.loads(found.body) == json.loads(plain.body)
    squeezed = [each.body.translate(None, b" \t\r\n") for each in (found, plain)]
    assert squeezed[0] == squeezed[1]


@CLOUDS
def test_a_mark_of_a_scope_alone_is_an_empty_one(cloud):
    """And not a broken document."""
    document, _ = sent(
        cloud, {"system": [{"type": "text", "text": "s", "cache_control": {"scope": 1}}]}
    )
    assert {} == document["system"][0]["cache_control"]


@CLOUDS
@pytest.mark.parametrize(("model", "stays"), [(MODEL, False), (NEW, True), ("arn:aws:x", False)])
def test_eager_tools_are_for_models_that_take_them(cloud, model, stays):
    """Others of Bedrock refuse the word."""
    eager = [tool(eager_input_streaming=True), tool(), tool(eager_input_streaming=False)]
    document, dropped = sent(cloud, {"tools": eager}, "", model)
    assert document["tools"] == (eager if stays else [tool()] * 3)
    assert ({"tools.eager_input_streaming"} if not stays else set()) == dropped


@CLOUDS
@pytest.mark.parametrize("model", [MODEL, NEW])
def test_no_cloud_finds_the_place_for_a_mark(cloud, model):
    """A mark on the whole message is left out; those on its blocks stay."""
    block = {"type": "text", "text": "s", "cache_control": PLAIN}
    document, dropped = sent(cloud, {"cache_control": MARK, "system": [block]}, "", model)
    assert "cache_control" not in document
    assert [block] == document["system"]
    assert "cache_control" in dropped


@CLOUDS
@pytest.mark.parametrize("config", [None, {}, {"effort": "low"}])
def test_an_older_name_of_a_format_becomes_todays(cloud, config):
    """As where a message is translated; whatever stands beside it stays."""
    members = {"output_format": FORMAT}
    if config is not None:
        members["output_config"] = config
    document, dropped = sent(cloud, members)
    assert {"format": FORMAT, **(config or {})} == document["output_config"]
    assert "output_format" not in document
    assert set() == dropped
    document, _ = sent(cloud, {"output_format": FORMAT, "output_config": None})
    assert {"format": FORMAT} == document["output_config"]


@CLOUDS
@pytest.mark.parametrize(
    ("members", "model", "dropped"),
    [
        ({"output_format": FORMAT}, "anthropic.claude-sonnet-4-20250514-v1:0", {"output_format"}),
        ({"output_format": {}, "output_config": {"format": FORMAT}}, MODEL, {"output_format"}),
        ({"output_format": None}, MODEL, set()),
    ],
)
def test_a_format_that_has_no_place_is_named(cloud, members, model, dropped):
    """Of a model that is held to none, and beside one under today's name."""
    document, found = sent(cloud, members, "", model)
    assert dropped == found
    assert "output_format" not in document
    assert members.get("output_config") == document.get("output_config")


@CLOUDS
@pytest.mark.parametrize("model", [MODEL, NEW])
def test_claude_code_has_nothing_in_its_message_that_a_cloud_refuses(cloud, model):
    """Its captured message, with the members that it sends where its settings say so."""
    captured = client_shapes.body_of(client_shapes.CLAUDE_CODE)
    plain = {**captured, "max_tokens": 1_000}
    asked = json.loads(json.dumps(plain).replace('{"type": "ephemeral"}', json.dumps(MARK)))
    assert asked != plain
    asked["tools"] = [{**each, "eager_input_streaming": True} for each in asked["tools"]]
    found = enveloped(cloud, json.dumps(asked).encode(), BETAS, model)
    document = json.loads(found.body)
    assert plain["system"] == document["system"]
    assert plain["messages"] == document["messages"]
    assert (model == NEW) is ("eager_input_streaming" in document["tools"][0])
    assert "cache.scope" in found.dropped


@pytest.mark.parametrize(
    ("model", "takes"),
    [("claude-opus-4-5@20251101", True), ("claude-sonnet-4-5@20250929", False),
     ("claude-opus-4-6", False)],
)  # fmt: skip
def test_an_effort_needs_its_beta_for_one_model_of_vertex(model, takes):
    """Without it Opus 4.5 refuses the effort there; others refuse the beta."""
    found = enveloped(clouds.VERTEX, json.dumps(MESSAGE).encode(), "effort-2025-11-24", model)
    assert ({"anthropic-beta": "effort-2025-11-24"} if takes else {}) == found.headers
    assert takes is not bool(found.dropped)
