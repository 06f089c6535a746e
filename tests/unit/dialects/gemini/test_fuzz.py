"""Whatever comes in: only what is documented goes out."""

import contextlib
import json

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.dialects.gemini import sdk
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.anthropic.dialect import ANTHROPIC_MESSAGES
from tollgate_dialects.common import sse
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.conversation.machine import IllegalEventError, Machine, events_of
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.conversation.translation import Target, Untranslatable
from tollgate_dialects.gemini.dialect import GEMINI
from tollgate_dialects.gemini.translate.translation import TRANSLATION
from tollgate_dialects.openai_chat.dialect import OPENAI_CHAT
from tollgate_dialects.openai_responses.dialect import OPENAI_RESPONSES
from tollgate_dialects.pricing.usage import NOTHING
from tollgate_dialects.request import request as requests
from tollgate_dialects.request.rewrite import upstream_body
from tollgate_dialects.request.rules import Told

TOLD = Told("gemini-3-pro", stream=True)
WORDS = st.sampled_from(
    ["user", "model", "system", "function", "tool", "a", "", "image/png", "application/pdf",
     "text/plain", "QQ==", "QQ", "-_-_", "dGcxOnRleHQ6", "AUTO", "ANY", "NONE", "STOP", "SAFETY",
     "MAX_TOKENS", "STRING", "OBJECT", "application/json", "text/x.enum", "HIGH", "$.a", "$.b[0]",
     "https://example.com/a.png", "{}", "[1]", '{"a":1}', "skip_thought_signature_validator"]
)  # fmt: skip
NAMES = st.sampled_from(
    ["text", "thought", "thoughtSignature", "thought_signature", "functionCall", "function_call",
     "functionResponse", "inlineData", "inline_data", "fileData", "mimeType", "mime_type", "data",
     "fileUri", "name", "id", "args", "response", "parts", "role", "partialArgs", "willContinue",
     "jsonPath", "stringValue", "numberValue", "type", "properties", "items", "anyOf", "enum",
     "nullable", "const", "exclusiveMinimum", "mode", "allowedFunctionNames", "thinkingBudget",
     "thinkingLevel", "includeThoughts", "maxOutputTokens", "max_output_tokens", "topK",
     "functionDeclarations", "parameters", "parametersJsonSchema", "functionCallingConfig",
     "finishReason", "content", "index", "executableCode"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers(-9, 9_999) | st.floats(allow_nan=False) | WORDS
JSON = st.recursive(
    SCALARS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
CALLS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(("f", "g h", "")),
        "id": st.sampled_from(("a", "b", "")),
        "args": st.dictionaries(NAMES, JSON, max_size=2),
        "willContinue": st.booleans(),
        "partialArgs": st.lists(
            st.fixed_dictionaries(
                {"jsonPath": st.sampled_from(("$.a", "$.a[0]", "$.b[0].c", "$.b[1].c", "$"))},
                optional={"stringValue": st.text(max_size=3), "numberValue": st.integers(0, 9)},
            ),
            max_size=2,
        ),
    },
)
BLOBS = st.fixed_dictionaries({"mimeType": WORDS, "data": WORDS})
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "text": st.text(max_size=4),
        "thought": st.booleans(),
        "thoughtSignature": WORDS,
        "functionCall": CALLS,
        "functionResponse": st.fixed_dictionaries(
            {"name": st.sampled_from(("f", "g h", ""))},
            optional={
                "id": st.sampled_from(("a", "b")),
                "response": st.dictionaries(
                    st.sampled_from(("output", "error", "x")), WORDS | JSON, max_size=2
                ),
                "parts": st.lists(st.fixed_dictionaries({"inlineData": BLOBS}), max_size=1),
            },
        ),
        "inlineData": BLOBS,
    },
)
CONTENTS = st.lists(
    st.fixed_dictionaries(
        {"parts": st.lists(PARTS | JSON, max_size=4)},
        optional={"role": st.sampled_from(("user", "model", "function", "x"))},
    )
    | JSON,
    max_size=5,
)
MEMBERS = st.dictionaries(
    st.sampled_from(
        ("systemInstruction", "system_instruction", "tools", "toolConfig", "generationConfig",
         "generation_config", "safetySettings", "labels", "model", "cachedContent", "other")
    ),
    JSON,
    max_size=4,
)  # fmt: skip
TARGETS = (
    (TRANSLATION, "gemini-3-pro"),
    (TRANSLATION, "gemini-2.5-flash"),
    (OPENAI_CHAT.translation, "qwen3"),
    (OPENAI_RESPONSES.translation, "gpt-5"),
    (ANTHROPIC_MESSAGES.translation, "claude-sonnet-4-5"),
)


@settings(max_examples=200, deadline=None)
@given(MEMBERS, CONTENTS, st.sampled_from(TARGETS))
def test_requests_are_read_or_refused(members, contents, target):
    """A reader gives a request or BadRequest, a writer a printable document or Untranslatable."""
    document = {**members, "contents": contents}
    translation, model = target
    with contextlib.suppress(BadRequest, Untranslatable):
        request = TRANSLATION.read_request(document)
        written = translation.write_request(request, Target(model, 100))
        assert orjson.dumps(written.document)


@settings(max_examples=200, deadline=None)
@given(MEMBERS, CONTENTS, st.integers(1, 99))
def test_bodies_are_bounded_or_refused(members, contents, limit):
    """The strict reader gives facts or BadRequest; a rewrite sets the limit and nothing else."""
    body = orjson.dumps({"contents": contents, **members})
    try:
        facts = requests.read(body, GEMINI.request, TOLD)
    except BadRequest:
        return
    sent = upstream_body(body, GEMINI.request, asked=facts, model="m", max_output_tokens=limit)
    again = requests.read(sent, GEMINI.request, TOLD)
    assert again.max_output_tokens == limit
    assert "model" not in orjson.loads(sent)


def test_a_text_document_in_a_result_is_among_its_words():
    """The parts of a function's response hold bytes and files; Google refuses a text there."""
    blob = {"mimeType": "text/plain", "data": "QQ=="}
    result = {"name": "f", "response": {"output": "one"}, "parts": [{"inlineData": blob}]}
    request = TRANSLATION.read_request({"contents": [{"parts": [{"functionResponse": result}]}]})
    document = TRANSLATION.write_request(request, Target("gemini-3-pro", None)).document
    (part,) = document["contents"][0]["parts"]
    assert {"name": "f", "response": {"output": "one\nA"}} == part["functionResponse"]


@settings(max_examples=100, deadline=None)
@given(CONTENTS)
def test_what_is_written_once_is_written_again(contents):
    """Contents that went through the one form go through it unchanged."""
    try:
        request = TRANSLATION.read_request({"contents": contents})
        first = TRANSLATION.write_request(request, Target("gemini-3-pro", None)).document
        again = TRANSLATION.read_request(orjson.loads(orjson.dumps(first)))
        second = TRANSLATION.write_request(again, Target("gemini-3-pro", None)).document
    except (BadRequest, Untranslatable):
        return
    assert first == second


CHUNKS = st.fixed_dictionaries(
    {},
    optional={
        "candidates": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "content": st.fixed_dictionaries(
                        {}, optional={"parts": st.lists(PARTS, max_size=3)}
                    ),
                    "index": st.integers(0, 1),
                    "finishReason": st.sampled_from(("", "STOP", "SAFETY", "MAX_TOKENS")),
                },
            ),
            max_size=2,
        ),
        "promptFeedback": st.fixed_dictionaries({}, optional={"blockReason": WORDS}),
        "usageMetadata": st.dictionaries(
            st.sampled_from(("promptTokenCount", "candidatesTokenCount", "totalTokenCount")),
            st.integers(-1, 99) | JSON,
        ),
        "responseId": WORDS,
    },
)
LAST = {"candidates": [{"finishReason": "STOP"}]}


@settings(max_examples=200, deadline=None)
@given(st.lists(CHUNKS | JSON, max_size=12))
def test_streams_are_legal_whatever_comes(documents):
    """A reader tells legal events or says that it cannot; a writer's chunks are the SDK's."""
    reader, machine = TRANSLATION.event_reader(), Machine()
    writer = TRANSLATION.event_writer(sdk.context())
    out = b""
    for document in [*documents, LAST]:
        try:
            data = orjson.dumps(document)
            events = reader.read(sse.Event(b"", data, is_simple=True, is_event=True))
        except (ValueError, KeyError, TypeError, IllegalEventError):
            return
        for event in events:
            machine.check(event)
            out += writer.write(event, None)
    for event in reader.close():
        machine.check(event)
        out += writer.write(event, None)
    assert machine.finished
    answer = machine.answer()
    whole = TRANSLATION.write_answer(answer, NOTHING, sdk.context())
    assert sdk.gist(*sdk.chunks(out)) == sdk.gist(whole)
    again = TRANSLATION.event_writer(sdk.context())
    pieces = b"".join(again.write(event, NOTHING) for event in events_of(answer))
    assert sdk.gist(*sdk.chunks(pieces)) == sdk.gist(whole)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.binary(max_size=40)
        | st.builds(lambda one: b"data: %b\n\n" % orjson.dumps(one), CHUNKS | JSON)
        | st.builds(lambda one: b"data: %b\r\n\r\n" % json.dumps(one).encode(), CHUNKS),
        max_size=12,
    ),
    st.sampled_from((OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES, GEMINI)),
)
def test_hostile_streams_end_in_order(pieces, client):
    """Any bytes: the meter and the translator give whole frames or an error, and never crash."""
    meter = StreamMeter(GEMINI.answer)
    translator = StreamTranslator(
        TRANSLATION.event_reader(), client.translation.event_writer(sdk.context())
    )
    passed = [meter.feed(piece) for piece in pieces]
    passed.append(meter.finish())
    with contextlib.suppress(IllegalEventError):
        for frames in passed:
            translator.feed(frames, meter.usage)
        if meter.finished:
            assert translator.finished
    body = BodyMeter(GEMINI.answer)
    for piece in pieces:
        body.feed(piece)
    if told := body.finish():
        with contextlib.suppress(ValueError, KeyError, TypeError, IllegalEventError):
            TRANSLATION.read_answer(orjson.loads(told))
