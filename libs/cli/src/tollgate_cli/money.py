"""Dollars as people write them, and the integers that the suite counts in.

Promises: exact both ways; what cannot be held exactly is refused, never rounded. Pure.
"""

import re
from fractions import Fraction

NANO_PER_USD = 1_000_000_000
# A price is told in dollars per million tokens and counted in pico-dollars per token.
PICO_PER_USD_PER_MTOK = 1_000_000
# That of calls which a vendor makes itself in dollars per thousand.
PICO_PER_USD_PER_THOUSAND = 1_000_000_000
# That of what is rare and dear in dollars for one.
PICO_PER_USD = 1_000_000_000_000
# What another way of serving multiplies the prices of tokens by.
PERMILLE = 1_000
_INT64_MAX = 2**63 - 1
_AMOUNT = re.compile(r"\$?([0-9]{1,40}(?:\.[0-9]{1,40})?)")
_CENTS = 2


class BadAmount(ValueError):  # noqa: N818 (the user's input, not a bug)
    """Not a dollar amount that can be held exactly."""


def parse_usd(text: str) -> int:
    """Nano-USD of a decimal such as "5", "$0.25" or "12.000000001"."""
    return _scaled(text, NANO_PER_USD)


def parse_usd_per_mtok(text: str) -> int:
    """Pico-USD per token of a price in dollars per million tokens, such as "2.50"."""
    return _scaled(text, PICO_PER_USD_PER_MTOK)


def parse_usd_per_thousand(text: str) -> int:
    """Pico-USD per call of a price in dollars per thousand calls, such as "10"."""
    return _scaled(text, PICO_PER_USD_PER_THOUSAND)


def parse_usd_each(text: str) -> int:
    """Pico-USD of a price in dollars for one, such as "0.05"."""
    return _scaled(text, PICO_PER_USD)


def parse_factor(text: str) -> int:
    """Thousandths of a plain factor such as "0.5" or "1.1"."""
    return _scaled(text, PERMILLE, "a factor")


def format_factor(permille: int) -> str:
    """The exact factor, such as "0.5"."""
    whole, fraction = divmod(permille, PERMILLE)
    return f"{whole}.{fraction:03d}".rstrip("0").rstrip(".")


def format_usd(amount_nano_usd: int) -> str:
    """The exact amount, with two decimals or as many as it needs."""
    return _decimal(amount_nano_usd, digits=9)


def format_usd_per_mtok(price_pico_usd: int) -> str:
    """The exact price in dollars per million tokens."""
    return _decimal(price_pico_usd, digits=6)


def format_usd_each(price_pico_usd: int) -> str:
    """The exact price in dollars for one."""
    return _decimal(price_pico_usd, digits=12)


def format_usd_per_thousand(price_pico_usd: int) -> str:
    """The exact price in dollars per thousand calls."""
    return _decimal(price_pico_usd, digits=9)


def _scaled(text: str, scale: int, what: str = "a dollar amount") -> int:
    matched = _AMOUNT.fullmatch(text.strip())
    if matched is None:
        raise BadAmount(f"{text!r} is not {what}; write it like 5 or 0.25")
    value = Fraction(matched.group(1)) * scale
    if value.denominator != 1:
        digits = len(str(scale)) - 1
        raise BadAmount(f"{text!r} has more than {digits} decimals")
    if value > _INT64_MAX:
        raise BadAmount(f"{text!r} is too large")
    return int(value)


def _decimal(value: int, *, digits: int) -> str:
    sign = "-" if value < 0 else ""
    whole, fraction = divmod(abs(value), 10**digits)
    text = f"{fraction:0{digits}d}"
    shown = text[:_CENTS] + text[_CENTS:].rstrip("0")
    return f"{sign}${whole}.{shown}"
