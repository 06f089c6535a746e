"""Google's requests in the one form, and back: what is read, written, dropped and refused."""

import json
import struct
import zlib

import orjson
import pytest

from tollgate_dialects.common.refusal import BadRequest, Code
from tollgate_dialects.conversation.parts import FunctionTool, Text
from tollgate_dialects.conversation.request import (
    OutputFormat,
    Reasoning,
    Request,
    ToolChoice,
    Turn,
)
from tollgate_dialects.conversation.translation import Target, Untranslatable
from tollgate_dialects.gemini import spelling
from tollgate_dialects.gemini.dialect import GEMINI
from tollgate_dialects.gemini.translate import schemas
from tollgate_dialects.gemini.translate.translation import TRANSLATION
from tollgate_dialects.request import request as requests
from tollgate_dialects.request.rules import Told

TOLD = Told("gemini-2.5-flash", stream=False)


CONTENTS = [{"role": "user", "parts": [{"text": "Hi"}]}]


def facts(**members):
    body = json.dumps({"contents": CONTENTS, **members}).encode()
    return requests.read(body, GEMINI.request, TOLD)


def part(**members):
    return facts(contents=[{"parts": [members]}])


def refused(read, *arguments, **members) -> tuple[Code, str]:
    with pytest.raises(BadRequest) as caught:
        read(*arguments, **members)
    return caught.value.code, caught.value.param


def png(width, height):
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", head), (b"IDAT", b"\xfb\xef\xbe" * 50), (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_calls_without_ids_are_told_apart():
    """By their number; results belong to the first call of their name that has none."""
    call = {"functionCall": {"name": "f", "args": {"a": 1}}}
    other = {"functionCall": {"name": "g"}}

    def result(name, text):
        return {"functionResponse": {"name": name, "response": {"output": text}}}

    request = TRANSLATION.read_request(
        {
            "contents": [
                {"role": "model", "parts": [call, other, call]},
                {"role": "user", "parts": [result("g", "2"), result("f", "1"), result("f", "3")]},
                {"role": "model", "parts": [call]},
            ]
        }
    )
    first, results, second = request.turns
    assert [part.call_id for part in first.parts] == ["call_1", "call_2", "call_3"]
    assert [(part.call_id, part.name) for part in results.parts] == [
        ("call_2", "g"), ("call_1", "f"), ("call_3", "f"),
    ]  # fmt: skip
    assert second.parts[0].call_id == "call_4"


def test_all_settings_are_read_in_both_spellings():
    """Snake case is read like camelCase."""
    camel = {
        "contents": CONTENTS,
        "systemInstruction": {"parts": [{"text": "Be short."}]},
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "f", "description": "d", "parametersJsonSchema": {"a_b": 1}}
                ]
            }
        ],
        "toolConfig": {
            "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}
        },
        "generationConfig": {
            "maxOutputTokens": 9, "temperature": 0.5, "topP": 0.9, "topK": 40.0,
            "stopSequences": ["x"], "seed": 3, "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"},
            "thinkingConfig": {"thinkingBudget": 100, "includeThoughts": True},
        },
    }  # fmt: skip
    snake = orjson.loads(
        orjson.dumps(camel)
        .replace(b"systemInstruction", b"system_instruction")
        .replace(b"functionDeclarations", b"function_declarations")
        .replace(b"parametersJsonSchema", b"parameters_json_schema")
        .replace(b"toolConfig", b"tool_config")
        .replace(b"functionCallingConfig", b"function_calling_config")
        .replace(b"allowedFunctionNames", b"allowed_function_names")
        .replace(b"generationConfig", b"generation_config")
        .replace(b"maxOutputTokens", b"max_output_tokens")
        .replace(b"topP", b"top_p").replace(b"topK", b"top_k")
        .replace(b"stopSequences", b"stop_sequences")
        .replace(b"responseMimeType", b"response_mime_type")
        .replace(b"responseJsonSchema", b"response_json_schema")
        .replace(b"thinkingConfig", b"thinking_config")
        .replace(b"thinkingBudget", b"thinking_budget")
        .replace(b"includeThoughts", b"include_thoughts")
    )  # fmt: skip
    read = TRANSLATION.read_request(camel)
    assert read == TRANSLATION.read_request(snake)
    assert read.turns[0] == Turn("system", (Text("Be short."),))
    assert read.tools == (FunctionTool("f", "d", {"a_b": 1}),)
    assert read.tool_choice == ToolChoice("required", ("f",))
    assert (read.max_output_tokens, read.top_k, read.seed) == (9, 40, 3)
    assert read.reasoning == Reasoning("on", "", 100, "auto")
    assert read.output_format == OutputFormat("json_schema", schema={"type": "object"})
    assert not read.unheld


def test_googles_schemas_become_json_schema():
    """Types in capitals, counts as texts, `nullable` and order."""
    given = {
        "type": "OBJECT",
        "propertyOrdering": ["a"],
        "properties": {
            "a": {"type": "STRING", "nullable": True, "format": "enum", "enum": ["x"]},
            "type": {"type": "ARRAY", "minItems": "2", "items": {"type": "INTEGER"}},
        },
        "anyOf": [{"type": "NUMBER"}],
    }
    assert schemas.usual(given) == {
        "type": "object",
        "properties": {
            "a": {"type": ["string", "null"], "enum": ["x", None]},
            "type": {"type": "array", "minItems": 2, "items": {"type": "integer"}},
        },
        "anyOf": [{"type": "number"}],
    }


def written(model="gemini-3-pro", limit=1_000, **members):
    turns = members.pop("turns", (Turn("user", (Text("Hi"),)),))
    request = Request(model="m", turns=turns, **members)
    return TRANSLATION.write_request(request, Target(model, limit))


@pytest.mark.parametrize(
    ("asked", "model", "config", "dropped"),
    [
        (Reasoning("off"), "gemini-2.5-flash", {"thinkingBudget": 0}, set()),
        (Reasoning("off"), "gemini-2.5-pro", {"thinkingBudget": 128}, {"reasoning"}),
        (Reasoning("off"), "gemini-3-flash", {"thinkingLevel": "MINIMAL"}, {"reasoning"}),
        (Reasoning("off"), "gemini-2.0-flash", None, set()),
        # kiss-translator#1048: newer ones cannot be told to think next to nothing.
        (Reasoning("off"), "gemini-3.7-flash", {"thinkingLevel": "LOW"}, {"reasoning"}),
        (Reasoning("", "none"), "gemini-3.8-flash", {"thinkingLevel": "LOW"}, {"reasoning"}),
        (
            Reasoning("", "minimal"),
            "gemini-3.7-flash",
            {"thinkingLevel": "LOW"},
            {"reasoning.effort"},
        ),
        (Reasoning("", "minimal"), "gemini-3.6-flash", {"thinkingLevel": "MINIMAL"}, set()),
        (Reasoning("", "high"), "gemini-2.0-flash", None, {"reasoning"}),
        (Reasoning("", "low"), "gemini-3-pro", {"thinkingLevel": "LOW"}, set()),
        (Reasoning("", "medium"), "gemini-3-pro", {"thinkingLevel": "HIGH"}, {"reasoning.effort"}),
        (Reasoning("", "medium"), "gemini-3.1-pro", {"thinkingLevel": "MEDIUM"}, set()),
        (Reasoning("", "max"), "gemini-3-pro", {"thinkingLevel": "HIGH"}, {"reasoning.effort"}),
        (
            Reasoning("on", "", 9_000),
            "gemini-3-pro",
            {"thinkingLevel": "HIGH"},
            {"reasoning.effort"},
        ),
        (Reasoning("on", "", 31_999), "gemini-flash-latest", {"thinkingLevel": "HIGH"}, set()),
        (Reasoning("on", "", 31_999), "gemini-2.5-flash", {"thinkingBudget": 999}, set()),
        (Reasoning("adaptive"), "gemini-2.5-flash", {"thinkingBudget": -1}, set()),
        (Reasoning("", "high"), "gemini-2.5-pro", {"thinkingBudget": 500}, set()),
    ],
)
def test_how_much_to_think_is_said_as_the_model_takes_it(asked, model, config, dropped):
    """Levels from 3 on, budgets before; what has no word is the nearest, and named."""
    found = written(model, reasoning=asked)
    told = found.document["generationConfig"].get("thinkingConfig")
    if config is not None and asked.mode != "off" and asked.effort != "none":
        config = {**config, "includeThoughts": True}
    assert told == config
    assert found.dropped == dropped


def test_no_model_is_asked_for_pictures():
    """One that draws would answer with some, at a price that nobody has set aside."""
    config = written().document["generationConfig"]
    assert config == {"responseModalities": ["TEXT"], "maxOutputTokens": 1_000}


def test_older_models_are_not_held_to_json_beside_functions():
    """They refuse it: words say it, and are named."""
    tools = (FunctionTool("f"),)
    wanted = OutputFormat("json_schema", schema={"type": "object"})
    old = written("gemini-2.5-flash", tools=tools, output_format=wanted)
    assert "responseMimeType" not in old.document["generationConfig"]
    assert "valid under this schema" in old.document["systemInstruction"]["parts"][0]["text"]
    assert "output_format" in old.dropped
    new = written("gemini-3-flash", tools=tools, output_format=wanted)
    assert new.document["generationConfig"]["responseJsonSchema"] == {"type": "object"}


def test_schemas_hold_what_google_takes():
    """The nearest limits stay; what is left out is named."""
    schema = {
        "$schema": "x",
        "type": "object",
        "properties": {
            "const": {"const": 5},
            "n": {"type": "integer", "exclusiveMinimum": 0, "not": {}},
        },
        "propertyNames": {"pattern": "a"},
        "required": ["n"],
    }
    found = written(tools=(FunctionTool("f", schema=schema, strict=True),))
    function = found.document["tools"][0]["functionDeclarations"][0]
    assert function["parametersJsonSchema"] == {
        "type": "object",
        "properties": {"const": {"enum": [5]}, "n": {"type": "integer", "minimum": 0}},
        "required": ["n"],
    }
    assert {"tools.schema", "tools.strict"} <= found.dropped


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"$ref": "#/$defs/A", "description": "d", "default": {}}, {"$ref": "#/$defs/A"}),
        ({"enum": ["", "a", None, True, 2]}, {"enum": ["a", 2]}),
        ({"const": True}, {"type": "boolean"}),
        ({"enum": [None], "type": "null"}, {"type": "null"}),
        ({"enum": [""]}, {"type": "string"}),
        ({"enum": [False, None], "title": "t"}, {"title": "t"}),
    ],
)
def test_references_and_enumerations_as_google_takes_them(given, sent):
    """Beside a reference nothing but `$` names; in a list texts and numbers (else a 400)."""
    schema = {"type": "object", "properties": {"a": given}, "$defs": {"A": {"type": "object"}}}
    found = written(tools=(FunctionTool("f", schema=schema),))
    function = found.document["tools"][0]["functionDeclarations"][0]
    assert function["parametersJsonSchema"]["properties"]["a"] == sent
    assert "tools.schema" in found.dropped


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("required", ("f",)), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (ToolChoice("auto", ("f",)), {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
    ],
)
def test_choices_of_tools(choice, config):
    """Each has its mode."""
    found = written(tools=(FunctionTool("f"), FunctionTool("g")), tool_choice=choice)
    assert found.document["toolConfig"] == {"functionCallingConfig": config}


def test_what_makes_no_sense_is_refused():
    """Several answers, what others keep, a forced tool that is not there, nothing to say."""
    for members in (
        {"choices": 2},
        {"extra": {"previous_response_id": "x"}},
        {"tool_choice": ToolChoice("required")},
        {"turns": ()},
    ):
        with pytest.raises(Untranslatable):
            written(**members)


@pytest.mark.timeout(20)
def test_many_small_parts_take_time_in_proportion():
    """Pieces of a stream kept one by one, and calls with their results."""
    count = 20_000
    said = [{"text": "x" * 100} for _ in range(count)]
    said += [{"text": "y" * 100, "thought": True} for _ in range(count)]
    read = TRANSLATION.read_request({"contents": [{"role": "model", "parts": said}]})
    assert [len(one.text) for one in read.turns[0].parts] == [100 * count, 100 * count]
    calls = [{"functionCall": {"name": "f"}} for _ in range(count)]
    results = [{"functionResponse": {"name": "f", "response": {}}} for _ in range(count)]
    contents = [{"role": "model", "parts": calls}, {"role": "user", "parts": results}]
    read = TRANSLATION.read_request({"contents": contents})
    sent = TRANSLATION.write_request(read, Target("gemini-3-pro", 9)).document["contents"]
    assert [len(content["parts"]) for content in sent] == [1, count, count]


def test_the_spelling_that_is_there_is_found():
    """One of the two, camelCase where there is neither; both are refused."""
    assert spelling.used({}, "topK") == "topK"
    assert spelling.used({"top_k": 1}, "topK") == "top_k"
    assert refused(spelling.used, {"top_k": 1, "topK": 1}, "topK")[0] is Code.AMBIGUOUS_KEY


def test_a_result_with_an_id_leaves_the_other_calls_waiting():
    """The next one without belongs to the first call that has none."""
    calls = [{"functionCall": {"name": "f", "id": one}} for one in ("a", "b", "c")]
    results = [{"name": "f", "id": "a"}, {"name": "f"}, {"name": "f"}, {"name": "f"}]
    request = TRANSLATION.read_request(
        {
            "contents": [
                {"role": "model", "parts": calls},
                {"role": "user", "parts": [{"functionResponse": one} for one in results]},
            ]
        }
    )
    assert [one.call_id for one in request.turns[1].parts] == ["a", "b", "c", "call_f"]
