"""Whatever JSON comes in: only what is documented goes out."""

import contextlib
import dataclasses

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.dialects.anthropic import sdk
from tollgate_dialects.anthropic.translate.translation import TRANSLATION
from tollgate_dialects.common import sse
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.conversation.machine import IllegalEventError, Machine, events_of
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.conversation.translation import Target, Untranslatable

WORDS = st.sampled_from(
    [
        "text",
        "image",
        "document",
        "tool_use",
        "tool_result",
        "thinking",
        "redacted_thinking",
        "search_result",
        "base64",
        "url",
        "file",
        "content",
        "enabled",
        "adaptive",
        "disabled",
        "auto",
        "any",
        "tool",
        "none",
        "json_schema",
        "ephemeral",
        "1h",
        "user",
        "assistant",
        "system",
        "high",
        "xhigh",
        "a",
        "b",
        "tg1:google:signature::x",
        "tool_reference",
        "server_tool_use",
    ]
)
NAMES = st.sampled_from(
    [
        "type",
        "text",
        "source",
        "data",
        "url",
        "file_id",
        "media_type",
        "id",
        "name",
        "input",
        "tool_use_id",
        "content",
        "signature",
        "thinking",
        "citations",
        "cache_control",
        "ttl",
        "budget_tokens",
        "display",
        "effort",
        "format",
        "schema",
        "role",
        "title",
        "is_error",
        "disable_parallel_tool_use",
        "input_schema",
        "strict",
        "description",
        "user_id",
        "arguments",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers(-9, 9_999) | st.floats(allow_nan=False) | WORDS
JSON = st.recursive(
    SCALARS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
KINDS = st.sampled_from(
    [
        "text",
        "image",
        "document",
        "tool_use",
        "tool_result",
        "thinking",
        "redacted_thinking",
        "search_result",
    ]
)
WILD = st.builds(
    lambda kind, rest: {**rest, "type": kind}, KINDS, st.dictionaries(NAMES, JSON, max_size=6)
)
MARK = st.none() | st.just({"type": "ephemeral"}) | st.just({"type": "ephemeral", "ttl": "1h"})
SOURCES = st.sampled_from(
    (
        {"type": "url", "url": "https://p"},
        {"type": "base64", "media_type": "text/plain", "data": "YQ=="},
        {"type": "base64", "data": "?"},
        {"type": "base64", "data": "iVBORw0KGgo="},
        {"type": "file", "file_id": "file_1"},
        {"type": "text", "data": "x"},
    )
)
IDS = st.sampled_from(("", "a", "b:c"))


def block(kind, **members):
    return st.fixed_dictionaries(
        {"type": st.just(kind)}, optional={**members, "cache_control": MARK}
    )


WORDY = block("text", text=st.sampled_from(("", " ", "words ", "\n")))
TAME = st.one_of(
    WORDY,
    block("image", source=SOURCES),
    block("document", source=SOURCES, title=WORDS),
    block("tool_use", id=IDS, name=IDS, input=JSON),
    block(
        "tool_result", tool_use_id=IDS, content=st.text(max_size=2) | st.lists(WORDY, max_size=2)
    ),
    block("thinking", thinking=WORDS, signature=WORDS),
    block("redacted_thinking", data=WORDS),
    block("search_result", title=WORDS, content=st.lists(WORDY, max_size=1)),
)
ROLES = st.sampled_from(("user", "user", "assistant", "system"))
TAME_MESSAGES = st.fixed_dictionaries(
    {"role": ROLES, "content": st.lists(TAME, min_size=1, max_size=4)}
)
MESSAGES = TAME_MESSAGES | st.fixed_dictionaries(
    {"role": ROLES, "content": st.lists(TAME | WILD, max_size=4) | JSON}
)
TOOLS = st.lists(
    st.fixed_dictionaries(
        {"name": IDS},
        optional={
            "input_schema": st.dictionaries(NAMES, JSON, max_size=2), "strict": st.booleans(),
            "cache_control": MARK, "type": st.sampled_from(("custom", "bash_20250124", "x")),
        },
    ),
    max_size=6,
)  # fmt: skip
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "system": st.text(max_size=2) | st.lists(WORDY, max_size=3),
        "tools": TOOLS,
        "tool_choice": st.fixed_dictionaries(
            {"type": st.sampled_from(("auto", "any", "none"))},
            optional={"disable_parallel_tool_use": st.booleans()},
        ),
        "thinking": st.fixed_dictionaries(
            {"type": st.sampled_from(("enabled", "adaptive", "disabled"))},
            optional={"budget_tokens": st.integers(0, 99_999), "display": WORDS},
        ),
        "output_config": st.fixed_dictionaries(
            {}, optional={"effort": WORDS, "format": st.just({"type": "json_schema", "schema": {}})}
        ),
        "metadata": st.dictionaries(NAMES, WORDS),
        "service_tier": WORDS,
        "stream": st.booleans(),
        "temperature": st.floats(-1, 3),
        "top_p": st.floats(0, 1),
        "top_k": st.integers(0, 9),
        "stop_sequences": st.lists(st.sampled_from(("", " ", "x"))),
        "cache_control": MARK,
    },
)
TOP = [
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "metadata",
    "service_tier",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "cache_control",
    "max_tokens",
    "model",
    "messages",
    "extra",
]
MODELS = st.sampled_from(
    ("claude-3-haiku-20240307", "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5-5", "qwen3")
)
LIMITS = st.none() | st.integers(0, 50_000)


@settings(max_examples=150, deadline=None)
@given(MEMBERS, st.lists(TAME_MESSAGES, min_size=1, max_size=4), MODELS, LIMITS)
def test_requests_are_written_well(members, messages, model, limit):
    """What reads as a request is written as one: it reads again, and is written the same."""
    check({**members, "messages": messages}, model, limit)


@settings(max_examples=150, deadline=None)
@given(
    MEMBERS,
    st.dictionaries(NAMES | st.sampled_from(TOP), JSON, max_size=2),
    st.lists(MESSAGES, max_size=4),
    MODELS,
    LIMITS,
)
def test_requests_are_read_or_refused(members, wild, messages, model, limit):
    """A reader gives a request or BadRequest, a writer a printable document or Untranslatable."""
    check({"messages": messages, **members, **wild}, model, limit)


def check(document, model, limit):
    try:
        request = TRANSLATION.read_request(document)
    except BadRequest:
        return
    try:
        written = TRANSLATION.write_request(request, Target(model, limit))
    except Untranslatable:
        return
    assert written.document["messages"]
    for message in written.document["messages"]:
        sdk.CONTENT.validate_python(message["content"])
    again = TRANSLATION.read_request(orjson.loads(orjson.dumps(written.document)))
    twice = TRANSLATION.write_request(again, Target(model, limit))
    assert orjson.dumps(written.document["messages"]) == orjson.dumps(twice.document["messages"])


DELTAS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["text_delta", "thinking_delta", "signature_delta", "input_json_delta", "citations_delta", "compaction_delta"]
        )
    },
    optional={
        "text": st.text(max_size=3), "thinking": st.text(max_size=3),
        "signature": st.sampled_from(("", "s", "t")),
        "partial_json": st.sampled_from(("", "{", '"a":1', "}", "x")), "citation": JSON,
    },
)  # fmt: skip
STARTS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "web_search_tool_result"]
        )
    },
    optional={
        "text": st.text(max_size=3), "id": st.sampled_from(("", "x", "a:b")), "name": WORDS,
        "input": st.dictionaries(NAMES, JSON, max_size=2) | JSON, "signature": st.sampled_from(("", "s")), "data": WORDS, "citations": JSON,
    },
)  # fmt: skip
INDICES = st.integers(0, 2)
EVENTS = st.one_of(
    st.just({"type": "ping"}),
    st.fixed_dictionaries(
        {"type": st.just("message_start"), "message": st.dictionaries(NAMES, JSON, max_size=2)}
    ),
    st.fixed_dictionaries(
        {"type": st.just("content_block_start"), "index": INDICES, "content_block": STARTS}
    ),
    st.fixed_dictionaries(
        {"type": st.just("content_block_delta"), "index": INDICES, "delta": DELTAS}
    ),
    st.fixed_dictionaries({"type": st.just("content_block_stop"), "index": INDICES}),
    st.fixed_dictionaries(
        {
            "type": st.just("message_delta"),
            "delta": st.fixed_dictionaries({}, optional={"stop_reason": WORDS}),
        }
    ),
)


def frame(document):
    name = document.get("type") if isinstance(document, dict) else None
    return b"event: %b\ndata: %b\n\n" % (str(name).encode(), orjson.dumps(document))


@settings(max_examples=250, deadline=None)
@given(st.lists(EVENTS, min_size=3, max_size=30))
def test_streams_are_legal_whatever_comes(documents):
    """A reader tells legal events or says that it cannot; a writer's frames are the SDK's."""
    reader, machine = TRANSLATION.event_reader(), Machine()
    writer = TRANSLATION.event_writer(sdk.context())
    out = b""
    stop = {"type": "message_stop"}
    for document in [*documents, stop]:
        name, data = b"", orjson.dumps(document)
        try:
            events = reader.read(sse.Event(name, data, is_simple=True, is_event=True))
        except (ValueError, KeyError, TypeError, IllegalEventError):
            return
        for event in events:
            machine.check(event)
            out += writer.write(event, None)
    assert machine.finished
    frames = sdk.strict_events(out)
    assert "message_stop" == frames[-1]["type"]
    opened = None
    for document in frames:
        kind = document["type"]
        if kind == "content_block_start":
            assert opened is None
            opened = document["index"]
        elif kind == "content_block_stop":
            assert opened == document["index"]
            opened = None
        elif kind == "content_block_delta":
            assert opened == document["index"]
    assert opened is None


@settings(max_examples=150, deadline=None)
@given(st.lists(STARTS, max_size=5) | st.lists(STARTS | JSON, max_size=3) | JSON, WORDS)
def test_whole_answers_are_told_alike_in_pieces(content, reason):
    """A whole answer is read or said to be unreadable; as a stream it says the same."""
    document = {"type": "message", "content": content, "stop_reason": reason}
    try:
        answer = TRANSLATION.read_answer(document)
    except (ValueError, KeyError, TypeError):
        return
    written = TRANSLATION.write_answer(answer, sdk.NO_USAGE, sdk.context())
    whole = sdk.gist(sdk.message(written))
    writer = TRANSLATION.event_writer(sdk.context())
    out = b"".join(writer.write(event, sdk.NO_USAGE) for event in events_of(answer))
    streamed = sdk.gist(sdk.accumulated(out))
    assert whole == streamed


@settings(max_examples=100, deadline=None)
@given(st.lists(EVENTS | JSON, max_size=10))
def test_a_translated_stream_raises_one_thing(documents):
    """Only IllegalEventError leaves the translation of a stream."""
    translator = StreamTranslator(
        TRANSLATION.event_reader(), TRANSLATION.event_writer(sdk.context())
    )
    for document in documents:
        with contextlib.suppress(IllegalEventError):
            translator.feed(frame(document), None)
    assert dataclasses.is_dataclass(sdk.context())
