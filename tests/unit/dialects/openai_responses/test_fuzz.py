"""Whatever JSON comes in: only what is documented goes out."""

import contextlib

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.dialects.openai_responses import sdk
from tollgate_dialects.anthropic.dialect import ANTHROPIC_MESSAGES
from tollgate_dialects.common import sse
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.conversation.machine import IllegalEventError, Machine, events_of
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.conversation.translation import Target, Untranslatable
from tollgate_dialects.openai_chat.dialect import OPENAI_CHAT
from tollgate_dialects.openai_responses.translate.translation import TRANSLATION
from tollgate_dialects.pricing.usage import NOTHING

WORDS = st.sampled_from(
    [
        "message",
        "reasoning",
        "function_call",
        "custom_tool_call",
        "function_call_output",
        "input_text",
        "output_text",
        "custom_tool_call_output",
        "refusal",
        "input_image",
        "input_file",
        "input_audio",
        "summary_text",
        "user",
        "system",
        "assistant",
        "developer",
        "auto",
        "none",
        "required",
        "function",
        "custom",
        "namespace",
        "allowed_tools",
        "grammar",
        "json_schema",
        "json_object",
        "text",
        "low",
        "high",
        "a",
        "b",
        "web_search",
        "compaction",
        "item_reference",
        "additional_tools",
        "tg1:google:signature:a:x",
        "tg1:anthropic:signature::x",
        "data:image/png;base64,QQ==",
        "url_citation",
        "completed",
        "incomplete",
        "commentary",
    ]
)
NAMES = st.sampled_from(
    [
        "type",
        "role",
        "content",
        "text",
        "output",
        "summary",
        "id",
        "call_id",
        "name",
        "arguments",
        "input",
        "encrypted_content",
        "image_url",
        "file_data",
        "file_id",
        "detail",
        "tools",
        "parameters",
        "strict",
        "description",
        "format",
        "schema",
        "mode",
        "namespace",
        "annotations",
        "url",
        "title",
        "start_index",
        "end_index",
        "refusal",
        "phase",
        "effort",
        "verbosity",
        "syntax",
        "definition",
        "prompt_cache_breakpoint",
        "status",
        "delta",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers(-9, 9_999) | st.floats(allow_nan=False) | WORDS
JSON = st.recursive(
    SCALARS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
PARTS = st.builds(
    lambda kind, rest: {**rest, "type": kind},
    st.sampled_from(("input_text", "output_text", "refusal", "input_image", "input_file")),
    st.dictionaries(st.sampled_from(("text", "refusal", "image_url", "file_data", "annotations")),
                    WORDS | JSON, max_size=3),
)  # fmt: skip
ITEMS = st.builds(
    lambda kind, rest: {**rest, "type": kind},
    WORDS,
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(("user", "assistant", "system", "developer")),
            "content": st.lists(PARTS, max_size=3) | WORDS | JSON,
            "output": st.lists(PARTS, max_size=3) | WORDS,
            "summary": st.lists(PARTS, max_size=2),
            "call_id": st.sampled_from(("a", "b", "c" * 80, "")),
            "id": WORDS,
            "name": st.sampled_from(("f", "g.h", "")),
            "namespace": st.sampled_from(("", "n")),
            "arguments": st.sampled_from(("", "{}", '{"a":1}', "[", None)) | JSON,
            "input": st.text(max_size=3),
            "encrypted_content": WORDS,
            "phase": st.sampled_from(("commentary", "final_answer", None)),
        },
    ),
)
MEMBERS = st.sampled_from(
    [
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "reasoning",
        "text",
        "include",
        "metadata",
        "service_tier",
        "stream",
        "temperature",
        "top_p",
        "max_output_tokens",
        "parallel_tool_calls",
        "user",
        "background",
        "prompt",
        "store",
        "top_logprobs",
        "model",
        "extra",
    ]
)
TARGETS = (
    (TRANSLATION, "gpt-5.6"),
    (TRANSLATION, "gpt-4o"),
    (OPENAI_CHAT.translation, "qwen3"),
    (ANTHROPIC_MESSAGES.translation, "claude-sonnet-4-5"),
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(MEMBERS, JSON),
    st.none() | st.lists(ITEMS, max_size=5),
    st.none() | st.lists(ITEMS, max_size=2),
    st.sampled_from(TARGETS),
)
def test_requests_are_read_or_refused(members, items, tools, target):
    """A reader gives a request or BadRequest, a writer a printable document or Untranslatable."""
    document = dict(members)
    if items is not None:
        document["input"] = items
    if tools is not None:
        document["tools"] = tools
    translation, model = target
    with contextlib.suppress(BadRequest, Untranslatable):
        request = TRANSLATION.read_request(document)
        written = translation.write_request(request, Target(model, 100))
        assert orjson.dumps(written.document)


@settings(max_examples=100, deadline=None)
@given(st.lists(ITEMS, max_size=5))
def test_what_is_written_once_is_written_again(items):
    """Items that went through the one form go through it unchanged."""
    try:
        request = TRANSLATION.read_request({"model": "gpt-5.6", "input": items})
        first = TRANSLATION.write_request(request, Target("gpt-5.6", None)).document
        again = TRANSLATION.read_request(orjson.loads(orjson.dumps(first)))
        second = TRANSLATION.write_request(again, Target("gpt-5.6", None)).document
    except (BadRequest, Untranslatable):
        return
    assert first == second


KINDS = st.sampled_from(
    [
        "output_item.added",
        "output_item.done",
        "content_part.added",
        "content_part.done",
        "output_text.delta",
        "output_text.done",
        "output_text.annotation.added",
        "refusal.delta",
        "refusal.done",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_text.delta",
        "reasoning_text.done",
        "created",
        "in_progress",
        "completed",
        "web_search_call.searching",
    ]
)
EVENTS = st.builds(
    lambda kind, rest: {**rest, "type": f"response.{kind}"},
    KINDS,
    st.fixed_dictionaries(
        {},
        optional={
            "output_index": st.integers(0, 2),
            "content_index": st.integers(0, 1),
            "summary_index": st.integers(0, 1),
            "item": ITEMS,
            "part": PARTS,
            "delta": st.text(max_size=3) | st.just({}),
            "text": st.text(max_size=3),
            "arguments": st.sampled_from(("", "{}")),
            "annotation": JSON,
            "response": st.fixed_dictionaries({}, optional={"output": st.lists(ITEMS, max_size=2)}),
        },
    ),
)
LAST = {"type": "response.completed", "response": {}}


@settings(max_examples=200, deadline=None)
@given(st.lists(EVENTS | JSON, max_size=25))
def test_streams_are_legal_whatever_comes(documents):
    """A reader tells legal events or says that it cannot; a writer's frames are the SDK's."""
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
        if machine.finished:
            break
    assert machine.finished
    whole = TRANSLATION.write_answer(machine.answer(), NOTHING, sdk.context())
    assert sdk.streamed(out) == sdk.whole(whole)


@settings(max_examples=100, deadline=None)
@given(st.lists(ITEMS, max_size=4))
def test_whole_answers_are_told_alike_in_pieces(items):
    """A whole answer is read or said to be unreadable; as a stream it says the same."""
    try:
        answer = TRANSLATION.read_answer({"object": "response", "output": items})
    except (ValueError, KeyError, TypeError):
        return
    written = TRANSLATION.write_answer(answer, NOTHING, sdk.context())
    writer = TRANSLATION.event_writer(sdk.context())
    out = b"".join(writer.write(event, NOTHING) for event in events_of(answer))
    assert sdk.whole(written) == sdk.streamed(out)


@settings(max_examples=100, deadline=None)
@given(st.lists(EVENTS | JSON, max_size=10))
def test_a_translated_stream_raises_one_thing(documents):
    """Only IllegalEventError leaves the translation of a stream."""
    translator = StreamTranslator(
        TRANSLATION.event_reader(), TRANSLATION.event_writer(sdk.context())
    )
    for document in documents:
        with contextlib.suppress(IllegalEventError):
            translator.feed(b"data: %b\n\n" % orjson.dumps(document), None)
