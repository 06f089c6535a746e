"""Amounts of the command line are exact, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_cli import money

NANOS = st.integers(min_value=0, max_value=10**18)


@pytest.mark.parametrize(
    ("text", "amount_nano_usd"),
    [
        ("5", 5_000_000_000),
        ("$5", 5_000_000_000),
        ("0.25", 250_000_000),
        ("0.000000001", 1),
        (" 12.5 ", 12_500_000_000),
        ("0", 0),
    ],
)
def test_dollars_as_people_write_them(text: str, amount_nano_usd: int) -> None:
    """A decimal of dollars is so many nano-dollars, to the last one."""
    assert amount_nano_usd == money.parse_usd(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "1e3",
        "five",
        "0.0000000001",
        "1,000",
        "9999999999999",
        "1" * 40,
        "5." + "0" * 30 + "1",
        "1.",
        ".5",
        "$",
        "٣",
    ],
)
def test_what_cannot_be_held_exactly_is_refused(text: str) -> None:
    """No rounding, no guessing: a person is asked to write it otherwise."""
    with pytest.raises(money.BadAmount):
        money.parse_usd(text)


@given(NANOS)
def test_an_amount_shown_and_read_again_is_the_same(amount_nano_usd: int) -> None:
    """What the command line prints may be typed back."""
    assert amount_nano_usd == money.parse_usd(money.format_usd(amount_nano_usd))


@given(st.integers(min_value=0, max_value=10**15))
def test_a_price_shown_and_read_again_is_the_same(price_pico_usd: int) -> None:
    """The same for prices per million tokens."""
    shown = money.format_usd_per_mtok(price_pico_usd)
    assert price_pico_usd == money.parse_usd_per_mtok(shown)
    shown = money.format_usd_per_thousand(price_pico_usd)
    assert price_pico_usd == money.parse_usd_per_thousand(shown)


def test_prices_are_per_million_tokens() -> None:
    """$2.50 a million tokens is 2.5 micro-dollars a token."""
    assert 2_500_000 == money.parse_usd_per_mtok("2.50")
    assert "$2.50" == money.format_usd_per_mtok(2_500_000)


def test_amounts_are_shown_with_cents_and_no_idle_zeros() -> None:
    """Cents always; more digits only where they say something."""
    assert ["$5.00", "$0.000000001", "-$1.25"] == [
        money.format_usd(amount) for amount in (5_000_000_000, 1, -1_250_000_000)
    ]
