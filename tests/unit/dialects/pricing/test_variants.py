"""Other ways of serving: asked for, priced by a factor, bounded, charged as they are reported."""

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.pricing.test_bound import FACTS, PRICE, calls
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.answer.template import Shapes
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.pricing import seed
from tollgate_dialects.pricing.bound import worst_case
from tollgate_dialects.pricing.cost import cost_nano_usd
from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.priced import at_price
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import Usage
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import request
from tollgate_dialects.request.variants import Served, Variant

CHAT, MESSAGES = Protocol.OPENAI_CHAT, Protocol.ANTHROPIC_MESSAGES
RESPONSES = Protocol.OPENAI_RESPONSES
FACTORED = Price.of(
    **PRICE.fields()
    | {
        "flex_permille": 500,
        "priority_permille": 1_700,
        "fast_permille": 6_000,
        "us_permille": 1_100,
    }
)
ASKED = [
    (CHAT, "service_tier", "flex", Variant.FLEX), (CHAT, "service_tier", "fast", Variant.PRIORITY),
    (RESPONSES, "service_tier", "priority", Variant.PRIORITY),
    (MESSAGES, "speed", "fast", Variant.FAST), (MESSAGES, "inference_geo", "us", Variant.US),
]  # fmt: skip
# What vendors say of one member, or do not say.
TOLD = {"service_tier": ["default", "flex", "priority", "fast", "scale", None],
        "speed": ["standard", "fast", None], "inference_geo": ["global", "us", None]}  # fmt: skip
UNIT_COUNTS = Usage.of(input_tokens=10, output_tokens=5)


def read(protocol: Protocol, **members: Any) -> request.RequestFacts:
    said = {"input": "hi"} if protocol is RESPONSES else {"messages": []}
    body = {"model": "m", **said, **members}
    if protocol is MESSAGES:
        body["max_tokens"] = 100
    return request.read(json.dumps(body).encode(), DIALECTS[protocol].request)


@pytest.mark.parametrize(("protocol", "member", "name", "variant"), ASKED)
def test_trust_10_a_variant_without_a_factor_is_refused_by_its_name(
    protocol, member, name, variant
):
    """The refusal says which factor the operator has to set; with it the call is made."""
    facts = read(protocol, **{member: name})
    assert (variant,) == facts.variants
    with pytest.raises(BadRequest) as refused:
        at_price(facts, PRICE, is_spoken=True)
    assert (variant.title in refused.value.message, member) == (True, refused.value.param)
    assert f"price set MODEL --{variant.word} FACTOR" in refused.value.message
    assert at_price(facts, FACTORED, is_spoken=True) is facts


def test_elsewhere_a_variant_is_left_out_but_not_where_inference_runs():
    """No other vendor serves OpenAI's tiers; none keeps Anthropic's word on a country."""
    left = at_price(read(CHAT, service_tier="flex"), PRICE, is_spoken=False)
    assert () == left.variants
    with pytest.raises(BadRequest) as refused:
        at_price(read(MESSAGES, inference_geo="us"), FACTORED, is_spoken=False)
    assert "inference_geo" == refused.value.param


@st.composite
def factored_calls(draw):
    """A call, what it asks for, and how an honest vendor says that it has served it."""
    facts, price, cap, usage = draw(calls())
    factors = {v.factor_field: draw(st.integers(0, 10_000)) for v in Variant}
    price = Price.of(**price.fields() | factors)
    members = draw(st.sampled_from([("service_tier",), ("speed", "inference_geo")]))
    asked, told = [], []
    for member in members:
        names = [v for v in Variant if v.member == member and price.factor(v)]
        variant = draw(st.sampled_from([None, *names]))
        asked += [variant] if variant else []
        # Who asked for nothing is served in the ordinary way; nobody is served dearer than asked.
        most = max(price.factor(variant), 1_000)
        name = draw(st.sampled_from(TOLD[member]))
        if name is not None and price.served(((member, name),), ()) <= most * 1_000:
            told.append((member, name))
    return facts._replace(variants=tuple(asked)), price, cap, usage, tuple(told)


@given(factored_calls())
def test_trust_10_the_worst_case_covers_every_way_of_serving(call):
    """Downgraded, as asked, or not told: charge ≤ reserve."""
    facts, price, cap, usage, told = call
    factor_ppm = price.served(told, facts.variants)
    charged = Usage(usage.counts, factor_ppm=factor_ppm)
    worst = worst_case(facts, price, output_cap=cap)
    assert cost_nano_usd(charged, price) <= worst.amount_nano_usd


@given(factored_calls())
def test_a_factored_cost_is_the_exact_one_rounded_up(call):
    """Never below counts x rates x factor, and by less than a pico-USD a token above it."""
    _, price, _, usage, told = call
    factor_ppm = price.served(told, ())
    cost = cost_nano_usd(Usage(usage.counts, factor_ppm=factor_ppm), price)
    reading = usage.total_input_tokens // (1 + usage[Unit.WEB_SEARCH])
    tier = price.long_rates if price.has_long_tier_at(reading) else price.rates
    factor = Fraction(factor_ppm or 10**6, 10**6)
    words = {Unit.AUDIO_INPUT: Unit.INPUT, Unit.AUDIO_OUTPUT: Unit.OUTPUT}
    exact = sum(
        Fraction(count * (rate or tier[words.get(unit, unit).position]), 1_000)
        * (factor if unit.is_token else 1)
        for unit, count, rate in zip(Unit, usage.counts, tier, strict=True)
    )
    tokens = sum(usage[unit] for unit in Unit if unit.is_token)
    assert 0 <= cost - exact < 1 + Fraction(tokens, 1_000)


@pytest.mark.parametrize(
    ("asked", "told", "factor_ppm"),
    [
        ((), (), 0),
        ((Variant.FLEX,), (("service_tier", "flex"),), 500_000),
        ((Variant.FLEX,), (("service_tier", "default"),), 0),
        ((Variant.PRIORITY,), (("service_tier", "default"),), 0),
        ((Variant.PRIORITY,), (("service_tier", "fast"),), 1_700_000),
        # Nothing told: the dearest of what may have been.
        ((Variant.FLEX,), (), 0), ((Variant.PRIORITY,), (), 1_700_000),
        ((Variant.FAST, Variant.US), (), 6_600_000),
        ((Variant.FAST, Variant.US), (("speed", "standard"),), 1_100_000),
        ((Variant.FAST, Variant.US), (("speed", "fast"), ("inference_geo", "us")), 6_600_000),
        # An account's own setting is billed as well.
        ((), (("inference_geo", "us"),), 1_100_000), ((), (("service_tier", "scale"),), 0),
    ],
)  # fmt: skip
def test_a_factor_by_hand(asked: tuple[Variant, ...], told: Served, factor_ppm: int):
    """What was told wins over what was asked; several multiply."""
    assert factor_ppm == FACTORED.served(told, asked)
    assert 0 == PRICE.served(told, ())


def test_a_factored_cost_by_hand():
    """10 tokens at $1 and 5 at $5 a million are 35,000 nano-USD; a search costs what it does."""
    price = Price.of(**FACTORED.fields() | {"web_search_pico_usd": 10_000_000})
    fast = UNIT_COUNTS.with_count(Unit.WEB_SEARCH, 1)
    for factor_ppm, tokens in ((0, 35_000), (500_000, 17_500), (6_600_000, 231_000)):
        used = Usage(fast.counts, factor_ppm=factor_ppm)
        assert tokens + 10_000 == cost_nano_usd(used, price)
    asks = FACTS._replace(variants=(Variant.FAST, Variant.US))
    assert 1_500_000 * 66 // 10 == worst_case(asks, FACTORED).amount_nano_usd
    cheap = FACTS._replace(variants=(Variant.FLEX,))
    assert 1_500_000 == worst_case(cheap, FACTORED).amount_nano_usd


def chunk(**members: Any) -> bytes:
    return b"data: " + json.dumps({"object": "chat.completion.chunk", **members}).encode() + b"\n\n"


def test_how_it_was_served_is_read_where_each_vendor_tells_it():
    """OpenAI beside its usage, in a stream also before it; Anthropic within, in parts."""
    tokens = {"prompt_tokens": 10, "completion_tokens": 5}
    choice = {"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}
    body = {"choices": [choice], "usage": tokens, "service_tier": "flex"}
    response = {"object": "response", "status": "completed", "output": [], "service_tier": "fast",
                "usage": {"input_tokens": 10, "output_tokens": 5}}  # fmt: skip
    message = {"type": "message", "content": [], "usage": {
        "input_tokens": 10, "output_tokens": 5, "service_tier": "priority", "speed": "fast",
        "inference_geo": "not_available"}}  # fmt: skip
    for protocol, answer, served in (
        (CHAT, body, ("service_tier", "flex")), (RESPONSES, response, ("service_tier", "fast")),
        (MESSAGES, message, ("speed", "fast")),
    ):  # fmt: skip
        meter = BodyMeter(DIALECTS[protocol].answer)
        meter.feed(json.dumps(answer).encode())
        assert meter.finish()
        assert (served,) == meter.usage.served
    stream = StreamMeter(DIALECTS[CHAT].answer)
    said = {"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}
    stream.feed(chunk(choices=[said], service_tier="priority") + chunk(choices=[], usage=tokens))
    stream.finish()
    assert (("service_tier", "priority"),) == stream.usage.served
    events = StreamMeter(DIALECTS[MESSAGES].answer)
    start = {"type": "message_start", "message": message}
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"},
             "usage": {"output_tokens": 5}}  # fmt: skip
    for event in (start, delta, {"type": "message_stop"}):
        events.feed(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
    assert (("speed", "fast"),) == events.usage.served


def test_seed_factors_by_hand():
    """As published: half for flex, 1.7 to 2.5 times for priority, 1.1 within the US."""
    found = {model.price.model: model.price for model in seed.models()}
    assert (500, 2_000, 0, 0) == found["gpt-5"].factors
    assert (0, 1_700, 0, 0) == found["gpt-4o"].factors
    assert (0, 0, 2_000, 1_100) == found["claude-opus-5-5"].factors
    assert max(max(price.factors) for price in found.values()) == 2_500


@pytest.mark.parametrize("name", ["PRIORITY", "Fast", "priority_v2", "scale", "ultrafast"])
def test_a_word_that_nobody_knows_costs_the_dearest_that_was_asked_for(name):
    """A vendor that spells its tier anew has not served the ordinary one for that."""
    told = (("service_tier", name),)
    assert 1_700_000 == FACTORED.served(told, (Variant.PRIORITY,))
    assert 0 == FACTORED.served(told, (Variant.FLEX,))
    assert 0 == FACTORED.served(told, ())


@given(
    told=st.lists(
        st.tuples(st.sampled_from(list(TOLD)), st.sampled_from(["flex", "priority", "fast", "x"])),
        unique_by=lambda pair: pair[0],
    ),
    asked=st.lists(st.sampled_from(list(Variant)), unique_by=lambda variant: variant.member),
)
def test_promise_rule_2_no_word_of_a_vendor_costs_more_than_what_was_asked_for(told, asked):
    """Whoever asked for less is not billed for more: the reserve is what was asked for."""
    assert FACTORED.served(tuple(told), asked) <= FACTORED.dearest(asked)


def test_a_tier_that_only_frames_of_text_tell_is_read_in_every_stream():
    """A shape that was learnt with one tier is not that of a frame with another."""

    def frame(tier, delta, stop=None, **more):
        choice = {"index": 0, "delta": delta, "finish_reason": stop}
        chunk = {"id": "c", "object": "chat.completion.chunk", "choices": [choice]}
        tiers = {"service_tier": tier} if tier else {}
        return b"data: %b\n\n" % json.dumps(chunk | tiers | more).encode()

    shapes = Shapes()
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    for tier in ("flex", "flex", "priority", "default", "priority"):
        meter = StreamMeter(DIALECTS[CHAT].answer, shapes=shapes)
        meter.feed(frame(tier, {"content": "a"}) + frame(tier, {"content": "b"}))
        meter.feed(frame(None, {}, "stop", usage=usage) + b"data: [DONE]\n\n")
        assert (("service_tier", tier),) == meter.usage.served
