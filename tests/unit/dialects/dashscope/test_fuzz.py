"""Whatever comes in, bytes or JSON: only what is documented goes out."""

import contextlib

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.dialects.dashscope import sdk
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.anthropic.dialect import ANTHROPIC_MESSAGES
from tollgate_dialects.common import sse
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.conversation.machine import IllegalEventError, Machine, events_of
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.conversation.translation import Target, Untranslatable
from tollgate_dialects.dashscope.dialect import DASHSCOPE
from tollgate_dialects.dashscope.translate.growth import Growth, Mode
from tollgate_dialects.dashscope.translate.translation import TRANSLATION
from tollgate_dialects.openai_chat.dialect import OPENAI_CHAT
from tollgate_dialects.request import request, rewrite

WORDS = st.sampled_from(
    ["user", "assistant", "system", "tool", "function", "auto", "none", "required", "stop", "null",
     "tool_calls", "length", "text", "image", "message", "json_object", "high", "a", "b",
     "data:image/png;base64,QQ==", "https://p", "oss://p", "3:tg1:anthropic:signature::x", "{}"]
)  # fmt: skip
NAMES = st.sampled_from(
    ["role", "content", "text", "image", "video", "audio", "type", "cache_control", "tool_calls",
     "tool_call_id", "id", "index", "function", "name", "arguments", "parameters", "messages",
     "prompt", "history", "user", "bot", "reasoning_content", "reasoning_signature", "partial",
     "doc_url", "min_pixels", "finish_reason", "message", "choices", "output", "usage", "code",
     "input_tokens", "output_tokens", "extra_content", "google", "thought_signature"]
)  # fmt: skip
PARAMETERS = st.sampled_from(
    ["result_format", "incremental_output", "max_tokens", "max_completion_tokens", "tools",
     "tool_choice", "parallel_tool_calls", "stop", "n", "temperature", "top_p", "top_k", "seed",
     "enable_thinking", "thinking_budget", "reasoning_effort", "response_format", "enable_search",
     "logit_bias", "logprobs", "repetition_penalty", "vl_high_resolution_images"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers(-9, 9_999) | st.floats(allow_nan=False) | WORDS
JSON = st.recursive(
    SCALARS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
PART = st.fixed_dictionaries(
    {"text": st.text(max_size=4)}, optional={"cache_control": st.just({"type": "ephemeral"})}
) | st.fixed_dictionaries({"image": WORDS})
CALL = st.fixed_dictionaries(
    {"id": st.sampled_from(("c1", "c2")), "type": st.just("function"),
     "function": st.fixed_dictionaries({"name": WORDS, "arguments": st.sampled_from(("", "{}"))})}
)  # fmt: skip
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(("system", "user", "assistant", "assistant", "tool")),
     "content": st.text(max_size=4) | st.lists(PART, max_size=3)},
    optional={"reasoning_content": st.text(max_size=3), "reasoning_signature": WORDS,
              "tool_calls": st.lists(CALL, max_size=3), "tool_call_id": st.sampled_from(("c1", "x"))},
)  # fmt: skip
TOOLS = st.lists(
    st.fixed_dictionaries({"type": st.just("function"),
                           "function": st.fixed_dictionaries({"name": WORDS})}), max_size=3
)  # fmt: skip
TAME = st.fixed_dictionaries(
    {},
    optional={
        "result_format": st.sampled_from(("text", "message")), "incremental_output": st.booleans(),
        "max_tokens": st.integers(1, 99), "max_completion_tokens": st.integers(1, 99),
        "enable_thinking": st.booleans(), "thinking_budget": st.integers(0, 99), "tools": TOOLS,
        "tool_choice": st.sampled_from(("auto", "none", {"function": {"name": "a"}})),
        "stop": WORDS | st.lists(WORDS | st.lists(st.integers(0, 9), max_size=2), max_size=3),
        "temperature": st.floats(0, 2), "response_format": st.just({"type": "json_object"}),
    },
)  # fmt: skip
MODELS = st.sampled_from(("qwen-plus", "qwen3-32b", "qwen3.6-plus", "qwen-vl-max", "other"))


@settings(max_examples=200)
@given(st.lists(MESSAGE, min_size=1, max_size=5), TAME, MODELS, st.none() | st.integers(1, 999))
def test_requests_are_written_well(messages, parameters, model, limit):
    """What reads as a request is written as one that the strict reader takes, and reads again."""
    check({"model": "m", "input": {"messages": messages}, "parameters": parameters}, model, limit)


@settings(max_examples=300)
@given(
    st.dictionaries(NAMES, JSON, max_size=3) | st.fixed_dictionaries({"messages": st.lists(MESSAGE | JSON, max_size=3)}),
    st.dictionaries(PARAMETERS, JSON, max_size=4),
    st.dictionaries(NAMES, JSON, max_size=2),
    MODELS,
)  # fmt: skip
def test_requests_are_read_or_refused(asked, parameters, wild, model):
    """A reader gives a request or BadRequest, a writer a printable document or Untranslatable."""
    check({"model": "m", "input": asked, "parameters": parameters, **wild}, model, 50)


def check(document, model, limit):
    rules = DASHSCOPE.request
    body = orjson.dumps(document)
    try:
        facts = request.read(body, rules, rules.told(None, stream=False))
    except BadRequest:
        facts = None
    else:
        sent = rewrite.upstream_body(
            body,
            rules,
            asked=facts,
            model=model,
            max_output_tokens=facts.max_output_tokens or limit,
        )
        again = request.read(sent, rules, rules.told(None, stream=False))
        assert again.max_output_tokens == (facts.max_output_tokens or limit)
        # What is believed of a limit hangs on the model's name: here the client's.
        renamed = orjson.dumps(orjson.loads(sent) | {"model": facts.model})
        again = request.read(renamed, rules, rules.told(None, stream=False))
        assert again.beyond_limit_tokens == facts.beyond_limit_tokens or limit is not None
    try:
        asked = TRANSLATION.read_request(document)
    except BadRequest:
        return
    for dialect, name in ((DASHSCOPE, model), (OPENAI_CHAT, "gpt-4o"),
                          (ANTHROPIC_MESSAGES, "claude-sonnet-4-5")):  # fmt: skip
        try:
            written = dialect.translation.write_request(asked, Target(name, limit)).document
        except (Untranslatable, TypeError, ValueError, KeyError):
            continue
        printed = orjson.dumps(written)
        if dialect is DASHSCOPE and facts is not None:
            told = request.read(printed, rules, rules.told(None, stream=False))
            assert facts.unbounded_input or not told.unbounded_input
            assert facts.translated().input_token_bound >= told.input_token_bound
            assert (told.max_output_tokens or 0) <= (limit or 0)
            TRANSLATION.read_request(orjson.loads(printed))


CALLS = st.lists(
    st.fixed_dictionaries(
        {"type": st.just("function"), "function": st.fixed_dictionaries(
            {"arguments": st.sampled_from(("", "{", '"a":1', "}"))},
            optional={"name": st.sampled_from(("f", "g", ""))})},
        optional={"index": st.integers(0, 2), "id": st.sampled_from(("", "c1", "c2"))},
    ),
    max_size=2,
)  # fmt: skip
SAID = st.fixed_dictionaries(
    {"content": st.text(max_size=3) | st.lists(st.fixed_dictionaries({"text": st.text(max_size=2)}))},
    optional={"reasoning_content": st.sampled_from(("", "h", "hm")), "tool_calls": CALLS},
)  # fmt: skip
REASON = st.sampled_from(("null", "null", "null", "stop", "length", "tool_calls", "", None))
OUTPUTS = st.fixed_dictionaries({"text": st.text(max_size=3), "finish_reason": REASON}) | (
    st.fixed_dictionaries(
        {"choices": st.lists(st.fixed_dictionaries(
            {"message": SAID, "finish_reason": REASON}, optional={"index": st.integers(0, 2)}
        ), max_size=2)}
    )
)  # fmt: skip
COUNTS = st.fixed_dictionaries(
    {"input_tokens": st.integers(-1, 9) | SCALARS, "output_tokens": st.integers(0, 9)}
)
DOCUMENTS = st.fixed_dictionaries({"output": OUTPUTS}, optional={"usage": COUNTS}) | JSON


def frame(document):
    return b"id:1\nevent:result\n:HTTP_STATUS/200\ndata:%b\n\n" % orjson.dumps(document)


@settings(max_examples=300)
@given(st.lists(DOCUMENTS, max_size=12), st.sampled_from((("pieces",), ("parts",), ("text",), ())))
def test_streams_are_legal_whatever_comes(documents, words):
    """A reader tells legal events or says that it cannot; the writer's frames are the SDK's."""
    translator = StreamTranslator(
        TRANSLATION.event_reader(), TRANSLATION.event_writer(sdk.context(None, *words))
    )
    end = {"output": {"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}}
    out = b""
    for document in [*documents, end]:
        try:
            out += translator.feed(frame(document), None)
        except IllegalEventError:
            return
    assert translator.finished
    sdk.streamed(out)
    meter = StreamMeter(DASHSCOPE.answer)
    assert out == meter.feed(out) + meter.finish()
    assert meter.finished


NOISE = st.sampled_from(
    [b"id:1\n", b"event:result\n", b"event:error\n", b"event:done\n", b":HTTP_STATUS/200\n", b"\n",
     b"\r\n", b"data:", b"data: ", b"{}", b"null", b"[DONE]", b'{"output":{"text":"a",', b"\xff",
     b'"finish_reason":"stop"}}', b'"finish_reason":"null"}}', b'\\ud800"', b'"usage":{', b":"]
) | st.binary(max_size=6)  # fmt: skip


@settings(max_examples=400)
@given(st.lists(NOISE | DOCUMENTS.map(frame), max_size=20), st.booleans())
def test_a_meter_takes_any_bytes(pieces, by_byte):
    """No crash; what passes is whole frames of listed members, whose end the edge finds."""
    raw = b"".join(pieces)
    meter = StreamMeter(DASHSCOPE.answer)
    chunks = [raw[at : at + 1] for at in range(len(raw))] if by_byte else [raw]
    at_once = b"".join([meter.feed(chunk) for chunk in chunks])
    last = meter.finish()
    position, told = 0, at_once + last
    assert not meter.finished or sse.end_of(told, DASHSCOPE.answer.end) >= 0
    while position < len(told):
        start, position = sse.frame_at(told, position)
        event = sse.parse(told[start:position])
        if event.data:
            assert b"result" == event.name
            assert orjson.loads(event.data).keys() <= DASHSCOPE.answer.body.keys()
    assert min(meter.usage.counts) >= 0
    whole = BodyMeter(DASHSCOPE.answer)
    whole.feed(raw)
    whole.finish()


@settings(max_examples=150)
@given(DOCUMENTS)
def test_whole_answers_are_told_alike_in_pieces(document):
    """A whole answer is read or said to be unreadable; as a stream it says the same."""
    try:
        answer = TRANSLATION.read_answer(document)
    except (ValueError, KeyError, TypeError, AttributeError, IllegalEventError):
        return
    whole = sdk.whole(TRANSLATION.write_answer(answer, sdk.NO_USAGE, sdk.context()))
    writer = TRANSLATION.event_writer(sdk.context(None, "pieces"))
    out = b"".join(writer.write(event, sdk.NO_USAGE) for event in events_of(answer))
    assert whole == sdk.streamed(out)


@given(st.lists(st.text("ab", max_size=3), max_size=8))
def test_a_text_is_the_same_in_both_ways(pieces):
    """Told whole so far, it is never told twice; in pieces, none is lost."""
    text, whole = "".join(pieces), Growth(Mode())
    told = [whole.take("".join(pieces[: n + 1])) for n in range(len(pieces))]
    assert text == "".join(told) + whole.finish()
    piecewise = Growth(Mode())
    told = "".join([piecewise.take(piece) for piece in [*pieces, ""]]) + piecewise.finish()
    assert text == told


@given(st.lists(DOCUMENTS, max_size=6))
def test_one_reader_adds_up_what_it_reads(documents):
    """Only what is documented leaves a reader, and its events are in the legal order."""
    reader, machine = TRANSLATION.event_reader(), Machine()
    with contextlib.suppress(ValueError, KeyError, TypeError):
        for document in documents:
            event = sse.Event(b"", orjson.dumps(document), is_simple=True, is_event=True)
            for told in reader.read(event):
                machine.check(told)
