"""How a call ended and what it costs: the facts that ledger, evidence, client and log share.

Owns the words for a charge. Promises: a call is charged what router metered and nothing else; a
call that reached an upstream and whose end is not known is never zero: it is not billed, and its
reservation is quarantined. Pure.
"""

from typing import NamedTuple

from tollgate_dialects.pricing.usage import NOTHING, Usage
from tollgate_edge.errors.money_words import CHARGED, FREE, UNKNOWN_CHARGE

ROUTER_LOST = "router_lost"
NOT_EXECUTED = "not_executed"
CLIENT_GONE = "client_gone"
EDGE_STOPPED = "edge_stopped"
_CHARGE_REASONS = {
    "completed": "completed",
    "client_gone": "produced_before_client_left",
    "cost_limit": "produced_up_to_cost_limit",
}


class Outcome(NamedTuple):
    """The end of one call. `known` is False when nobody knows what the upstream did.

    Then the usage is what was seen of it, and the cost is not in it.
    """

    end_reason: str
    known: bool = True
    cost_nano_usd: int = 0
    usage: Usage = NOTHING
    usage_source: str = "none"
    price_version: int = 0
    attempts: int = 0

    @property
    def charged(self) -> bool:
        return self.known and self.cost_nano_usd > 0

    @property
    def charge_reason(self) -> str:
        """Why the call is charged, or why it is not."""
        if not self.known:
            return f"quarantined_{self.end_reason}"
        if self.charged:
            return _CHARGE_REASONS.get(self.end_reason, "produced_before_failure")
        return "no_cost" if self.end_reason == "completed" else "nothing_produced"

    @property
    def charge(self) -> str:
        """What a client without an answer is told of its money."""
        if not self.known:
            return UNKNOWN_CHARGE
        return CHARGED if self.charged else FREE

    @property
    def total_tokens(self) -> int:
        """What counts against a token rate."""
        return self.usage.total_input_tokens + self.usage.total_output_tokens


def not_executed() -> Outcome:
    """No upstream was called: the reservation is released."""
    return Outcome(NOT_EXECUTED)


def unknown(end_reason: str) -> Outcome:
    """An upstream may have been called, and its end was not told."""
    return Outcome(end_reason, known=False)
