"""Prices, costs and the worst case."""

import json
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.pricing import bound, seed
from tollgate_dialects.pricing.cost import cost_nano_usd
from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import Usage
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import normalisation, request
from tollgate_dialects.request.rules import RequestFacts
from tollgate_dialects.request.server_tools import NO_SERVER_TOOLS, ServerTools

PRICE = Price.of(
    model="m", version=1, source="seed", input_pico_usd=1_000_000, output_pico_usd=5_000_000,
    cache_read_pico_usd=100_000, cache_write_5m_pico_usd=1_250_000,
    cache_write_1h_pico_usd=2_000_000, max_input_tokens=200_000, max_output_tokens=64_000,
)  # fmt: skip
FACTS = RequestFacts(
    model="m", stream=False, max_output_tokens=100, choices=1, wants_usage=False,
    input_token_bound=1_000, unbounded_input=False, cache_write="none",
    limit_names=(), present=frozenset(),
)  # fmt: skip

amounts = st.integers(0, 10**9)
counts = st.integers(1, 10**7)


@st.composite
def prices(draw):
    values = {unit.price_field: draw(amounts) for unit in Unit}
    threshold = draw(st.just(0) | counts)
    if threshold:
        values |= {
            f"long_{unit.price_field}": draw(amounts) for unit in Unit if not unit.is_optional
        }
    return Price.of(
        model="m", version=1, source="seed", max_input_tokens=draw(counts),
        max_output_tokens=draw(counts), long_context_tokens=threshold, **values,
    )  # fmt: skip


@st.composite
def tools_at_vendor(draw):
    searches = draw(st.integers(0, 20))
    return ServerTools(
        searches=searches,
        containers=draw(st.integers(0, 2)),
        readings=draw(st.integers(1 + (searches > 0), 21)),
        reading_tokens=draw(st.just(0) | counts),
        is_limit_per_turn=draw(st.booleans()),
    )


@st.composite
def calls(draw):
    """A request, a price, and a usage that an honest upstream can report for it."""
    price = draw(prices())
    facts = RequestFacts(
        model="m", stream=draw(st.booleans()), max_output_tokens=draw(st.none() | counts),
        choices=draw(st.integers(1, 128)), wants_usage=False, input_token_bound=draw(counts),
        unbounded_input=draw(st.booleans()), cache_write=draw(st.sampled_from(["none", "5m", "1h"])),
        limit_names=(), present=frozenset(),
        server_tools=draw(st.just(NO_SERVER_TOOLS) | tools_at_vendor()),
        beyond_limit_tokens=draw(st.just(0) | counts),
        audio_tokens=draw(st.just(0) | counts), speaks=draw(st.booleans()),
    )  # fmt: skip
    cap = draw(st.none() | counts)
    most = price.max_input_tokens
    if not facts.unbounded_input:
        most = min(most, facts.input_token_bound)
    sent = bound.worst_case(facts, price, output_cap=cap).sent_max_output_tokens
    # Without a limit, an answer ends at the model's own, or where the context is full.
    limit = sent or min(price.max_output_tokens, price.max_input_tokens)
    tools = facts.server_tools
    limits = [limit] * (tools.readings if tools.is_limit_per_turn else 1)
    answers = [draw(st.integers(0, each)) for each in limits]
    beyond = facts.beyond_limit_tokens * len(limits)
    # Each reading holds the request, and either what was brought or what has been written so far.
    total = draw(st.integers(0, most))
    for turn in range(1, tools.readings):
        written = sum(answers[:turn]) if tools.is_limit_per_turn else limit
        again = max(most, tools.reading_tokens) if tools.reading_tokens else most + written
        total += draw(st.integers(0, min(again, price.max_input_tokens)))
    cuts = sorted(draw(st.lists(st.integers(0, total), min_size=3, max_size=3)))
    read, write_5m, write_1h = cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1]
    if facts.cache_write == "none":
        write_5m = 0
    if facts.cache_write != "1h":
        write_1h = 0
    usage = Usage.of(
        input_tokens=total - read - write_5m - write_1h, cache_read_tokens=read,
        cache_write_5m_tokens=write_5m, cache_write_1h_tokens=write_1h,
        output_tokens=draw(st.integers(0, (sum(answers) + beyond) * facts.choices)),
        web_search_requests=draw(st.integers(0, tools.searches)),
        container_sessions=draw(st.integers(0, tools.containers)),
    )  # fmt: skip
    heard = draw(st.integers(0, min(facts.audio_tokens, most) * tools.readings))
    spoken = draw(st.integers(0, usage[Unit.OUTPUT])) if facts.speaks else 0
    return facts, price, cap, usage.with_audio(heard=heard, spoken=spoken)


@given(calls())
def test_trust_10_promise_rule_2_the_worst_case_is_never_below_an_honest_cost(call):
    """For every request, price and honest usage: charge ≤ reserve."""
    facts, price, cap, usage = call
    worst = bound.worst_case(facts, price, output_cap=cap)
    assert cost_nano_usd(usage, price) <= worst.amount_nano_usd


@given(calls(), st.integers(0, 10**12))
def test_what_is_said_to_fit_fits_and_one_more_does_not(call, budget):
    """The affordable limit is exact; with tools at the vendor it is one that fits."""
    facts, price, _, _ = call
    fits = bound.affordable_output_tokens(facts, price, budget)

    def worst(limit):
        return bound.worst_case(facts._replace(max_output_tokens=limit), price).amount_nano_usd

    is_exact = facts.server_tools.readings == 1
    if fits is None:
        assert worst(1) > budget or not is_exact
        return
    assert worst(fits) <= budget
    if is_exact and fits < price.max_output_tokens:
        assert worst(fits + 1) > budget


@given(calls(), st.integers(0, 10**12))
def test_a_client_that_named_no_limit_gets_a_modest_one(call, budget):
    """It fits, with room for another call where there is much; too little for an answer is none."""
    facts, price, _, _ = call
    facts = facts._replace(max_output_tokens=None)
    fits = bound.affordable_output_tokens(facts, price, budget)
    modest = bound.modest_output_tokens(facts, price, budget)
    enough = min(4_096, price.max_output_tokens)
    assert (modest is None) == (fits is None or fits < enough)
    if modest is not None:
        assert min(enough, fits) <= modest <= max(enough, fits // 2 + 1)
        assert bound.worst_case(facts, price, output_cap=modest).amount_nano_usd <= budget


def test_what_is_worth_counting_by_hand():
    """A cent: 10,000 tokens at $1 a million; no text too long for the model."""
    assert bound.is_worth_counting(FACTS._replace(input_token_bound=10_000), PRICE)
    assert not bound.is_worth_counting(FACTS._replace(input_token_bound=9_999), PRICE)
    unbounded = FACTS._replace(unbounded_input=True)
    assert not bound.is_worth_counting(unbounded, PRICE)
    assert bound.is_worth_counting(unbounded._replace(fetches_pictures=True), PRICE)
    assert bound.is_worth_counting(FACTS._replace(input_token_bound=1_600_000), PRICE)
    assert not bound.is_worth_counting(FACTS._replace(input_token_bound=1_600_001), PRICE)


@given(prices(), st.lists(st.integers(0, 10**9), min_size=len(Unit), max_size=len(Unit)))
def test_a_cost_is_exact_and_rounded_up_once(price, values):
    """The cost is the ceiling of the exact sum; no float is near it."""
    usage = Usage(tuple(values))
    reading = usage.total_input_tokens // (1 + usage[Unit.WEB_SEARCH])
    tier = price.long_rates if 0 < price.long_context_tokens < reading else price.rates
    words = {Unit.AUDIO_INPUT: Unit.INPUT, Unit.AUDIO_OUTPUT: Unit.OUTPUT}
    exact = sum(Fraction(c * p, 1000) for c, p in zip(values, tier, strict=True)) + sum(
        Fraction(usage[sound] * tier[word.position], 1000)
        for sound, word in words.items()
        if not tier[sound.position]
    )
    cost = cost_nano_usd(usage, price)
    assert isinstance(cost, int)
    assert 0 <= cost - exact < 1


def test_the_limit_that_is_used():
    """The request's, even above the model's; else the key's; else the model's."""
    asks = FACTS._replace(max_output_tokens=70_000)
    assert 70_000 == bound.worst_case(asks, PRICE, output_cap=5).max_output_tokens
    silent = FACTS._replace(max_output_tokens=None)
    assert 5 == bound.worst_case(silent, PRICE, output_cap=5).max_output_tokens
    assert 64_000 == bound.worst_case(silent, PRICE, output_cap=10**9).max_output_tokens
    assert 64_000 == bound.worst_case(silent, PRICE).max_output_tokens


def test_case_M12_an_injected_limit_fits_beside_the_input():
    """8k of context, a model entered with 32,000: never a limit that the vendor would refuse."""
    silent = FACTS._replace(max_output_tokens=None)
    small = replace(PRICE, max_input_tokens=8_192, max_output_tokens=32_000)
    worst = bound.worst_case(silent, small)
    assert (7_192, 7_192) == (worst.sent_max_output_tokens, worst.max_output_tokens)
    assert 7_192 == bound.worst_case(silent, small, output_cap=10_000).sent_max_output_tokens
    assert 500 == bound.worst_case(silent, small, output_cap=500).sent_max_output_tokens


@pytest.mark.parametrize("input_bound", [4_097, 8_192, 100_000])
def test_case_M12_where_little_room_is_left_no_limit_is_sent(input_bound):
    """Bytes are not tokens: an answer is not cut short for them; the model's own limit is reserved.

    With a cap the limit is always sent: without it the reserve would not be true.
    """
    silent = FACTS._replace(max_output_tokens=None, input_token_bound=input_bound)
    small = replace(PRICE, max_input_tokens=8_192, max_output_tokens=32_000)
    worst = bound.worst_case(silent, small)
    assert (None, 8_192) == (worst.sent_max_output_tokens, worst.max_output_tokens)
    assert worst.input_tokens <= 8_192
    capped = bound.worst_case(silent, small, output_cap=500)
    assert 500 == capped.sent_max_output_tokens == capped.max_output_tokens


@given(calls())
def test_case_M12_the_limit_that_is_sent_is_the_one_that_is_reserved(call):
    """A client's own limit is sent unchanged; an injected one is never above the reserve or cap."""
    facts, price, cap, _ = call
    worst = bound.worst_case(facts, price, output_cap=cap)
    assert worst.sent_max_output_tokens in (None, worst.max_output_tokens)
    assert worst.request_tokens <= price.max_input_tokens
    assert worst.input_tokens <= price.max_input_tokens * facts.server_tools.readings
    if facts.max_output_tokens is not None:
        assert facts.max_output_tokens == worst.sent_max_output_tokens
        return
    assert worst.max_output_tokens <= min(price.max_output_tokens, cap or price.max_output_tokens)
    if cap is not None:
        assert worst.sent_max_output_tokens is not None


def test_a_worst_case_by_hand():
    """1,000 tokens in at $1 a million, 100 out at $5: 1.5 million nano-USD; each dimension counts."""
    assert 1_500_000 == bound.worst_case(FACTS, PRICE).amount_nano_usd
    assert 2_000_000 == bound.worst_case(FACTS._replace(choices=2), PRICE).amount_nano_usd
    hour = FACTS._replace(cache_write="1h")
    assert 2_500_000 == bound.worst_case(hour, PRICE).amount_nano_usd
    unbounded = FACTS._replace(unbounded_input=True)
    assert 200_500_000 == bound.worst_case(unbounded, PRICE).amount_nano_usd
    assert 0 == bound.worst_case(FACTS._replace(max_output_tokens=0), PRICE).max_output_tokens


def test_a_worst_case_with_searches_by_hand():
    """Two searches at $10 a thousand, each read again with all that the model takes."""
    price = Price.of(**PRICE.fields() | {"web_search_pico_usd": 10_000_000_000})
    tools = ServerTools(searches=2, readings=3, reading_tokens=10**9, is_limit_per_turn=True)
    worst = bound.worst_case(FACTS._replace(server_tools=tools), price)
    assert (401_000, 1_000) == (worst.input_tokens, worst.request_tokens)
    assert 401_000_000 + 3 * 500_000 + 2 * 10_000_000 == worst.amount_nano_usd
    # A search for tools brings nothing: 1,000 once more, with the 100 that were written.
    again = bound.worst_case(FACTS._replace(server_tools=ServerTools(readings=2)), PRICE)
    assert 2_100_000 + 500_000 == again.amount_nano_usd


@pytest.mark.parametrize(
    "changes",
    [{"input_pico_usd": -1}, {"max_input_tokens": 0}, {"max_output_tokens": 0},
     {"long_input_pico_usd": 5}],
)  # fmt: skip
def test_a_price_that_cannot_be_bounded_is_refused(changes):
    """No negative amount, no missing limit, no half tier."""
    with pytest.raises(ValueError, match=r"must|need"):
        Price.of(**PRICE.fields() | changes)


def test_seed_prices_are_whole_and_sane():
    """Some 70 models with every class priced, output never cheaper than a cached read."""
    models = [*seed.models(), *seed.demo_models()]
    assert 60 <= len(models) <= 90
    assert len(models) == len({model.price.model for model in models})
    assert {"demo-gpt", "demo-claude", "gpt-4o-mini", "claude-sonnet-4-5"} <= {
        model.price.model for model in models
    }
    for model in models:
        price = model.price
        assert "seed" == price.source
        for long in (False, bool(price.long_context_tokens)):
            rates = price.long_rates if long else price.rates
            if not any(rates):  # moderations are free
                continue
            read, output, cached, five, hour, search, heard, spoken, container = rates
            # Moderation is free.
            assert 0 < cached <= read <= five <= hour or not any(rates)
            assert search == price.rates[Unit.WEB_SEARCH.position]
            assert container == price.rates[Unit.CONTAINER.position]
            assert heard == 0 or heard >= read
            assert spoken == 0 or spoken >= output
            # What only reads, as an embedding, writes nothing.
            assert output >= read or not output


def test_a_seed_price_by_hand():
    """claude-sonnet-4-5: $3 in, $15 out, $0.30 read, $3.75 and $6 written, a million tokens.

    And $10 for a thousand searches.
    """
    found = {model.price.model: model.price for model in seed.models()}["claude-sonnet-4-5"]
    tokens = (3_000_000, 15_000_000, 300_000, 3_750_000, 6_000_000)
    assert (*tokens, 10_000_000_000, 0, 0, 0) == found.rates


def test_characters_that_grow_are_all_known():
    """The list of growing characters is what this Python's Unicode tables say."""
    import unicodedata

    text = "".join(chr(c) for c in range(0x80, 0x30000) if not 0xD800 <= c < 0xE000)
    forms = (unicodedata.normalize("NFC", c) + "|" + unicodedata.normalize("NFKC", c) for c in text)
    grown = sum(
        max(len(one.encode()) for one in form.split("|")) - len(c.encode())
        for c, form in zip(text, forms, strict=True)
        if c != "|" and max(len(one.encode()) for one in form.split("|")) > len(c.encode())
    )
    assert grown == normalisation.growth(text.encode()) > 1_000


def test_case_B2_the_cheap_bound_of_a_large_text_is_never_below_the_exact_one():
    """Above a mebibyte outside ASCII nothing is counted; the factor covers the worst character."""
    for character in ("\ufdfa", "\u0390", "\U0001d160", "\u4e2d"):
        text = character * (normalisation.EXACT_BYTES // len(character.encode()) + 1)
        exact = normalisation.growth(character.encode()) * len(text)
        assert exact <= normalisation.growth(text.encode())
        assert exact == 30 * len(text) or character != "\ufdfa"


@given(st.text(max_size=50))
def test_promise_rule_2_a_text_has_no_more_utf8_bytes_than_its_bound(text):
    """Bytes of any text, as written or normalised, stay within the input bound."""
    import unicodedata

    for ascii_only in (True, False):
        body = json.dumps({"model": "m", "messages": [{"content": text}]}, ensure_ascii=ascii_only)
        try:
            facts = request.read(body.encode(), DIALECTS[Protocol.OPENAI_CHAT].request)
        except (request.BadRequest, UnicodeEncodeError):
            continue
        for form in ("NFC", "NFKC"):
            size = len(unicodedata.normalize(form, text).encode())
            assert size <= facts.input_token_bound
