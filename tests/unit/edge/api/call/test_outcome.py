"""The words for a charge, and the receipt built from them."""

import pytest

from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import Usage
from tollgate_edge.api import receipt
from tollgate_edge.api.call import outcome
from tollgate_edge.api.call.outcome import Outcome


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (Outcome("completed", cost_nano_usd=5), (True, "completed")),
        (Outcome("completed"), (False, "no_cost")),
        (Outcome("upstream_error"), (False, "nothing_produced")),
        (Outcome("upstream_error", cost_nano_usd=5), (True, "produced_before_failure")),
        (Outcome("client_gone", cost_nano_usd=5), (True, "produced_before_client_left")),
        (Outcome("cost_limit", cost_nano_usd=5), (True, "produced_up_to_cost_limit")),
        (outcome.not_executed(), (False, "nothing_produced")),
        (Outcome("upstream_timeout", known=False), (False, "quarantined_upstream_timeout")),
        (outcome.unknown("router_lost"), (False, "quarantined_router_lost")),
    ],
)
def test_every_end_says_whether_and_why_it_is_charged(ended, expected):
    """The charge and its reason are shown; nothing produced is nothing charged."""
    assert expected == (ended.charged, ended.charge_reason)


def test_input_counts_every_class_once():
    """What the header calls input tokens is uncached, written, read and heard together."""
    ended = Outcome("completed", usage=Usage((1,) * len(Unit), reasoning_tokens=1))
    assert (5, 7) == (ended.usage.total_input_tokens, ended.total_tokens)


def test_an_open_call_has_no_cost():
    """A receipt of a call whose end is not recorded says so."""
    admitted = {
        "reservation_id": "r", "account_ids": ["key:k"], "amount_nano_usd": 1_500_000_000,
        "model": "m", "protocol": "openai.chat", "stream": False, "price_version": 1,
        "time_unix_ms": 1,
    }  # fmt: skip
    built = receipt.build("t", [(7, {"kind": "CALL_ADMITTED", "payload": admitted})])
    assert built is not None
    assert ("open", "1.5", 7, False) == (
        built["state"], built["reservation"]["amount_usd"],
        built["reservation"]["audit_index"], "cost_usd" in built,
    )  # fmt: skip
    assert receipt.build("t", [(1, {"kind": "CALL_DENIED", "payload": {}})]) is None
