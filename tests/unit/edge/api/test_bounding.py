"""The limit of a call that names none, where money is short."""

import pytest

from tollgate_dialects.pricing.price import Price
from tollgate_dialects.request.rules import RequestFacts
from tollgate_dialects.request.server_tools import NO_SERVER_TOOLS, ServerTools
from tollgate_edge.api import bounding
from tollgate_edge.api.catalogue import Model
from tollgate_edge.errors import public_errors
from tollgate_edge.errors.money_words import Shortfall

PRICE = Price.of(
    model="m", version=1, source="seed", input_pico_usd=1_000_000, output_pico_usd=10_000_000,
    cache_read_pico_usd=1, cache_write_5m_pico_usd=1, cache_write_1h_pico_usd=1,
    max_input_tokens=200_000, max_output_tokens=128_000,
)  # fmt: skip
MODEL = Model("m", frozenset(), PRICE, "m", "operator", 0)
FACTS = RequestFacts(
    model="m", stream=False, max_output_tokens=None, choices=1, wants_usage=False,
    input_token_bound=10_000, unbounded_input=False, cache_write="none",
    limit_names=(), present=frozenset(),
)  # fmt: skip
SEARCHES = ServerTools(searches=5, limited_by="max_tool_calls")


def refused(remaining_nano_usd, reason="BUDGET_EXHAUSTED"):
    shortfall = Shortfall("key:k", remaining_nano_usd, 0, 1_290_000_000)
    return public_errors.money_denial(reason, shortfall)


def test_who_names_none_gets_half_of_what_fits():
    """A dollar beside a cent of input: 99,000 tokens fit."""
    assert 49_500 == bounding.cap_of_money(refused(10**9), FACTS, MODEL, None)
    assert 7_000 == bounding.cap_of_money(refused(10**9), FACTS, MODEL, 7_000)
    assert 4_096 == bounding.cap_of_money(refused(60_000_000), FACTS, MODEL, None)


def test_nobody_else_gets_one():
    """Not who names a limit, who was refused for another reason, or has too little left."""
    named = FACTS._replace(max_output_tokens=128_000)
    assert None is bounding.cap_of_money(refused(10**9), named, MODEL, None)
    rate = public_errors.rate_denial(limit="tpm", rates=None, retry_after_ms=5)
    assert None is bounding.cap_of_money(rate, FACTS, MODEL, None)
    assert None is bounding.cap_of_money(refused(10**9, "ACCOUNT_FROZEN"), FACTS, MODEL, None)
    assert None is bounding.cap_of_money(refused(50_000_000), FACTS, MODEL, None)


@pytest.mark.parametrize(
    ("tools", "param", "words"),
    [
        (NO_SERVER_TOOLS, "max_tokens", "What is left allows at most 99000 output tokens"),
        (
            SEARCHES,
            "max_tool_calls",
            "5 searches of the web; a smaller max_tool_calls makes it cheaper",
        ),
        (
            SEARCHES._replace(searches=1),
            "max_tool_calls",
            "a search of the web; without that it is",
        ),
    ],
)
def test_no_money_is_told_with_what_helps(tools, param, words):
    """The output limit; of a call with searches, what limits them."""
    told = bounding.with_what_fits(refused(10**9), FACTS._replace(server_tools=tools), MODEL)
    assert param == told.param
    assert words in told.message


def test_where_no_output_limit_helps_none_is_named():
    """The input alone is above what is left."""
    told = bounding.with_what_fits(refused(1), FACTS, MODEL)
    assert (None, None) == (told.param, told.affordable_max_tokens)
