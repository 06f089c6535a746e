"""What an OpenAI-compatible provider serves beside chats: what is read, bounded, passed, refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects import corpus
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.pricing.bound import worst_case
from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import UsageSource
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import request, rewrite

COMPLETIONS = DIALECTS[Protocol.OPENAI_COMPLETIONS]
EMBEDDINGS = DIALECTS[Protocol.OPENAI_EMBEDDINGS]
MODERATIONS = DIALECTS[Protocol.OPENAI_MODERATIONS]
RERANK = DIALECTS[Protocol.RERANK]
RECORDED = {
    "openai.completions": COMPLETIONS,
    "openai.embeddings": EMBEDDINGS,
    "openai.moderations": MODERATIONS,
}
LIMIT = 100
PRICE = Price.of(
    model="m", version=1, source="test", max_input_tokens=LIMIT, max_output_tokens=50,
    **{unit.price_field: 1_000_000 for unit in Unit},
)  # fmt: skip


def read(dialect, **members):
    return request.read(json.dumps({"model": "m", **members}).encode(), dialect.request)


@pytest.mark.parametrize("api", RECORDED)
def test_issue_7_recorded_calls_are_read_bounded_and_passed(api):
    """Each recorded answer passes byte for byte, and its usage is below its request's bound."""
    dialect = RECORDED[api]
    count = 0
    for exchange in corpus.exchanges(api):
        if exchange["status"] != 200:
            continue
        text = exchange["resp_text"]
        if exchange["stream"]:
            raw = corpus.stream_of(Protocol.OPENAI_CHAT, exchange)
            meter = StreamMeter(dialect.answer)
        else:
            raw, meter = text.encode(), BodyMeter(dialect.answer)
        passed = meter.feed(raw) + meter.finish()
        assert (raw, True, None) == (passed, meter.finished, meter.error), exchange["id"]
        if exchange.get("req"):
            facts = request.read(json.dumps(exchange["req"]).encode(), dialect.request)
            assert meter.usage.total_input_tokens <= facts.input_token_bound
        if api != "openai.moderations":
            assert meter.usage_source is UsageSource.UPSTREAM
        count += 1
    assert count >= 3


@pytest.mark.parametrize(
    ("value", "texts"),
    [("a", 1), (["a"], 1), (["a", "b"], 2), ([1, 2, 3], 1), ([[1], [2, 3]], 2), ("", 1)],
)
def test_the_texts_of_an_input_are_counted(value, texts):
    """One text, several, or either as numbers of tokens."""
    assert texts == read(EMBEDDINGS, input=value).texts == read(COMPLETIONS, prompt=value).texts


@pytest.mark.parametrize(
    "value",
    [[], 7, {}, True, [None], ["a", 1], [1, True], [[1], "a"], [["a"]], [{"text": "a"}],
     [{"image": "data:x"}], ["a"] * 4_097],
)  # fmt: skip
def test_what_is_no_text_is_refused(value):
    """Nobody has said what a picture or an object costs here."""
    for dialect, name in ((EMBEDDINGS, "input"), (COMPLETIONS, "prompt")):
        with pytest.raises(BadRequest) as refused:
            read(dialect, **{name: value})
        assert name == refused.value.param


@given(st.lists(st.text(max_size=300), min_size=1, max_size=8))
def test_each_text_may_be_as_long_as_the_model_reads(texts):
    """The model's own limit holds for a text: several cost several times as much."""
    bound = worst_case(read(EMBEDDINGS, input=texts), PRICE)
    # An honest tokenizer makes at most one token of a byte.
    cost = sum(min(LIMIT, len(text.encode())) for text in texts)
    assert cost <= bound.input_tokens
    assert (0, 0) == (bound.max_output_tokens, bound.sent_max_output_tokens)
    assert bound.amount_nano_usd == bound.input_tokens * 1_000


def test_a_query_is_read_with_each_document():
    """A reranker reads the query as often as there are documents, and the bound knows it."""
    query, documents = "q" * 50, ["d"] * 40
    facts = read(RERANK, query=query, documents=documents)
    assert facts.input_token_bound >= 40 * (50 + 1)
    assert 40 == facts.texts
    # One character of 3 bytes is 18 letters once it is normalised.
    facts = read(RERANK, query="\ufdfa" * 100, documents=["d"] * 1_000)
    assert facts.input_token_bound >= 1_000 * 100 * 33


@pytest.mark.parametrize(
    ("dialect", "members", "param"),
    [
        (EMBEDDINGS, {"input": "a", "stream": True}, "stream"),
        (EMBEDDINGS, {"input": "a", "max_tokens": 5}, "max_tokens"),
        (EMBEDDINGS, {"input": "a", "tools": []}, "tools"),
        (EMBEDDINGS, {"input": "a", "messages": [{"role": "user", "content": "x"}]}, "messages"),
        (EMBEDDINGS, {"input": "a", "images": ["x"]}, "images"),
        (EMBEDDINGS, {}, "input"),
        (EMBEDDINGS, {"input": "a", "Input": "b"}, "Input"),
        (EMBEDDINGS, {"input": "a", "service_tier": "flex"}, "service_tier"),
        (COMPLETIONS, {"prompt": "a", "best_of": 3}, "best_of"),
        (COMPLETIONS, {"prompt": "a", "n": 2, "best_of": 3}, "best_of"),
        (COMPLETIONS, {"prompt": "a", "max_completion_tokens": 3}, "max_completion_tokens"),
        (COMPLETIONS, {}, "prompt"),
        (RERANK, {"documents": ["a"]}, "query"),
        (RERANK, {"query": "a", "documents": []}, "documents"),
        (RERANK, {"query": "a", "documents": [{"image": "x"}]}, "documents"),
        (RERANK, {"query": "a", "documents": [["x"]]}, "documents"),
        (MODERATIONS, {"input": [{"type": "video"}]}, "input"),
        (MODERATIONS, {}, "input"),
    ],
)  # fmt: skip
def test_what_costs_more_than_its_text_is_refused(dialect, members, param):
    """The refusal names the member."""
    with pytest.raises(BadRequest) as refused:
        read(dialect, **members)
    assert param == refused.value.param


def test_each_prompt_has_its_choices():
    """Two prompts with three choices each are six answers, each to its limit."""
    facts = read(COMPLETIONS, prompt=["a", "b"], n=3, best_of=3, max_tokens=10)
    assert (6, 2, 10) == (facts.choices, facts.texts, facts.max_output_tokens)
    bound = worst_case(facts, PRICE)
    assert bound.amount_nano_usd == (bound.input_tokens + 60) * 1_000


def test_a_completion_is_asked_for_its_limit_and_its_usage():
    """A prompt without a limit gets one, and a stream tells its usage, as for chats."""
    facts = read(COMPLETIONS, prompt="a", stream=True)
    body = json.dumps({"model": "m", "prompt": "a", "stream": True}).encode()
    sent = rewrite.upstream_body(
        body, COMPLETIONS.request, asked=facts, model="up", max_output_tokens=50
    )
    assert {"model": "up", "prompt": "a", "stream": True, "max_tokens": 50,
            "stream_options": {"include_usage": True}} == json.loads(sent)  # fmt: skip


def test_pictures_are_bounded_by_the_models_own_limit():
    """What a moderated picture costs no vendor says."""
    part = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}
    assert read(MODERATIONS, input=[part, {"type": "text", "text": "a"}]).unbounded_input
    assert not read(MODERATIONS, input=["a", "b"]).unbounded_input


@pytest.mark.parametrize(
    ("dialect", "document"),
    [
        (EMBEDDINGS, {"data": [{"embedding": [0.1], "secret": "x"}], "usage": {"total_tokens": 3}}),
        (RERANK, {"results": [{"index": 0, "relevance_score": 0.5, "document": {"text": "a"}}],
                  "meta": {"tokens": {"input_tokens": 3}}, "upstream": "x"}),
        (RERANK, {"results": [{"index": 0, "url": "x"}], "usage": {"total_tokens": 3}}),
        (MODERATIONS, {"results": [{"flagged": False, "why": "x"}], "usage": {"total_tokens": 3}}),
    ],
)  # fmt: skip
def test_only_what_is_listed_reaches_a_client(dialect, document):
    """A member that nobody knows is left out, and the report is read wherever it stands."""
    meter = BodyMeter(dialect.answer)
    meter.feed(json.dumps(document).encode())
    passed = json.loads(meter.finish())
    assert not {"secret", "upstream", "url", "why"} & set(json.dumps(passed).split('"'))
    assert 3 == meter.usage.total_input_tokens


@pytest.mark.parametrize("dialect", [COMPLETIONS, EMBEDDINGS, MODERATIONS, RERANK])
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data":1}', b'{"error":{"message":"m"}}'])
def test_a_body_that_is_no_answer_is_none(dialect, body):
    """Nothing of it passes."""
    meter = BodyMeter(dialect.answer)
    meter.feed(body)
    assert (b"", False) == (meter.finish(), meter.finished)
