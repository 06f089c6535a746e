"""What a usage costs: integers only, rounded up once per call."""

from operator import mul

from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.usage import Usage

_PICO_PER_NANO = 1_000


def cost_nano_usd(usage: Usage, price: Price) -> int:
    """The cost of one call in nano-USD, its only rounding upwards at the end."""
    counts, rates = usage.counts, price.rates
    # Asked for exactly only where all that was counted would do: few calls are that long.
    if 0 < price.long_context_tokens < sum(counts) and price.has_long_tier_at(
        usage.total_input_tokens
    ):
        rates = price.long_rates
    return ceil_nano_usd(sum(map(mul, counts, rates)))


def ceil_nano_usd(pico_usd: int) -> int:
    """Pico-USD as nano-USD, rounded up."""
    return -(-pico_usd // _PICO_PER_NANO)
