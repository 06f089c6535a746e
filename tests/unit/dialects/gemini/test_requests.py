"""What a call may ask for, what it can make Google read, and what of it goes on."""

import base64
import json
import struct
import zlib

import orjson
import pytest

from tollgate_dialects.common.refusal import BadRequest, Code
from tollgate_dialects.conversation.parts import FunctionTool, Text, ToolCall, ToolResult
from tollgate_dialects.conversation.request import (
    OutputFormat,
    Reasoning,
    Request,
    ToolChoice,
    Turn,
)
from tollgate_dialects.conversation.translation import Target, Untranslatable
from tollgate_dialects.dialect import Asked
from tollgate_dialects.gemini import spelling
from tollgate_dialects.gemini.content import PICTURE_TOKENS
from tollgate_dialects.gemini.dialect import GEMINI
from tollgate_dialects.gemini.translate import schemas
from tollgate_dialects.gemini.translate.translation import TRANSLATION
from tollgate_dialects.request import request as requests
from tollgate_dialects.request.rewrite import upstream_body
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


@pytest.mark.parametrize(
    "tool",
    [
        "googleSearch", "google_search", "codeExecution", "code_execution", "urlContext",
        "fileSearch", "googleMaps", "computerUse", "retrieval", "googleSearchRetrieval",
        "enterpriseWebSearch", "mcpServers", "whateverComes",
    ],
)  # fmt: skip
def test_tools_that_run_at_google_are_refused(tool):
    """Each is billed by the call, or reads what nobody has bounded."""
    assert refused(facts, tools=[{tool: {}}]) == (Code.UNSUPPORTED_PARAMETER, "tools")
    declared = {"functionDeclarations": [{"name": "f"}], tool: {}}
    assert refused(facts, tools=[declared]) == (Code.UNSUPPORTED_PARAMETER, "tools")
    facts(tools=[{"function_declarations": [{"name": "f"}]}])


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("cachedContent", "cachedContents/x"),
        ("cached_content", "cachedContents/x"),
        ("serviceTier", "priority"),
        ("service_tier", "flex"),
        ("store", True),
        ("modelArmorConfig", {}),
        ("max_tokens", 5),
        ("messages", []),
        ("webhookConfig", {}),
    ],
)
def test_what_has_no_price_is_refused(member, value):
    """At the top: storage, other tiers, and whatever is not known."""
    code, _ = refused(facts, **{member: value})
    assert code in (Code.UNSUPPORTED_PARAMETER, Code.AMBIGUOUS_KEY)


@pytest.mark.parametrize(
    "config",
    [
        {"candidateCount": 2},
        {"candidate_count": 2},
        {"candidateCount": True},
        {"responseModalities": ["TEXT", "IMAGE"]},
        {"response_modalities": ["AUDIO"]},
        {"speechConfig": {}},
        {"routingConfig": {}},
        {"modelSelectionConfig": {}},
        {"imageConfig": {}},
        {"newThing": 1},
    ],
)
def test_settings_that_cost_more_are_refused(config):
    """In generationConfig, in either spelling of either name."""
    for name in ("generationConfig", "generation_config"):
        assert refused(facts, **{name: config})[0] is Code.UNSUPPORTED_PARAMETER


@pytest.mark.parametrize(
    "members",
    [
        {"systemInstruction": {"parts": []}, "system_instruction": {"parts": []}},
        {"generationConfig": {}, "generation_config": {}},
        {"generationConfig": {"maxOutputTokens": 5, "max_output_tokens": 50_000}},
        {"contents": [{"parts": [{"inlineData": {}, "inline_data": {}}]}]},
        {"tools": [{"functionDeclarations": [], "function_declarations": []}]},
    ],
)
def test_two_spellings_of_one_thing_are_refused(members):
    """Nobody can say which one Google goes by."""
    assert refused(facts, **members)[0] is Code.AMBIGUOUS_KEY


def test_the_same_key_twice_is_refused():
    """The reader and Google could find different members."""
    body = b'{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"topK":1,"topK":2}}'
    with pytest.raises(BadRequest) as caught:
        requests.read(body, GEMINI.request, TOLD)
    assert caught.value.code is Code.DUPLICATE_KEY


@pytest.mark.parametrize("limit", ["9", 1.5, True, 0, -1, 10**20, [9]])
def test_a_limit_is_a_whole_number(limit):
    """Google reads numbers from texts, too: another number than the one that is bounded."""
    code, _ = refused(facts, generationConfig={"maxOutputTokens": limit})
    assert code in (Code.INVALID_TYPE, Code.INVALID_VALUE)


@pytest.mark.parametrize(
    ("members", "limit"),
    [
        ({}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"topK": 1}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": None}, "generationConfig.maxOutputTokens"),
        ({"generation_config": {"top_k": 1}}, "generation_config.maxOutputTokens"),
        ({"generationConfig": {"max_output_tokens": 7}}, "generationConfig.max_output_tokens"),
        ({"generationConfig": {"maxOutputTokens": None}}, "generationConfig.maxOutputTokens"),
        ({"generation_config": {"maxOutputTokens": 7}}, "generation_config.maxOutputTokens"),
    ],
)
def test_the_limit_is_set_where_the_client_has_it(members, limit):
    """In its spelling, with all else as it was."""
    body = orjson.dumps({"contents": CONTENTS, **members})
    asked = requests.read(body, GEMINI.request, TOLD)
    sent = upstream_body(
        body, GEMINI.request, asked=asked, model="other-name", max_output_tokens=99
    )
    top, name = limit.split(".")
    before = {key: value for key, value in (members.get(top) or {}).items() if key != name}
    written = orjson.loads(sent)
    assert written == {"contents": CONTENTS, **members, top: {**before, name: 99}}
    assert requests.read(sent, GEMINI.request, TOLD).max_output_tokens == 99


def test_the_body_does_not_say_the_model():
    """The path does: a name in the body is left out, wherever it stands."""
    for members in ({"model": "models/x", "contents": CONTENTS},
                    {"contents": CONTENTS, "model": "models/x"}):  # fmt: skip
        body = orjson.dumps(members)
        asked = requests.read(body, GEMINI.request, TOLD)
        assert asked.model == "gemini-2.5-flash"
        sent = upstream_body(body, GEMINI.request, asked=asked, model="m", max_output_tokens=None)
        assert orjson.loads(sent) == {"contents": CONTENTS}


@pytest.mark.parametrize(
    ("base", "model", "stream", "below"),
    [
        ("/v1beta", "gemini-2.5-flash", False, "/models/gemini-2.5-flash:generateContent"),
        ("", "models/m", True, "/v1beta/models/m:streamGenerateContent?alt=sse"),
        ("/v1/publishers/google", "m", False, "/models/m:generateContent"),
        ("/v1beta", "a/b:c?d#é", False, "/models/a%2Fb%3Ac%3Fd%23%C3%A9:generateContent"),
    ],
)
def test_the_path_names_model_and_verb(base, model, stream, below):
    """AI Studio's base URL, none at all, and a publisher's at Vertex."""
    assert GEMINI.endpoint.path_below(base, Asked(model, stream)) == below


def test_pictures_count_by_their_pixels():
    """In both alphabets of base64, padded or not; another header counts as the dearest."""
    data = png(3_000, 2_000)
    plain = part(text="x").input_token_bound
    for encoded in (
        base64.b64encode(data).decode(),
        base64.urlsafe_b64encode(data).decode().rstrip("="),
    ):
        found = part(inlineData={"mimeType": "image/png", "data": encoded})
        assert not found.unbounded_input
        assert plain < found.input_token_bound < plain + PICTURE_TOKENS + 100
    odd = part(inline_data={"mime_type": "image/heic", "data": "AAAA"})
    assert odd.input_token_bound > 50_000
    strip = base64.b64encode(png(7_680, 768)).decode()
    found = part(inlineData={"mimeType": "image/png", "data": strip})
    assert found.input_token_bound > plain + 30 * 258
    assert part(inlineData={"mimeType": "image/svg+xml", "data": "AAAA"}).unbounded_input


@pytest.mark.parametrize(
    ("kind", "is_bounded"),
    [("text/csv", True), ("application/json", True), ("application/pdf", False)],
)
def test_files_are_bounded_by_their_bytes_or_not(kind, is_bounded):
    """A text is no more tokens than bytes; of a PDF's pages nobody knows how many there are."""
    found = part(inlineData={"mimeType": kind, "data": base64.b64encode(b"a,b").decode()})
    assert found.unbounded_input is not is_bounded
    result = {
        "name": "f",
        "response": {},
        "parts": [{"inlineData": {"mimeType": kind, "data": ""}}],
    }
    assert part(functionResponse=result).unbounded_input is not is_bounded


@pytest.mark.parametrize(
    "members",
    [
        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
        {"inlineData": {"mimeType": "AUDIO/wav", "data": "AAAA"}},
        {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}},
        {"inlineData": {"mimeType": "application/octet-stream", "data": "AAAA"}},
        {"fileData": {"mimeType": "video/mp4", "fileUri": "https://example.com/a.mp4"}},
        {"fileData": {"mimeType": "image/png", "fileUri": "gs://bucket/a.png"}},
        {"fileData": {"mimeType": "image/png", "fileUri": "https://youtu.be/x"}},
        {"fileData": {"mimeType": "image/png", "fileUri": "https://www.YouTube.com./watch?v=x"}},
        {
            "fileData": {
                "mimeType": "application/pdf",
                "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc",
            }
        },
        {"text": "x", "videoMetadata": {}},
        {"toolCall": {}},
        {"newThing": {}},
        {"functionResponse": {"name": "f", "parts": [{"newThing": {}}]}},
        {"functionResponse": {"name": "f", "newThing": 1}},
    ],
)
def test_what_is_dearer_than_text_is_refused(members):
    """Sound and film have prices of their own; stored files are other clients'."""
    assert refused(part, **members)[0] is Code.UNSUPPORTED_PARAMETER


@pytest.mark.parametrize(
    "contents",
    [None, [], "Hi", {}, [1], [{"parts": 1}], [{"parts": [1]}], [{"parts": [{"text": 1}]}],
     [{"parts": [{"inlineData": 1}]}], [{"parts": [{"inlineData": {"mimeType": "text/x"}}]}],
     [{"parts": [{"fileData": {"mimeType": "image/png", "fileUri": "https://[::1"}}]}]],
)  # fmt: skip
def test_odd_contents_are_refused(contents):
    """With a word, never with a crash."""
    assert refused(facts, contents=contents)[0] in (
        Code.MISSING_PARAMETER, Code.INVALID_TYPE, Code.UNSUPPORTED_PARAMETER,
    )  # fmt: skip


def test_an_address_is_unbounded():
    """What stands there, its host decides."""
    file = {"mimeType": "image/png", "fileUri": "https://example.com/a.png"}
    assert part(fileData=file).unbounded_input


def test_counting_is_about_right():
    """In the middle of what Google counts for such a text."""
    counted = requests.count(
        orjson.dumps({"contents": [{"parts": [{"text": "word " * 500}]}]}), GEMINI.request, TOLD
    )
    assert counted.model == "gemini-2.5-flash"
    assert 400 < counted.input_tokens < 700
    whole = {"generateContentRequest": {"model": "models/x", "contents": CONTENTS}}
    assert requests.count(orjson.dumps(whole), GEMINI.request, TOLD).input_tokens > 0
    assert refused(facts, **whole)[0] is Code.UNSUPPORTED_PARAMETER


# ---- read ----


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


# ---- written ----


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
    if config is not None and asked.mode != "off":
        config = {**config, "includeThoughts": True}
    assert told == config
    assert found.dropped == dropped


def test_no_model_is_asked_for_pictures():
    """One that draws would answer with some, at a price that nobody has set aside."""
    config = written().document["generationConfig"]
    assert config == {"responseModalities": ["TEXT"], "maxOutputTokens": 1_000}


def test_results_stand_first_and_under_their_names():
    """In the order of the calls, whatever order they were given in."""
    turns = (
        Turn("user", (Text("Go."),)),
        Turn("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "g", "[1]"))),
        Turn(
            "user",
            (
                Text("Here."),
                ToolResult("b", (Text("no"),), is_error=True),
                ToolResult("a", (Text('{"x":1}'),)),
            ),
        ),
    )
    contents = written("gemini-2.5-flash", turns=turns).document["contents"]
    assert contents[1]["parts"][1]["functionCall"]["args"] == {"arguments": "[1]"}
    assert contents[2]["parts"] == [
        {"functionResponse": {"id": "a", "name": "f", "response": {"x": 1}}},
        {"functionResponse": {"id": "b", "name": "g", "response": {"error": "no"}}},
        {"text": "Here."},
    ]


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
    ids = [[next(iter(part.values()))["id"] for part in content["parts"]] for content in sent]
    assert ids[0] == ids[1]


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
