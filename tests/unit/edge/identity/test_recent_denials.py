"""Remembered refusals: only those that any call would get, only for a moment, bounded."""

import dataclasses

from tollgate_edge.errors import money_words, public_errors
from tollgate_edge.errors.rates_left import RateLeft, RatesLeft
from tollgate_edge.identity import recent_denials
from tollgate_edge.identity.identity import KeyGrant
from tollgate_edge.identity.recent_denials import FLOOD, RecentDenials

GRANT = KeyGrant("t1", "k1", ("key:k1",), (), frozenset())
FROZEN = dataclasses.replace(
    public_errors.money_denial(
        "BUDGET_EXHAUSTED",
        money_words.Shortfall("key:k1", 0, held_nano_usd=0, required_nano_usd=7),
    ),
    stands_ms=1000,
)


def test_case_B2_a_standing_refusal_is_known_for_its_time_and_grant_only():
    """A second for money; not for another grant of the key, nor after a call was granted."""
    denials = RecentDenials()
    denials.remember(GRANT, FROZEN, 10.0)
    found = denials.find(GRANT, 10.9, small=False)
    assert found is not None
    assert ("BUDGET_EXHAUSTED", True) == (found.reason, "; this call may cost" not in found.message)
    assert "key:k1 has" in found.message
    assert None is denials.find(GRANT, 11.0, small=False)
    changed = dataclasses.replace(GRANT, account_ids=("key:k1", "tenant:t2"))
    assert None is denials.find(changed, 10.5, small=False)
    denials.forget("k1")
    assert None is denials.find(GRANT, 10.5, small=False)


def test_a_refusal_that_depends_on_the_call_is_not_remembered():
    """Another call may be smaller; what was remembered before is out of date."""
    denials = RecentDenials()
    denials.remember(GRANT, FROZEN, 10.0)
    denials.remember(GRANT, public_errors.own("INTERNAL"), 10.1)
    assert None is denials.find(GRANT, 10.2, small=False)


def test_a_small_body_is_refused_unread_only_for_a_key_that_floods():
    """Twenty in a row; then one a second goes to budget, which is when a raised cap is felt."""
    denials = RecentDenials()
    for number in range(FLOOD):
        assert None is denials.find(GRANT, 10 + number / 100, small=True)
        denials.remember(GRANT, FROZEN, 10 + number / 100)
    assert None is not denials.find(GRANT, 10.5, small=True)
    assert None is denials.find(GRANT, 11.5, small=True)
    denials.remember(GRANT, FROZEN, 11.5)
    assert None is not denials.find(GRANT, 11.6, small=True)
    # A pause ends the row.
    denials.remember(GRANT, FROZEN, 20.0)
    assert None is denials.find(GRANT, 20.1, small=True)


def test_a_rate_tells_the_time_that_is_left():
    """retry-after counts down, and so does the time until all of it is back."""
    rates = RatesLeft(RateLeft(2, 0, 60_000), RateLeft(9, 9, 5_000))
    rate = public_errors.rate_denial(
        limit="1 requests per minute", rates=rates, retry_after_ms=30_000
    )
    denials = RecentDenials()
    denials.remember(GRANT, dataclasses.replace(rate, stands_ms=30_000), 10.0)
    found = denials.find(GRANT, 30.0, small=False)
    assert found is not None
    assert 10_000 <= (found.retry_ms or 0) <= 10_002
    assert RatesLeft(RateLeft(2, 0, 40_001), RateLeft(9, 9, 0)) == found.rates


def test_the_memory_is_bounded(monkeypatch):
    """The oldest is forgotten."""
    monkeypatch.setattr(recent_denials, "KEYS_MAX", 3)
    denials = RecentDenials()
    for number in range(10):
        denials.remember(dataclasses.replace(GRANT, key_id=f"k{number}"), FROZEN, 10.0)
    assert 3 == len(denials)
