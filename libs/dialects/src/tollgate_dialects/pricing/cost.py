"""What a usage costs: integers only, rounded up once per call."""

from operator import mul
from typing import Final

from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import Usage

_PICO_PER_NANO = 1_000
# Where the counts of sound stand, and the rates of what is said in words.
_WORDS: Final = (
    (Unit.AUDIO_INPUT.position, Unit.INPUT.position),
    (Unit.AUDIO_OUTPUT.position, Unit.OUTPUT.position),
)


def cost_nano_usd(usage: Usage, price: Price) -> int:
    """The cost of one call in nano-USD, its only rounding upwards at the end.

    A call that searched the web has read its input once more for each search, and is told of as
    one: the long-context tier is asked for what one reading had, on average.
    """
    price = price.times(usage.factor_ppm)
    counts, rates = usage.counts, price.rates
    # Asked for exactly only where all that was counted would do: few calls are that long.
    if 0 < price.long_context_tokens < sum(counts) and price.has_long_tier_at(
        usage.total_input_tokens // (usage[Unit.WEB_SEARCH] + 1)
    ):
        rates = price.long_rates
    pico_usd = sum(map(mul, counts, rates))
    for sound, words in _WORDS:
        # What a vendor tells of sound that has no price here costs what words do.
        if counts[sound] and not rates[sound]:
            pico_usd += counts[sound] * rates[words]
    return ceil_nano_usd(pico_usd)


def ceil_nano_usd(pico_usd: int) -> int:
    """Pico-USD as nano-USD, rounded up."""
    return -(-pico_usd // _PICO_PER_NANO)
