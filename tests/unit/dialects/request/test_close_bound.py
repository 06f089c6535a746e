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
    """From 200 tokens on: 1.3 of the bill at most vendors, 1.5 at the others, in 95 of 100 calls."""
    for (protocol, word), ratios in billed.by_vendor(billed.calls(), least=200).items():
        most = 1.5 if word in ("claude-5", "gemini", "deepseek-4") else 1.32
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
    assert 765 <= close(CHAT, "gpt-4o", chat(user([picture]))) < 800
    assert 25_501 <= close(CHAT, "gpt-4o-mini", chat(user([picture]))) < 25_600
    odd = {"type": "image_url", "image_url": {"url": url[:-1] + "*"}}
    assert close(CHAT, "gpt-4o", chat(user([odd]))) > 1_445 + 10_000
    whole = {"type": "image_url", "image_url": {"url": data_url(png(70_000, 5))}}
    assert close(CHAT, "gpt-4o", chat(user([whole]))) < 1_500


FETCHED = [
    (CHAT, "gpt-4o", {"type": "image_url", "image_url": {"url": "https://p/1.png"}}, 1_445),
    (CHAT, "gpt-4o", {"type": "image_url", "image_url": {"url": "http://p", "detail": "low"}}, 85),
    (RESPONSES, "gpt-5.4", {"type": "input_image", "image_url": "https://p"}, 3_000),
    (RESPONSES, "gpt-5.4", {"type": "input_image", "image_url": "https://p", "detail": "?"}, 12_000),
    (MESSAGES, "claude-haiku-4-5", {"type": "image", "source": {"type": "url", "url": "https://p"}},
     1_600),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "model", "part", "tokens"), FETCHED)
def test_a_picture_that_the_vendor_fetches_is_the_largest_it_takes(protocol, model, part, tokens):
    """Its address is no bound, so without a model that is known the model's own limit is."""
    said = {"messages": [user([part])], "max_tokens": 9}
    if protocol is RESPONSES:
        said = {"input": [{"type": "message"} | user([part])]}
    body = orjson.dumps({"model": "m", **said})
    rules = DIALECTS[protocol].request
    facts = request.read(body, rules)
    assert (True, True) == (facts.unbounded_input, facts.fetches_pictures)
    found = close_bound.count(body, rules, calibration.of_model(model)).of(facts)
    assert not found.unbounded_input
    assert tokens <= found.input_token_bound <= tokens + 60
    assert found.input_token_bound <= found.translated_token_bound
    # Gemini may fetch whatever is there.
    for other in ("gemini-3-flash-preview", "deepseek-chat"):
        assert close_bound.count(body, rules, calibration.of_model(other)).of(facts).unbounded_input


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "ftp://p"}},
        {"type": "image_url", "image_url": {"url": "https://p", "file_id": "f"}},
        {"type": "file", "file": {"file_id": "f"}},
    ],
)
def test_what_else_the_bytes_do_not_bound_no_count_bounds(part):
    """Beside a picture that alone would have been bounded."""
    picture = {"type": "image_url", "image_url": {"url": "https://p/1.png"}}
    body = orjson.dumps(chat(user([picture, part])))
    facts = request.read(body, DIALECTS[CHAT].request)
    assert (True, False) == (facts.unbounded_input, facts.fetches_pictures)
    known = calibration.of_model("gpt-4o")
    assert close_bound.count(body, DIALECTS[CHAT].request, known).of(facts).unbounded_input


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


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("text/plain", b"\xff\xfe" + b"a\0" * 3_000),
        ("text/plain; charset=iso-2022-jp", b"$B4A;z" * 1_000),
    ],
)
def test_a_file_in_another_alphabet_is_as_much_as_may_be_made_of_its_bytes(kind, data):
    """A token for each, and itself."""
    blob = {"mimeType": kind, "data": base64.b64encode(data).decode()}
    file = {"contents": [{"parts": [{"inlineData": blob}]}]}
    assert len(data) * 4 // 3 < close(Protocol.GEMINI, "gemini-2.5-flash", file)


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


def thought(**fields):
    return {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "encrypted_content": "A" * 4_000,
    } | fields


def test_thinking_that_only_its_vendor_reads():
    """A token for so many of its characters as were never fewer."""
    tokens = close(RESPONSES, "gpt-5", {"model": "m", "input": [thought()]})
    assert (4_000 - 512) / 5 <= tokens < 720
    for model, least in (("claude-sonnet-4-5", 4_000 / 3), ("gemini-3-pro", 1_000)):
        part = {"type": "thinking", "thinking": "", "signature": "A" * 4_000}
        document = chat({"role": "assistant", "content": [part]}, max_tokens=9)
        assert least <= close(MESSAGES, model, document) < least + 50
        redacted = {"type": "redacted_thinking", "data": "A" * 4_000}
        document = chat({"role": "assistant", "content": [redacted]}, max_tokens=9)
        assert least <= close(MESSAGES, model, document) < least + 50
    part = {"type": "thinking", "thinking": "", "signature": "A" * 4_000}
    document = chat({"role": "assistant", "content": [part]}, max_tokens=9)
    assert 4_000 <= close(MESSAGES, "deepseek-chat", document)


def test_what_was_thought_before_the_users_last_word_is_not_read():
    """By OpenAI's models before gpt-5.6, unless they are asked to."""
    word = {"type": "message"} | user("and now?")
    for model, context, is_read in (
        ("gpt-5", None, False), ("o3", "auto", False), ("gpt-5.5", "all_turns", True),
        ("gpt-5.6", None, True), ("gpt-5.6", "current_turn", False), ("gpt-5", "?", True),
    ):  # fmt: skip
        document = {"model": "m", "input": [thought(), word]}
        if context:
            document["reasoning"] = {"context": context}
        assert is_read == (close(RESPONSES, model, document) > 690), (model, context)
        later = document | {"input": [word, thought()]}
        assert close(RESPONSES, model, later) > 690
        rules, known = DIALECTS[RESPONSES].request, calibration.of_model(model)
        assert close_bound.count(orjson.dumps(document), rules, known).translated_tokens > 690


DEFERRED = {"name": "f", "description": "later", "input_schema": {"d": "word " * 900}}


@pytest.mark.parametrize(
    ("more", "is_whole"),
    [
        ({}, False),
        ({"tool_choice": {"type": "auto"}}, False),
        ({"tool_choice": {"type": "tool", "name": "f"}}, True),
        ({"messages": [user([{"type": "tool_addition", "name": "f"}])]}, True),
        ({"messages": [user([{"type": "tool_result", "tool_use_id": "t", "content": [
            {"type": "tool_reference", "tool_name": "f"}]}])]}, True),
    ],
)  # fmt: skip
def test_a_tool_that_comes_later_is_its_name_until_it_comes(more, is_whole):
    """Whatever brings it brings the whole declaration; so may a search that runs at the vendor."""
    shown = {"name": "search", "input_schema": {"type": "object"}}
    document = chat(user("hi"), max_tokens=9, tools=[shown, DEFERRED | {"defer_loading": True}])
    assert is_whole == (close(MESSAGES, "claude-sonnet-4-6", document | more) > 900 + 600)
    search = {"type": "tool_search_tool_regex_20251119", "name": "s"}
    hosted = document | {"tools": [search, *document["tools"]]}
    assert close(MESSAGES, "claude-sonnet-4-6", hosted) > 900 + 600
    at_once = document | {"tools": [shown, DEFERRED]}
    assert close(MESSAGES, "claude-sonnet-4-6", at_once) > 900 + 600
    # Another protocol's model is told of all tools at once.
    known, rules = calibration.of_model("claude-sonnet-4-6"), DIALECTS[MESSAGES].request
    said = close_bound.count(orjson.dumps(document | more), rules, known)
    assert said.translated_tokens > 900 + 600


@pytest.mark.parametrize(
    ("model", "told", "forced"),
    [("claude-opus-4-1", 313, 315), ("claude-3-5-haiku-latest", 264, 355), ("claude-3-opus-latest", 530, 281),
     ("claude-sonnet-4-5", 496, 588), ("claude-opus-4-6", 497, 589), ("claude-opus-4-7", 675, 804),
     ("claude-opus-4-8", 290, 410), ("claude-sonnet-5", 354, 474)],
)  # fmt: skip
def test_tools_at_claude_come_with_the_prompt_that_is_published(model, told, forced):
    """Tokens by model, and by whether it has to call one (docs: tool use, pricing)."""
    tool = {"name": "f", "input_schema": {"type": "object"}}
    bare = close(MESSAGES, model, chat(user("hi")))
    for choice, tokens in (("auto", told), ("none", told), ("any", forced), ("tool", forced)):
        asked = chat(user("hi"), tools=[tool], tool_choice={"type": choice})
        assert tokens < close(MESSAGES, model, asked) - bare


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
    [("gpt-4o-2024-11-20", "gpt-4o"), ("gpt-5.4-mini-2026-03-17", "gpt-5/5.4"), ("o3-mini", "gpt-o"),
     ("gpt-5-codex", "gpt-5/5.6"), ("gpt-5.2", "gpt-5/mini"), ("gpt-4.1-nano", "gpt-4o/4.1-nano"),
     ("gpt-5.7-sol", "gpt-5/5.6"), ("claude-opus-4-7", "claude-5/most"), ("claude-3-opus-20240229", "claude/3-opus"),
     ("claude-sonnet-4-0", "claude/4"), ("claude-sonnet-5", "claude-5"), ("claude-haiku-5-5", "claude-5/most"),
     ("claude-sonnet-4-5-20250929", "claude"), ("claude-opus-4-8", "claude-5"),
     ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-bedrock"), ("gpt-4-turbo-2024-04-09", "gpt-4"),
     ("models/gemini-2.5-flash", "gemini/2"), ("gemini-3.8-flash", "gemini"), ("deepseek-v4-flash", "deepseek-4")],
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
            said = close_bound.count(body, DIALECTS[source].request, known)
            if said.of(facts).unbounded_input:
                continue
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
