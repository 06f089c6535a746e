"""A close bound leaves out what no model reads, and nothing of what one does."""

import unicodedata

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.request.test_close_bound import (
    CHAT,
    MESSAGES,
    RESPONSES,
    WORDS,
    chat,
    close,
    thought,
    user,
)
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.tokens import vocabulary

GEMINI, GEMINI_MODEL = Protocol.GEMINI, "gemini-3-pro-preview"
# What a declaration would say to the vendor's own checks alone.
LEFT_OUT = ("required", "strict", "additionalProperties", "type", "tools", "schema", "id", "name")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2**53) | WORDS | st.just("function"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
NAMED = st.dictionaries(st.sampled_from(LEFT_OUT), JSON, max_size=5)


def called(arguments):
    """Each way in which a client says what a call was made with, or what came of it."""
    use = {"type": "tool_use", "id": "t", "name": "f", "input": arguments}
    shell = {"type": "local_shell_call", "call_id": "c", "action": arguments}
    search = {"type": "tool_search_call", "call_id": "c", "arguments": arguments}
    result = {"functionResponse": {"name": "f", "response": arguments}}
    return (
        (MESSAGES, "gpt-5", chat({"role": "assistant", "content": [use]}, max_tokens=9)),
        (MESSAGES, GEMINI_MODEL, chat({"role": "assistant", "content": [use]}, max_tokens=9)),
        (RESPONSES, "gpt-5", {"model": "m", "input": [user("hi"), shell]}),
        (RESPONSES, "gpt-5", {"model": "m", "input": [user("hi"), search]}),
        (GEMINI, GEMINI_MODEL, {"contents": [{"parts": [{"functionCall": {"args": arguments}}]}]}),
        (GEMINI, GEMINI_MODEL, {"contents": [{"parts": [result]}]}),
    )


def declared(schema):
    """Each way in which a client declares a schema."""
    function = {"name": "f", "parameters": schema}
    tool = {"type": "function", **function}
    form = {"type": "json_schema", "name": "n", "schema": schema}
    asked = {"model": "m", "input": [user("hi")]}
    later = {"type": "tool_search_output", "call_id": "c", "tools": [tool]}
    contents = {"contents": [{"parts": [{"text": "hi"}]}]}
    named = [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": schema}]}]
    return (
        (CHAT, "gpt-5", chat(user("hi"), tools=[{"type": "function", "function": function}])),
        (CHAT, "gpt-5", chat(user("hi"), functions=[function])),
        (CHAT, "gpt-5", chat(user("hi"), response_format={"type": "json_schema",
                                                          "json_schema": form})),
        (RESPONSES, "gpt-5", asked | {"tools": [tool]}),
        (RESPONSES, "gpt-5", asked | {"text": {"format": form}}),
        (RESPONSES, "gpt-5", asked | {"input": [user("hi"), later]}),
        (GEMINI, GEMINI_MODEL, contents | {"tools": named}),
        (GEMINI, GEMINI_MODEL, contents | {"generationConfig": {"responseJsonSchema": schema}}),
    )  # fmt: skip


def whole(value):
    return vocabulary.o200k(orjson.dumps(value).decode())


@given(NAMED)
def test_what_a_call_was_made_with_is_counted_whole(arguments):
    """Whatever names stand in it: arguments and results are the model's own words."""
    for protocol, model, document in called(arguments):
        assert whole(arguments) <= close(protocol, model, document), (protocol, model)


@given(NAMED)
def test_a_value_within_a_schema_is_counted_whole(value):
    """A default, a constant, one of some, an example: nothing in them is the schema's own."""
    for place in ("default", "const", "enum", "examples"):
        schema = {"type": "object", "properties": {"x": {place: [value] * 20}}}
        for protocol, model, document in declared(schema):
            assert whole(schema) <= close(protocol, model, document), (place, protocol)


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_property_may_have_any_name(name):
    """What is said of one called `strict` or `required` is said to the model."""
    said = "Every call has a price before it is made. " * 100
    schema = {"type": "object", "properties": {name: {"type": "string", "description": said}}}
    for protocol, model, document in declared(schema):
        assert whole(schema) <= close(protocol, model, document)


def test_required_is_left_out_where_it_says_nothing_new():
    """Once each, the names of properties beside it: all else that stands there is counted."""
    properties = {"a": {"type": "string"}, "b": {"type": "string"}}
    schema = {"type": "object", "properties": properties}
    lean = schema | {"required": ["b", "a"], "additionalProperties": False}
    odd = (["c" * 900], ["a"] * 900, [None] * 900, [{"a": "b " * 900}])
    for at, (protocol, model, document) in enumerate(declared(lean)):
        said = close(protocol, model, document)
        assert said == close(*declared(schema)[at])
        for required in odd:
            more = close(*declared(schema | {"required": required})[at])
            assert more >= said + 100


@pytest.mark.parametrize(
    "kind", ["function_call_output", "reasoning", "compaction", "message", None]
)
def test_only_a_message_is_the_users_word(kind):
    """A call's result that says it is the user's makes no vendor forget this turn's thinking."""
    item = {"type": kind, "role": "user", "call_id": "c", "output": "x", "content": "y"}
    items = [user("hi"), thought(), item]
    is_read = close(RESPONSES, "gpt-5", {"model": "m", "input": items}) > 690
    assert is_read is (kind not in ("message", None))


GROWING = st.text(
    st.sampled_from("\ufdfa\ufb2c\u0958\u00bd\u3300\u2026\uff01\u0301\u0323a网"), max_size=60
)


@given(GROWING)
def test_a_text_is_no_less_than_what_a_vendor_may_make_of_it(text):
    """Claude's and Qwen's vocabularies read a text in NFKC or NFC: one character may be eighteen."""
    for model in ("claude-sonnet-4-5", "deepseek-chat"):
        said = close(MESSAGES, model, chat(user(text), max_tokens=9))
        for form in ("NFC", "NFKC"):
            normal = unicodedata.normalize(form, text)
            assert close(MESSAGES, model, chat(user(normal), max_tokens=9)) <= said


def test_a_long_text_is_normalised_in_pieces():
    """All of it; and marks that are out of order take time that grows with their number."""
    for text in ("\ufdfa" * 9_000, "a" + "\u0301\u0323" * 200_000):
        assert vocabulary.dearest(text) >= vocabulary.dearest(text[:9_000])
    whole_form = unicodedata.normalize("NFKC", "\ufdfa" * 9_000)
    assert vocabulary.dearest("\ufdfa" * 9_000) >= vocabulary.dearest(whole_form)
