"""What a generation may ask for, how it is bounded, where it goes."""

import orjson
import pytest

from tests.unit.dialects.dashscope.models import MODELS
from tollgate_dialects.common.refusal import BadRequest, Code
from tollgate_dialects.conversation.parts import Text
from tollgate_dialects.dashscope import limits
from tollgate_dialects.dashscope.dialect import DASHSCOPE
from tollgate_dialects.dashscope.translate.translation import TRANSLATION
from tollgate_dialects.dialect import Asked
from tollgate_dialects.openai_chat.dialect import OPENAI_CHAT
from tollgate_dialects.pricing.bound import affordable_output_tokens, worst_case
from tollgate_dialects.pricing.price import Price
from tollgate_dialects.request import request, rewrite

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwAD"
    "hgGAWjR9awAAAABJRU5ErkJggg=="
)
PRICE = Price.of(
    model="m", version=1, source="t", max_input_tokens=100_000, max_output_tokens=5_000,
    input_pico_usd=1_000, output_pico_usd=1_000, cache_read_pico_usd=0,
    cache_write_5m_pico_usd=0, cache_write_1h_pico_usd=0,
)  # fmt: skip


def asked(content="Hi", **parameters):
    messages = [{"role": "user", "content": content}]
    return {"model": "m", "input": {"messages": messages}, "parameters": parameters}


def facts_of(document, *, stream=False):
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    return request.read(body, DASHSCOPE.request, DASHSCOPE.request.told(None, stream=stream))


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"enable_search": True}, "enable_search"),
        ({"enable_search": "yes"}, "enable_search"),
        ({"search_options": {"forced_search": True}}, "search_options"),
        ({"plugins": [{}]}, "plugins"),
        ({"enable_code_interpreter": True}, "enable_code_interpreter"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"size": "1024*1024"}, "size"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
    ],
)
def test_what_is_billed_by_itself_is_refused(parameters, param):
    """Searches, code, sounds and pictures: refused by their name, inside of the parameters."""
    with pytest.raises(BadRequest) as bad:
        facts_of(asked(**parameters))
    assert (Code.UNSUPPORTED_PARAMETER, param) == (bad.value.code, bad.value.param)


@pytest.mark.parametrize(
    "part",
    [
        {"audio": "https://a/b.wav"},
        {"video": ["https://a/1.jpg"]},
        {"video": "https://a/b.mp4", "fps": 2},
        {"type": "input_audio", "input_audio": {"data": ""}},
        {"text": "x", "audio": "https://a"},
        {"type": "video_url", "video_url": {"url": "https://a"}},
    ],
)
def test_what_is_heard_or_moves_has_other_prices(part):
    """Sounds and films are refused, whatever else is in their part."""
    with pytest.raises(BadRequest) as bad:
        facts_of(asked([part]))
    assert Code.UNSUPPORTED_PARAMETER == bad.value.code


def test_a_stream_has_one_choice():
    """Each frame of more would have the usage of its own choice alone."""
    assert 2 == facts_of(asked(n=2)).choices
    with pytest.raises(BadRequest) as bad:
        facts_of(asked(n=2), stream=True)
    assert "n" == bad.value.param


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (asked() | {"parameters": []}, Code.INVALID_TYPE),
        (asked() | {"input": "x"}, Code.INVALID_TYPE),
        (asked() | {"messages": []}, Code.UNSUPPORTED_PARAMETER),
        (asked(max_tokens="5"), Code.INVALID_TYPE),
        (asked(max_tokens=0), Code.INVALID_VALUE),
        (b'{"model":"m","parameters":{"max_tokens":' + b"9" * 20 + b"}}", Code.INVALID_TYPE),
        (asked(max_tokens=10**18), Code.INVALID_VALUE),
        (asked(thinking_budget=-1), Code.INVALID_VALUE),
        (asked(max_completion_tokens=1, max_tokens=8_000), Code.CONFLICTING_PARAMETERS),
        (asked(max_completion_tokens=50, max_tokens=49), Code.CONFLICTING_PARAMETERS),
        (asked(max_output_tokens=5), Code.UNSUPPORTED_PARAMETER),
        (asked(n=True), Code.INVALID_TYPE),
        (asked(maxTokens=5), Code.AMBIGUOUS_KEY),
        (asked(Enable_Search=True), Code.AMBIGUOUS_KEY),
        (asked() | {"Parameters": {}}, Code.AMBIGUOUS_KEY),
        (asked([{"Image": "https://a"}]), Code.AMBIGUOUS_KEY),
        (asked(tools=[{"Type": "web_search"}]), Code.AMBIGUOUS_KEY),
        (b'{"model":"m","input":{},"parameters":{"n":1,"n":4}}', Code.DUPLICATE_KEY),
        (b'{"model":"m","input":{"messages":[]},"input":{}}', Code.DUPLICATE_KEY),
        (b'{"model":"m","input":{"prompt":"\xed\xa0\x80"}}', Code.INVALID_JSON),
        (b'{"input":{}}', Code.MISSING_MODEL),
        (b'{"model":"m","input":' + b"[" * 200 + b"]" * 200 + b"}", Code.TOO_DEEP),
    ],
)
def test_what_readers_could_read_in_two_ways_is_refused(document, code):
    """Wrong types, doubled and misspelt keys, at the top and below."""
    with pytest.raises(BadRequest) as bad:
        facts_of(document)
    assert code == bad.value.code


def test_what_bytes_do_not_bound_is_unbounded():
    """Addresses, stored files and parts that nobody knows; a picture in the body has its pixels."""
    assert not facts_of(
        asked([{"text": "x", "cache_control": {"type": "ephemeral"}}])
    ).unbounded_input
    for part in (
        {"image": "https://a/b.png"},
        {"image": "oss://a/b.png"},
        {"type": "doc_url", "doc_url": ["https://a"]},
        {"type": "image_url", "image_url": {"url": PIXEL}},
        {"file": "x"},
        {"text": "x", "more": {"a": "b"}},
        {"text": "x", "doc_url": "https://a/b.pdf"},
        {"text": "x", "file_id": "file-fe-1"},
        {"image": PIXEL, "doc_url": "https://a/b.pdf"},
        {"image": PIXEL, "more": ["https://a"]},
    ):
        assert facts_of(asked([part])).unbounded_input, part
    assert facts_of(asked("fileid://file-fe-1")).unbounded_input
    assert facts_of({"model": "m", "input": {"prompt": "x", "files": ["a"]}}).unbounded_input
    small = facts_of(asked([{"image": PIXEL}]))
    assert not small.unbounded_input
    both = [{"text": "x", "image": PIXEL}]
    assert not facts_of(asked(both)).unbounded_input
    read = TRANSLATION.read_request(asked(both)).turns[0].parts
    assert ("image", Text("x")) == (read[0].kind, read[1])
    enlarged = [
        asked([{"image": PIXEL, "min_pixels": 10**7}]),
        asked([{"image": PIXEL}], vl_high_resolution_images=True),
    ]
    for document in enlarged:
        assert facts_of(document).input_token_bound >= small.input_token_bound + 16_000


def test_history_is_looked_at_as_messages_are():
    """What was said before is read once more: its pictures, and what has other prices."""

    def facts_with(history):
        return facts_of({"model": "m", "input": {"prompt": "Hi", "history": history}})

    assert not facts_with(
        [{"user": "a", "bot": "b"}, {"role": "user", "content": "c"}]
    ).unbounded_input
    for content in (
        [{"image": "https://a/b.png"}],
        [{"text": "x", "file_id": "file-fe-1"}],
    ):
        assert facts_with([{"role": "user", "content": content}]).unbounded_input
        assert facts_with([{"user": content}]).unbounded_input
    for history in ([{"role": "user", "content": [{"video": "https://a"}]}], "x", ["x"]):
        with pytest.raises(BadRequest):
            facts_with(history)


def test_only_what_is_marked_is_written_to_the_cache():
    """Five minutes, where a part is marked."""
    marked = [{"text": "x", "cache_control": {"type": "ephemeral"}}]
    assert ("none", "5m") == (facts_of(asked()).cache_write, facts_of(asked(marked)).cache_write)


@pytest.mark.parametrize(
    ("parameters", "limit", "beyond"),
    [
        ({"max_completion_tokens": 20}, 20, None),
        ({"max_completion_tokens": 20, "max_tokens": 20}, 20, None),
        ({"max_completion_tokens": 20, "enable_thinking": False}, 20, 10),
        ({"max_tokens": 50, "enable_thinking": False}, 50, 10),
        ({"max_tokens": 50, "thinking_budget": 100}, 50, 110),
        ({"max_tokens": 50, "enable_thinking": True}, 50, None),
        ({"max_tokens": 50}, 50, None),
        ({"enable_thinking": False}, None, 10),
    ],
)
def test_thinking_is_beyond_the_limit_of_an_answer(parameters, limit, beyond):
    """`max_tokens` does not end thinking, so that its worst case comes on top."""
    facts = facts_of(asked(**parameters))
    assert (limit, beyond) == (facts.max_output_tokens, facts.beyond_limit_tokens)
    bound = worst_case(facts, PRICE)
    output = (limit or 5_000) + (5_000 if beyond is None else beyond)
    assert bound.amount_nano_usd == facts.input_token_bound + output
    assert bound.max_output_tokens == bound.sent_max_output_tokens == (limit or 5_000)
    left = bound.amount_nano_usd
    assert affordable_output_tokens(facts, PRICE, left) == (limit or 5_000)
    assert affordable_output_tokens(facts, PRICE, left - output) is None


@pytest.mark.parametrize("model", ["qwen3.7-max", "glm-5", "kimi-k2.6"])
def test_a_limit_for_all_is_believed_of_models_that_take_it(model):
    """It covers their thinking, give or take a few tokens, and is sent as the client wrote it."""
    body = orjson.dumps(asked(max_completion_tokens=20) | {"model": model})
    facts = facts_of(body)
    assert (20, 10) == (facts.max_output_tokens, facts.beyond_limit_tokens)
    assert body == rewrite.upstream_body(
        body, DASHSCOPE.request, asked=facts, model=model, max_output_tokens=20
    )


@pytest.mark.parametrize(
    ("model", "beyond"),
    [("qwq-plus", None), ("qvq-max", None), ("deepseek-r1", None), ("kimi-k2-thinking", None),
     ("qwen3-next-80b-a3b-thinking", None), ("MiniMax-M2.1", None), ("deepseek-v3.2", 10)],
)  # fmt: skip
@pytest.mark.parametrize("told", [{"enable_thinking": False}, {"thinking_budget": 0}])
def test_who_always_thinks_is_not_told_otherwise(model, beyond, told):
    """What it thinks in spite of it comes on top of the answer."""
    facts = facts_of(asked(max_tokens=50, **told) | {"model": model})
    assert beyond == facts.beyond_limit_tokens


@pytest.mark.parametrize(
    ("model", "beyond"),
    [("qwen3-next-80b-a3b-thinking", 110), ("qwen3-32b", 110), ("qwq-plus", None),
     ("deepseek-r1", None)],
)  # fmt: skip
def test_a_budget_is_believed_of_models_that_take_one(model, beyond):
    """Some of those that always think know nothing of it."""
    facts = facts_of(asked(max_tokens=50, thinking_budget=100) | {"model": model})
    assert beyond == facts.beyond_limit_tokens


@pytest.mark.parametrize("told", [20, None])
def test_a_limit_that_a_model_may_not_know_is_said_under_the_name_that_it_knows(told):
    """Else an answer has no end: what is reserved for is what all models keep to."""
    body = orjson.dumps(asked(max_completion_tokens=20))
    facts = facts_of(body)
    sent = rewrite.upstream_body(
        body, DASHSCOPE.request, asked=facts, model="qwen-plus", max_output_tokens=told
    )
    parameters = {"max_completion_tokens": 20, "max_tokens": 20}
    assert asked(**parameters) | {"model": "qwen-plus"} == orjson.loads(sent)
    both = orjson.dumps(asked(**parameters))
    assert both == rewrite.upstream_body(
        both, DASHSCOPE.request, asked=facts_of(both), model="m", max_output_tokens=told
    )


def test_elsewhere_a_limit_may_be_missed_by_a_little():
    """A request of any protocol may be answered by DashScope: what it may miss is reserved."""
    body = orjson.dumps({"model": "m", "messages": [], "max_tokens": 5})
    facts = request.read(body, OPENAI_CHAT.request)
    assert (0, 10) == (facts.beyond_limit_tokens, facts.translated().beyond_limit_tokens)
    assert facts_of(asked(max_tokens=5)).translated().beyond_limit_tokens is None


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b'{"model":"a","input":{}}', b'{"parameters":{"max_tokens":7},"model":"b","input":{}}'),
        (
            b'{"parameters": {}, "model":"a"}',
            b'{"parameters": {"max_tokens":7}, "model":"b"}',
        ),
        (
            b'{"model":"a","parameters":{"seed":1}}',
            b'{"model":"b","parameters":{"max_tokens":7,"seed":1}}',
        ),
        (
            b'{"model":"a","parameters":{"seed":1,"max_tokens":null}}',
            b'{"model":"b","parameters":{"seed":1,"max_tokens":7}}',
        ),
        (b'{"model":"a","parameters":null}', b'{"model":"b","parameters":{"max_tokens":7}}'),
    ],
)
def test_a_limit_is_set_inside_of_the_parameters(sent, expected):
    """Where the client set none; every other byte stays."""
    facts = facts_of(sent)
    told = rewrite.upstream_body(
        sent, DASHSCOPE.request, asked=facts, model="b", max_output_tokens=7
    )
    assert expected == told
    newer = rewrite.upstream_body(
        sent, DASHSCOPE.request, asked=facts, model="qwen3.6-plus", max_output_tokens=7
    )
    assert b'"max_completion_tokens":7' in newer


@pytest.mark.parametrize("model", MODELS)
def test_models_are_known_by_their_names(model):
    """Which path they answer on, whether they think unasked, and by what they are limited."""
    whole = limits.name_for(model) == limits.WHOLE
    assert MODELS[model] == (limits.sees(model), limits.thinks(model), whole)


def test_where_a_call_goes():
    """By its model's name or by what is in it; below a base URL with or without the version."""
    words, seen = (
        "/services/aigc/text-generation/generation",
        "/services/aigc/multimodal-generation/generation",
    )
    at = DASHSCOPE.endpoint.path_below
    picture = orjson.dumps(asked([{"text": "a"}, {"image": PIXEL}]))
    schema = {"type": "object", "properties": {"image": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    quoted = orjson.dumps(asked('say "image":"x"', tools=tools))
    assert words == at("/api/v1", Asked("qwen-plus", stream=True, body=quoted))
    assert seen == at("/api/v1", Asked("qwen-plus", stream=False, body=picture))
    assert seen == at("/api/v1", Asked("qwen3.6-plus", stream=False, body=quoted))
    assert f"/api/v1{words}" == at("", Asked("qwen-plus", stream=False))
    assert (DASHSCOPE.endpoint.path, *DASHSCOPE.endpoint.other_paths) == (
        f"/api/v1{words}", f"/api/v1{seen}"
    )  # fmt: skip
