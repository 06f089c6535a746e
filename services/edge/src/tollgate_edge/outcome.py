"""How a call ended and what it costs: the facts that ledger, evidence, client and log share.

Owns the words for a charge. Promises: a call is charged what router metered and nothing else; a
call whose end is not known is not charged here but left to the reconciler. Pure.
"""

from dataclasses import dataclass, field

USAGE_FIELDS = (
    "input_tokens",
    "output_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "cache_read_tokens",
    "reasoning_tokens",
)
_INPUT_FIELDS = (
    "input_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "cache_read_tokens",
)
ROUTER_LOST = "router_lost"
NOT_EXECUTED = "not_executed"
CLIENT_GONE = "client_gone"
EDGE_STOPPED = "edge_stopped"
_CHARGE_REASONS = {
    "completed": "completed",
    "client_gone": "produced_before_client_left",
    "cost_limit": "produced_up_to_cost_limit",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one call. `known` is False when nobody told what the upstream did."""

    end_reason: str
    known: bool = True
    cost_nano_usd: int = 0
    usage: dict[str, int] = field(default_factory=lambda: dict.fromkeys(USAGE_FIELDS, 0))
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
            return "end_unknown"
        if self.charged:
            return _CHARGE_REASONS.get(self.end_reason, "produced_before_failure")
        return "no_cost" if self.end_reason == "completed" else "nothing_produced"

    @property
    def total_input_tokens(self) -> int:
        """Everything that was read, however it is priced."""
        return sum(self.usage[name] for name in _INPUT_FIELDS)


def not_executed() -> Outcome:
    """No upstream was called: the reservation is released."""
    return Outcome(NOT_EXECUTED)


def unknown(end_reason: str) -> Outcome:
    """An upstream may have been called, and its end was not told."""
    return Outcome(end_reason, known=False)
