"""A close bound is never below what was billed, and close to it."""

import base64
import itertools
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects import billed, corpus
from tests.unit.dialects.conversation.test_bound import APIS, MODELS, facts_of
from tests.unit.dialects.request.test_pictures import data_url, png
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.conversation.translation import Target, Untranslatable
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import close_bound, request
from tollgate_dialects.tokens import calibration, vocabulary

CHAT, MESSAGES, RESPONSES = (
    Protocol.OPENAI_CHAT,
    Protocol.ANTHROPIC_MESSAGES,
    Protocol.OPENAI_RESPONSES,
)
WORDS = st.text(max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


def close(protocol, model, document):
    known = calibration.of_model(model)
    return close_bound.count(orjson.dumps(document), DIALECTS[protocol].request, known).tokens


def chat(*messages, **fields):
    return {"model": "m", "messages": list(messages), **fields}


def user(content):
    return {"role": "user", "content": content}


def test_promise_rule_2_no_recorded_call_was_billed_more_than_its_close_bound():
    """Every recorded call of a calibrated model: bound / billed is never below one."""
    found = billed.calls()
    assert len(found) > 300
    assert [] == [call.exchange_id for call in found if call.close_tokens < call.billed_tokens]


def test_the_bound_is_close():
    """From 200 tokens on: 1.6 of the bill at most vendors, 2 at the others, in 95 of 100 calls."""
    for (protocol, word), ratios in billed.by_vendor(billed.calls(), least=200).items():
        most = {"claude": 2.0, "claude-5": 2.0, "gpt-4o": 2.0}.get(word, 1.6)
        assert billed.percentile(ratios, 95) <= most, (protocol, word)


@given(WORDS, WORDS, st.booleans())
def test_a_text_is_counted_whole(system, said, as_parts):
    """As the vocabulary has it, with three tokens a message, and three to begin the answer."""
    content = [{"type": "text", "text": said}] if as_parts else said
    document = chat({"role": "system", "content": system}, user(content))
    bill = vocabulary.o200k(system) + vocabulary.o200k(said) + 2 * (1 + 3) + 3
    assert bill <= close(CHAT, "gpt-4o", document)


@given(JSON)
def test_what_no_protocol_names_is_counted_as_it_is_written(value):
    """Arguments, results and names that are not known: each of their strings and names is in."""

    def texts(inner):
        if isinstance(inner, str):
            yield inner
        elif isinstance(inner, list):
            yield from itertools.chain.from_iterable(map(texts, inner))
        elif isinstance(inner, dict):
            for name, member in inner.items():
                yield name
                yield from texts(member)

    try:
        call = {"type": "tool_use", "id": "t", "name": "n", "input": {"v": value}}
        document = chat({"role": "assistant", "content": [call]}, max_tokens=9)
        request.read(orjson.dumps(document), DIALECTS[MESSAGES].request)
    except (BadRequest, TypeError):
        return
    least = sum(len(text.strip()) > 0 for text in texts(value))
    bare = close(MESSAGES, "claude-sonnet-4-5", chat(user("")))
    assert least <= close(MESSAGES, "claude-sonnet-4-5", document) - bare + 20


@given(st.text(max_size=300))
def test_the_dearest_vocabulary_is_none_that_is_cheaper(text):
    """Never fewer tokens than o200k_base has."""
    assert vocabulary.o200k(text) <= vocabulary.dearest(text)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 40_000,
        "网关" * 10_000,
        "ab" * 20_000,
        " \n" * 20_000,
        "e\u0301" * 10_000,
        "word " * 9_000,
    ],
)
def test_a_text_in_pieces_is_no_less_than_the_whole(text):
    """Where a piece ends, no merge across the cut is missed."""
    whole = vocabulary._encoding().count(text)
    assert whole <= vocabulary.o200k(text) <= whole + len(text) // 8_192 * 16


def test_what_was_counted_is_remembered_by_vocabulary():
    """The same text is different numbers of tokens in each."""
    text = "Шлюз должен зарезервировать максимальную стоимость. " * 30
    first = vocabulary.o200k(text), vocabulary.dearest(text)
    assert first == (vocabulary.o200k(text), vocabulary.dearest(text))
    assert first[0] < first[1]


def test_a_picture_is_no_text():
    """It counts by its pixels; one whose size cannot be told counts as text, too."""
    url = data_url(png(1024, 1024, (b"tEXt", bytes(100_000))))
    picture = {"type": "image_url", "image_url": {"url": url}}
    tokens = close(CHAT, "gpt-4o", chat(user([picture])))
    assert 25_501 <= tokens < 25_600
    odd = {"type": "image_url", "image_url": {"url": url[:-1] + "*"}}
    assert close(CHAT, "gpt-4o", chat(user([odd]))) > 50_000 + 10_000


@pytest.mark.parametrize("text", [bytes(60_000), "\ueeec".encode() * 20_000])
@pytest.mark.parametrize("place", ["{}", '{{"function_response":{{"name":"f","parts":[{}]}}}}'])
def test_a_file_of_text_is_no_less_than_what_it_says(text, place):
    """Its base64 reads shorter than the text that the model is given."""
    blob = {"mimeType": "text/plain", "data": base64.b64encode(text).decode()}
    part = json.loads(place.format(json.dumps({"inlineData": blob})))
    said = {"contents": [{"parts": [{"text": text.decode()}]}]}
    file = {"contents": [{"parts": [part]}]}
    assert close(Protocol.GEMINI, "gemini-2.5-flash", said) <= close(
        Protocol.GEMINI, "gemini-2.5-flash", file
    )


def test_settings_and_books_cost_nothing():
    """What no model reads."""
    plain = chat(user("hi"))
    assert close(CHAT, "gpt-4o", plain) == close(
        CHAT, "gpt-4o", plain | {"user": "u" * 900, "metadata": {"a": "b" * 500}, "top_p": 0.5}
    )


def test_what_a_declaration_says_to_the_model_is_counted():
    """All but flags of the vendor's own checks; each line of a description is introduced."""
    schema = {"type": "object", "properties": {"required": {"type": "string"}}}
    function = {"name": "f", "description": "one\ntwo\nthree", "parameters": schema}
    tool = {"type": "function", "function": function}
    base = close(CHAT, "gpt-5", chat(user("hi"), tools=[tool]))
    strict = {"strict": True, "parameters": schema | {"required": ["required"]}}
    more = {"type": "function", "function": function | strict}
    assert base == close(CHAT, "gpt-5", chat(user("hi"), tools=[more]))
    longer = {"type": "function", "function": function | {"description": "one\n" * 50}}
    assert close(CHAT, "gpt-5", chat(user("hi"), tools=[longer])) >= base + 3 * 47
    assert close(CHAT, "gpt-5", chat(user("hi"), tools=[tool] * 9)) > base + 8 * 15


def test_thinking_that_only_its_vendor_reads():
    """OpenAI's has at most a token for 5 of its characters; of another's, each may be one."""
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "A" * 4_000}
    tokens = close(RESPONSES, "gpt-5", {"model": "m", "input": [item]})
    assert 1_000 <= tokens < 1_050
    part = {"type": "thinking", "thinking": "", "signature": "A" * 4_000}
    document = chat({"role": "assistant", "content": [part]}, max_tokens=9)
    assert close(MESSAGES, "claude-sonnet-4-5", document) >= 4_000


@pytest.mark.parametrize(
    "model",
    ["gpt-6-sol", "gpt-4o-audio-preview", "gpt-4o-search-preview", "llama-3.1-8b", "my-gpt-4o",
     "gpt-4o:free", "claude-2.1", "claude-3.7-sonnet:thinking", "o3-pro", "qwen3-max", ""],
)  # fmt: skip
def test_an_unknown_model_has_no_calibration(model):
    """Its vocabulary may be any: its bytes bound it."""
    assert calibration.of_model(model) is None


@pytest.mark.parametrize(
    ("model", "word"),
    [("gpt-4o-2024-11-20", "gpt-4o"), ("gpt-5.4-mini-2026-03-17", "gpt-5"), ("o3-mini", "gpt-o"),
     ("claude-sonnet-4-5-20250929", "claude"), ("claude-opus-4-8", "claude-5"),
     ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-bedrock"), ("gpt-4-turbo-2024-04-09", "gpt-4"),
     ("models/gemini-2.5-flash", "gemini"), ("deepseek-v4-flash", "deepseek-4")],
)  # fmt: skip
def test_a_known_model_is_known_by_its_upstreams_name(model, word):
    """With and without its date."""
    assert word == calibration.of_model(model).word
    assert calibration.BY_WORD[word] is calibration.of_model(model)


PAIRS = [
    (source, target)
    for source, target in itertools.permutations(MODELS, 2)
    if calibration.of_model(MODELS[target])
]


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=lambda protocol: protocol.value)
def test_a_translated_request_is_covered(source, target):
    """What an upstream of another protocol is sent counts no more than was said of the request."""
    known = calibration.of_model(MODELS[target])
    tried = 0
    for api, protocol in APIS.items():
        for exchange in corpus.exchanges(api) if protocol is source else ():
            document = exchange.get("req")
            if exchange["status"] != 200 or not isinstance(document, dict):
                continue
            try:
                body = orjson.dumps(document)
                facts = facts_of(document, source)
                asked = DIALECTS[source].translation.read_request(document)
                goal = Target(MODELS[target], facts.max_output_tokens or 1_000)
                written = DIALECTS[target].translation.write_request(asked, goal)
            except (BadRequest, Untranslatable):
                continue
            if facts.unbounded_input:
                continue
            said = close_bound.count(body, DIALECTS[source].request, known)
            sent = orjson.dumps(written.document)
            rules = DIALECTS[target].request
            assert close_bound.count(sent, rules, known).tokens <= said.translated_tokens, exchange[
                "id"
            ]
            tried += 1
    assert tried > 10


def test_facts_take_whichever_is_lower():
    """A close bound never raises what the bytes say."""
    body = json.dumps(chat(user("hi" * 4_000))).encode()
    facts = request.read(body, DIALECTS[CHAT].request)
    high = close_bound.CloseBound(10**9, 10**9)
    assert facts == high.of(facts)
    low = close_bound.CloseBound(7, 9).of(facts)
    assert (7, 9) == (low.input_token_bound, low.translated_token_bound)
