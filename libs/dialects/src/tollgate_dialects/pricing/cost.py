"""What a usage costs: integers only, rounded up once per call."""

from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.usage import Usage

_PICO_PER_NANO = 1_000


def cost_nano_usd(usage: Usage, price: Price) -> int:
    """The cost of one call in nano-USD, its only rounding upwards at the end."""
    long = price.has_long_tier_at(usage.total_input_tokens)
    read, written, cached, write_5m, write_1h = price.tier(long=long)
    return ceil_nano_usd(
        usage.input_tokens * read
        + usage.output_tokens * written
        + usage.cache_read_tokens * cached
        + usage.cache_write_5m_tokens * write_5m
        + usage.cache_write_1h_tokens * write_1h
    )


def ceil_nano_usd(pico_usd: int) -> int:
    """Pico-USD as nano-USD, rounded up."""
    return -(-pico_usd // _PICO_PER_NANO)
