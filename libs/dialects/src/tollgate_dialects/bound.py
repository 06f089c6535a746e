"""The most that a call can cost, before it is made.

Promises that `worst_case` is never below the cost of a usage that an upstream can honestly report
for the request: the dearest applicable input price for every input token that could be read, and
every choice running to its output limit. Never guesses low; knows no balance.
"""

from dataclasses import dataclass

from tollgate_dialects.cost import ceil_nano_usd
from tollgate_dialects.price import Price
from tollgate_dialects.request import RequestFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What is reserved, and the output limit that makes it true (sent upstream, per choice)."""

    input_tokens: int
    max_output_tokens: int
    amount_nano_usd: int


def worst_case(facts: RequestFacts, price: Price, *, output_cap: int | None = None) -> Bound:
    """The bound with the request's output limit, else the key's, else the model's own."""
    input_tokens, input_pico_usd, output_pico_usd = _dearest(facts, price)
    max_output_tokens = facts.max_output_tokens
    if max_output_tokens is None:
        max_output_tokens = price.max_output_tokens
        if output_cap is not None:
            max_output_tokens = min(output_cap, max_output_tokens)
    return Bound(
        input_tokens=input_tokens,
        max_output_tokens=max_output_tokens,
        amount_nano_usd=ceil_nano_usd(
            input_tokens * input_pico_usd + max_output_tokens * facts.choices * output_pico_usd
        ),
    )


def input_tokens(facts: RequestFacts, price: Price) -> int:
    """The most input tokens that an upstream can honestly report for the request."""
    if facts.unbounded_input:
        return price.max_input_tokens
    return min(facts.input_token_bound, price.max_input_tokens)


def affordable_output_tokens(facts: RequestFacts, price: Price, budget_nano_usd: int) -> int | None:
    """The largest output limit per choice whose worst case fits; None when not even 1 does."""
    input_tokens, input_pico_usd, output_pico_usd = _dearest(facts, price)
    left_pico_usd = budget_nano_usd * 1_000 - input_tokens * input_pico_usd
    if left_pico_usd < 0:
        return None
    per_token = output_pico_usd * facts.choices
    fitting = left_pico_usd // per_token if per_token else price.max_output_tokens
    return min(fitting, price.max_output_tokens) or None


def _dearest(facts: RequestFacts, price: Price) -> tuple[int, int, int]:
    """Input tokens, pico-USD per input token, pico-USD per output token."""
    read_tokens = input_tokens(facts, price)
    tiers = [price.tier(long=False)]
    if price.has_long_tier_at(read_tokens):
        tiers.append(price.tier(long=True))
    inputs: list[int] = []
    for read, _, cached, write_5m, write_1h in tiers:
        inputs += [read, cached]
        if facts.cache_write != "none":
            inputs.append(write_5m)
        if facts.cache_write == "1h":
            inputs.append(write_1h)
    return read_tokens, max(inputs), max(tier[1] for tier in tiers)
