"""What a call may ask for, what it can make Google read, and what of it goes on."""

import base64
import json
import struct
import time
import zlib

import orjson
import pytest

from tollgate_dialects.common.refusal import BadRequest, Code
from tollgate_dialects.dialect import Asked
from tollgate_dialects.gemini.content import PICTURE_TOKENS
from tollgate_dialects.gemini.dialect import GEMINI
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


@pytest.mark.parametrize("name", ["_" * 60_000, "a" + "_" * 60_000 + "-", "_a" * 30_000])
def test_a_long_name_costs_no_time(name):
    """A name is as long as its client likes: reading it takes a time like its length."""
    begun = time.process_time()
    with pytest.raises(BadRequest):
        facts(contents=[{"role": "user", "parts": [{"text": "x"}], name: 1}])
    facts(contents=[{"parts": [{"functionResponse": {"name": "f", "response": {name: 1}}}]}])
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize("place", ["contents", "systemInstruction"])
def test_a_content_has_a_role_and_parts_and_no_more(place):
    """Beside them Google knows nothing, and nobody has bounded what is there."""
    content = {"role": "user", "parts": [{"text": "x"}]}
    facts(**{place: [content] if place == "contents" else content})
    odd = {**content, "newThing": "y"}
    given = {place: [odd] if place == "contents" else odd}
    assert refused(facts, **given) == (Code.UNSUPPORTED_PARAMETER, "newThing")


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


def test_tokens_that_a_client_picks_for_a_picture_are_unbounded():
    """A level is one of Google's own; it may also be a number of tokens."""
    blob = {"mimeType": "image/png", "data": "AAAA"}
    for resolution, unbounded in (
        ({"level": "MEDIA_RESOLUTION_LOW"}, False),
        ({"numTokens": 9}, True),
    ):
        found = part(inlineData=blob, mediaResolution=resolution)
        assert unbounded == found.unbounded_input


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
