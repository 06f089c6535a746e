"""What a usage costs: integers only, rounded up once per call."""

from operator import mul
from typing import Final

from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.units import Amounts, Unit
from tollgate_dialects.pricing.usage import Usage

_PICO_PER_NANO = 1_000
_WORDS: Final = ((Unit.AUDIO_INPUT, Unit.INPUT), (Unit.AUDIO_OUTPUT, Unit.OUTPUT))


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
    return ceil_nano_usd(sum(map(mul, counts, rates)) + _unpriced_sound(usage, rates))


def _unpriced_sound(usage: Usage, rates: Amounts) -> int:
    """What a vendor tells of sound that has no price here costs what words do, in pico-USD."""
    return sum(
        usage[sound] * rates[words.position] for sound, words in _WORDS if not rates[sound.position]
    )


def ceil_nano_usd(pico_usd: int) -> int:
    """Pico-USD as nano-USD, rounded up."""
    return -(-pico_usd // _PICO_PER_NANO)
