"""What steers an answer, as Anthropic is told it, and what is named as left out."""

import dataclasses

import orjson
import pytest

from tests.unit.dialects.anthropic.written import (
    ADAPTIVE,
    BUDGETED,
    HELLO,
    OLD,
    SIGNED,
    TOOL,
    call,
    text,
    write,
)
from tollgate_dialects.conversation.parts import (
    Citation,
    FunctionTool,
    Opaque,
    Origin,
    Seal,
    Text,
    Thinking,
    ToolResult,
)
from tollgate_dialects.conversation.request import OutputFormat, Turn
from tollgate_dialects.conversation.translation import Untranslatable


def test_only_sealed_thinking_is_sent():
    """Anthropic's own blocks go byte for byte; all other thinking goes, and is named."""
    sealed = Opaque(Origin.ANTHROPIC, Seal.ENCRYPTED, "data")
    foreign = Opaque(Origin.OPENAI, Seal.ENCRYPTED, "x")
    parts = (
        Thinking("t", SIGNED),
        Thinking("", sealed),
        Thinking("u"),
        Thinking("v", foreign),
        Text("x"),
    )
    written = write(HELLO, Turn("assistant", parts), HELLO)
    assert [
        {"type": "thinking", "thinking": "t", "signature": "sig=="},
        {"type": "redacted_thinking", "data": "data"},
        text("x"),
    ] == written.document["messages"][1]["content"]
    assert {"thinking"} == written.dropped


def test_at_most_four_marks_are_sent():
    """The last four marks of tools, system and messages stay; that others went is named."""
    system = Turn("system", (Text("s", cache="1h"),))
    result = ToolResult("c", (Text("r", cache="5m"),), cache="5m")
    turns = (
        system,
        HELLO,
        Turn("assistant", (call(cache="5m"),)),
        Turn("user", (result, Text("x", cache="5m"))),
    )
    written = write(*turns, tools=(dataclasses.replace(TOOL, cache="1h"),))
    assert 4 == orjson.dumps(written.document).count(b"cache_control")
    assert "system" in written.document
    assert "cache_control" not in written.document["tools"][0]
    assert {"cache"} == written.dropped


@pytest.mark.parametrize(
    ("model", "members", "expected", "dropped"),
    [
        (
            BUDGETED,
            {"temperature": 1.7, "top_k": 3},
            {"temperature": 1.0, "top_k": 3},
            {"temperature"},
        ),
        (BUDGETED, {"temperature": 0.2, "top_p": 0.5}, {"temperature": 0.2}, {"top_p"}),
        (OLD, {"temperature": 0.2, "top_p": 0.5}, {"temperature": 0.2, "top_p": 0.5}, set()),
        (
            ADAPTIVE,
            {"temperature": 0.2, "top_p": 0.5, "top_k": 1},
            {},
            {"temperature", "top_p", "top_k"},
        ),
        (ADAPTIVE, {"temperature": 1, "top_p": 1}, {}, set()),
    ],
)
def test_sampling_as_far_as_a_model_takes_it(model, members, expected, dropped):
    """Temperature is clamped to 1; newer models take less or nothing; what goes is named."""
    written = write(model=model, **members)
    kept = {k: v for k, v in written.document.items() if k in ("temperature", "top_p", "top_k")}
    assert (expected, dropped) == (kept, written.dropped)


def test_formats():
    """A schema where the model knows of it; else, and for any object, words that are named."""
    wanted = OutputFormat("json_schema", "n", schema={"type": "object"})
    closed = {"type": "object", "additionalProperties": False}
    config = {"format": {"type": "json_schema", "schema": closed}}
    assert config == write(output_format=wanted).document["output_config"]
    told = write(output_format=wanted, model=OLD)
    assert '{"type":"object"}' in told.document["system"]
    assert {"output_format"} == told.dropped
    system = Turn("system", (Text("s"),))
    words = write(system, HELLO, output_format=OutputFormat("json_object"))
    assert text("s") == words.document["system"][0]
    assert {"output_format"} == words.dropped
    assert frozenset() == write(output_format=OutputFormat("text")).dropped


def test_a_schema_is_what_anthropic_holds_an_answer_to():
    """Objects are closed, limits that are refused go and are named, names of members never do."""
    inner = {"type": "object", "properties": {"minimum": {"type": "integer", "minimum": 1}}}
    wanted = {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": inner, "minItems": 3},
            "b": {"anyOf": [{"type": "string", "maxLength": 2}, {"$ref": "#/$defs/c"}]},
            "d": {"type": "object", "additionalProperties": True, "properties": {"e": {}}},
        },
        "$defs": {"c": {"type": "string", "enum": ["x"]}},
    }
    closed = {"type": "object", "additionalProperties": False}
    inner = {**closed, "properties": {"minimum": {"type": "integer"}}}
    written = write(output_format=OutputFormat("json_schema", schema=wanted))
    assert written.document["output_config"]["format"]["schema"] == {
        **closed,
        "properties": {
            "a": {"type": "array", "items": inner, "minItems": 1},
            "b": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/c"}]},
            "d": {**closed, "properties": {"e": {}}},
        },
        "$defs": {"c": {"type": "string", "enum": ["x"]}},
    }
    assert {"output_format.schema"} == written.dropped


def test_the_rest_is_sent_or_named():
    """User, tier, stops, stream; all that Anthropic has no word for is in `dropped`."""
    written = write(
        stream=True, user="u", service_tier="default", stop=("x", " "), seed=0, logprobs=True,
        top_logprobs=2, logit_bias={"1": 2}, frequency_penalty=1.0, presence_penalty=0.0,
        verbosity="low", cache_key="k", metadata={"a": "b"},
        extra={"speed": "standard", "store": True}, origin=Origin.ANTHROPIC, unheld=frozenset(("compaction",)),
    )  # fmt: skip
    expected = {
        "stream": True, "metadata": {"user_id": "u"}, "service_tier": "standard_only",
        "stop_sequences": ["x"], "speed": "standard",
    }  # fmt: skip
    assert written.document.items() >= expected.items()
    assert {
        "seed", "logprobs", "top_logprobs", "logit_bias", "frequency_penalty", "verbosity",
        "cache_key", "metadata", "stop", "store", "compaction",
    } == written.dropped  # fmt: skip
    assert {"service_tier"} == write(service_tier="flex").dropped
    assert {"citations"} == write(Turn("user", (Text("x", (Citation("u"),)),))).dropped
    assert {"name"} == write(Turn("user", (Text("x"),), name="Ann")).dropped


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"choices": 2}, "n"),
        ({"extra": {"previous_response_id": "resp_1"}}, "previous_response_id"),
    ],
)
def test_what_makes_no_sense_without_is_refused(members, param):
    """Several answers and conversations that another vendor keeps."""
    with pytest.raises(Untranslatable) as refusal:
        write(**members)
    assert param == refusal.value.param


OPEN = {"type": "object", "properties": {"m": {"type": "object"}}, "additionalProperties": False}
UNFIT = [
    OPEN,
    {"type": "object", "properties": {"m": {"type": "object", "additionalProperties": {}}}},
    {"type": "object", "properties": {"a": {"$ref": "#"}}},
    {"type": "object", "properties": {"a": {"$ref": "https://x"}}},
    {"type": "object", "properties": {"a": {"not": {"type": "string"}}}},
    {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/a"}},
        "$defs": {
            "a": {"type": "array", "items": {"$ref": "#/$defs/b"}},
            "b": {"type": "array", "items": {"$ref": "#/$defs/a"}},
        },
    },
]


@pytest.mark.parametrize("schema", UNFIT)
def test_a_schema_that_anthropic_refuses_is_told_in_words(schema):
    """Open objects, schemas in themselves: a 400 there; closed, a map could hold nothing."""
    written = write(output_format=OutputFormat("json_schema", schema=schema))
    assert "output_config" not in written.document
    assert "output_format" in written.dropped
    tool = FunctionTool("f", schema=schema, strict=True)
    written = write(tools=(tool,))
    assert [{"name": "f", "input_schema": schema}] == written.document["tools"]
    assert {"tools.strict"} == written.dropped


def test_a_strict_tool_has_a_schema_that_anthropic_takes():
    """OpenAI holds a model to limits that Anthropic refuses: without them, which is named."""
    member = {"type": "integer", "minimum": 1}
    schema = {"type": "object", "properties": {"n": member, "o": {"properties": {"p": member}}}}
    (tool,) = write(tools=(FunctionTool("f", schema=schema, strict=True),)).document["tools"]
    plain = {"type": "integer"}
    inner = {"properties": {"p": plain}, "additionalProperties": False}
    closed = {"type": "object", "additionalProperties": False}
    assert {**closed, "properties": {"n": plain, "o": inner}} == tool["input_schema"]
    assert tool["strict"]
    loose = write(tools=(FunctionTool("f", schema=schema),))
    assert schema == loose.document["tools"][0]["input_schema"]


@pytest.mark.parametrize(
    ("schema", "count"),
    [
        ({"type": "object", "properties": {}}, 20),
        ({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}, 12),
        (
            {
                "type": "object",
                "properties": {"a": {"type": ["string", "null"]}},
                "required": ["a"],
            },
            16,
        ),
    ],
)
def test_no_more_tools_are_strict_than_anthropic_takes(schema, count):
    """Twenty, 24 members that may be left out, 16 of several types: the others are as they are."""
    tools = tuple(FunctionTool(f"f{n}", schema=schema, strict=True) for n in range(30))
    written = write(tools=tools)
    assert count == sum("strict" in tool for tool in written.document["tools"])
    assert "tools.strict" in written.dropped
