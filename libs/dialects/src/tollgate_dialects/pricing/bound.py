"""The most that a call can cost, before it is made.

Promises that `worst_case` is never below the cost of a usage that an upstream can honestly report
for the request: the dearest applicable input price for every input token that could be read, as
often as it could be, every choice running to its output limit, and every call that the vendor may
make itself. Never guesses low; knows no balance.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from tollgate_dialects.pricing.cost import ceil_nano_usd
from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.units import Unit, picker
from tollgate_dialects.request.content import CacheWrite
from tollgate_dialects.request.rules import RequestFacts
from tollgate_dialects.request.server_tools import NO_SERVER_TOOLS

# The longest cache write that a request may cause -> units that no token it reads can be in.
_OUT_OF_REACH: Final[Mapping[CacheWrite, frozenset[Unit]]] = {
    "none": frozenset((Unit.CACHE_WRITE_5M, Unit.CACHE_WRITE_1H)),
    "5m": frozenset((Unit.CACHE_WRITE_1H,)),
    "1h": frozenset(),
}
_READ: Final = {
    cache_write: picker(
        unit
        for unit in Unit
        if unit.is_read and unit not in out_of_reach and unit is not Unit.AUDIO_INPUT
    )
    for cache_write, out_of_reach in _OUT_OF_REACH.items()
}
_OUTPUT: Final = Unit.OUTPUT.position
_WEB_SEARCH: Final = Unit.WEB_SEARCH.position
_CONTAINER: Final = Unit.CONTAINER.position
_AUDIO_INPUT: Final = Unit.AUDIO_INPUT.position
_AUDIO_OUTPUT: Final = Unit.AUDIO_OUTPUT.position

# Counting tokens takes about a third of a millisecond for each thousand: from a cent on.
_WORTH_COUNTING_PICO_USD: Final = 10**10
# A text of more bytes for each token that the model takes is too long for it, counted or not.
_BYTES_PER_TOKEN_MAX: Final = 8

# What an answer should have room for, where money is short and the client named no limit.
_MODEST_ANSWER_TOKENS: Final = 4_096

# A shorter answer is none: an injected limit is never made smaller to fit into the context.
_ANSWER_TOKENS_MIN = 16


class Bound(NamedTuple):
    """What is reserved, and the output limit that makes it true, per choice."""

    # Of one reading at most the model's own input limit, of all of them together.
    input_tokens: int
    # Of the first reading: what the request itself holds.
    request_tokens: int
    max_output_tokens: int
    # What is sent upstream as the limit; None: nothing, the model's own limit holds.
    sent_max_output_tokens: int | None
    amount_nano_usd: int


def worst_case(facts: RequestFacts, price: Price, *, output_cap: int | None = None) -> Bound:
    """The bound with the request's own output limit, else with `output_cap`, else the model's."""
    request_tokens = input_tokens(facts, price)
    sent = facts.max_output_tokens
    max_output_tokens = sent
    if max_output_tokens is None:
        sent, max_output_tokens = _injected(price, request_tokens, output_cap)
    if facts.server_tools is NO_SERVER_TOOLS and not facts.audio_tokens:  # as nearly always
        read_tokens, beside_pico_usd, answers = request_tokens, 0, facts.choices
    else:
        read_tokens, beside_pico_usd = _read(facts, price, request_tokens, max_output_tokens)
        answers = _answers(facts)
    input_pico_usd, output_pico_usd = _dearest(facts, price, read_tokens)
    beyond = _beyond(facts, price)
    if facts.thinks_unlimited and sent is None:
        beyond = max(beyond, price.max_output_tokens)
    output_tokens = (max_output_tokens + beyond) * answers
    return Bound(
        input_tokens=read_tokens,
        request_tokens=request_tokens,
        max_output_tokens=max_output_tokens,
        sent_max_output_tokens=sent,
        amount_nano_usd=ceil_nano_usd(
            read_tokens * input_pico_usd + output_tokens * output_pico_usd + beside_pico_usd
        ),
    )


def input_tokens(facts: RequestFacts, price: Price) -> int:
    """The most input tokens that the request can have, with what it goes on from."""
    limit = price.max_input_tokens * facts.texts
    read = facts.input_token_bound + facts.context_tokens
    return limit if facts.unbounded_input else min(read, limit)


def _injected(price: Price, input_tokens: int, output_cap: int | None) -> tuple[int | None, int]:
    """(sent, bound) for a client that set no limit.

    Many vendors refuse a limit that does not fit beside the input, though the client sent none. But
    the input is counted in bytes, a few to a token: a limit cut to a small room would end answers
    that the model has room for. So a limit is cut to no less than half, else it is left out. With a
    cap it always stands, because only then is the reserve true.
    """
    most = min(price.max_output_tokens, price.max_input_tokens)
    room = price.max_input_tokens - input_tokens
    if output_cap is not None:
        capped = min(output_cap, most)
        limit = min(capped, room) if room >= _ANSWER_TOKENS_MIN else capped
        return limit, limit
    if room >= most or room >= max(_ANSWER_TOKENS_MIN, most // 2):
        limit = min(most, room)
        return limit, limit
    return None, most


def is_worth_counting(facts: RequestFacts, price: Price) -> bool:
    """Whether a closer count of the input can set enough money free to be worth its time."""
    if facts.unbounded_input and not facts.fetches_pictures:
        return False
    if facts.input_token_bound > price.max_input_tokens * facts.texts * _BYTES_PER_TOKEN_MAX:
        return False
    tokens = input_tokens(facts, price)
    pico_usd, _ = _dearest(facts, price, tokens)
    return tokens * pico_usd >= _WORTH_COUNTING_PICO_USD


def _beyond(facts: RequestFacts, price: Price) -> int:
    """Output tokens that the limit does not cover, per choice."""
    beyond = facts.beyond_limit_tokens
    return price.max_output_tokens if beyond is None else beyond


def affordable_output_tokens(facts: RequestFacts, price: Price, budget_nano_usd: int) -> int | None:
    """The largest output limit per choice whose worst case fits; None when not even 1 does.

    With tools that run at the vendor, one that fits: the largest may be somewhat larger.
    """
    read_tokens, beside_pico_usd = _read(
        facts, price, input_tokens(facts, price), price.max_output_tokens
    )
    input_pico_usd, output_pico_usd = _dearest(facts, price, read_tokens)
    left_pico_usd = budget_nano_usd * 1_000 - read_tokens * input_pico_usd - beside_pico_usd
    if left_pico_usd < 0:
        return None
    per_token = output_pico_usd * _answers(facts)
    if not per_token:
        return price.max_output_tokens
    fitting = left_pico_usd // per_token - _beyond(facts, price)
    return max(0, min(fitting, price.max_output_tokens)) or None


def modest_output_tokens(facts: RequestFacts, price: Price, budget_nano_usd: int) -> int | None:
    """The output limit for a client that named none: half of what fits, so that others fit as well.

    None where what fits is too little for most answers.
    """
    fits = affordable_output_tokens(facts, price, budget_nano_usd)
    if fits is None or fits < min(_MODEST_ANSWER_TOKENS, price.max_output_tokens):
        return None
    return max(fits // 2, min(_MODEST_ANSWER_TOKENS, fits))


def _answers(facts: RequestFacts) -> int:
    """How often the output limit may be reached."""
    tools = facts.server_tools
    return facts.choices * (tools.readings if tools.is_limit_per_turn else 1)


def _read(
    facts: RequestFacts, price: Price, request_tokens: int, max_output_tokens: int
) -> tuple[int, int]:
    """Input tokens of all readings, and pico-USD beside them: of the vendor's calls, and of sound.

    A token of sound is counted at its own price and at the dearest of a word, for it is either.
    """
    tools = facts.server_tools
    beside_pico_usd = tools.searches * price.rates[_WEB_SEARCH]
    beside_pico_usd += tools.containers * price.rates[_CONTAINER]
    if facts.audio_tokens:
        rate = price.times(price.dearest(facts.variants)).rates[_AUDIO_INPUT]
        beside_pico_usd += tools.readings * min(facts.audio_tokens, request_tokens) * rate
    if tools.readings == 1:
        return request_tokens, beside_pico_usd
    # A turn reads what those before it have written.
    written = max_output_tokens * (tools.readings - 1 if tools.is_limit_per_turn else 1)
    again = max(request_tokens, tools.reading_tokens or request_tokens + written)
    read_tokens = request_tokens + (tools.readings - 1) * min(again, price.max_input_tokens)
    return read_tokens, beside_pico_usd


def _dearest(facts: RequestFacts, price: Price, read_tokens: int) -> tuple[int, int]:
    """Pico-USD per input token and per output token, where so many are read."""
    if facts.variants:
        price = price.times(price.dearest(facts.variants))
    read_rates = _READ[facts.cache_write]
    read, written = max(read_rates(price.rates)), price.rates[_OUTPUT]
    if price.has_long_tier_at(read_tokens):
        read = max(read, *read_rates(price.long_rates))
        written = max(written, price.long_rates[_OUTPUT])
    if facts.speaks:
        written = max(written, price.rates[_AUDIO_OUTPUT])
    return read, written
