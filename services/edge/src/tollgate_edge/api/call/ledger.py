"""Money and rates of a call: one reservation, which ends exactly once.

Promises: the id of a reservation is made before it is first sent, and a repeat is sent under the
same id. Whoever leaves the `async with` block has either settled the true cost, released what
was never used, or quarantined it because nobody knows what the upstream did. Tokens of a rate
that were reserved and not used are given back with the settlement.
"""

import asyncio
import dataclasses
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from tollgate.budget.v1 import budget_pb2
from tollgate_dialects.pricing.bound import Bound
from tollgate_dialects.pricing.price import Price
from tollgate_edge.api.call.settle_queue import SettleQueue
from tollgate_edge.errors import money_words, public_errors
from tollgate_edge.errors.public_errors import Refusal
from tollgate_edge.errors.rates_left import RateLeft, RatesLeft
from tollgate_edge.identity.identity import KeyGrant, RateBucket
from tollgate_kit.ids import Ids
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.rpc.session_client import SessionPool

_REASONS = {
    value: name.removeprefix("DENIAL_REASON_") for name, value in budget_pb2.DenialReason.items()
}
# A limit that was raised is felt within this by everybody.
_MONEY_STANDS_MS = 1000
# The first send and one more under the same id.
_ATTEMPTS = 2


class Reservation:
    """Money and rates that were set aside for one call."""

    def __init__(
        self,
        granted: Any,
        *,
        amount_nano_usd: int,
        tokens: int,
        token_rates: Sequence[RateBucket],
        rates: RatesLeft | None,
        trace_id: str,
        ledger: "Ledger",
    ) -> None:
        self.rates = rates
        self.reservation_id: str = granted.reservation_id
        self.token: bytes = granted.token
        self.amount_nano_usd = amount_nano_usd
        self._remaining_nano_usd: int = granted.remaining_nano_usd
        self._tokens = tokens
        self._token_rates = token_rates
        self._trace_id = trace_id
        self._ledger = ledger
        self._ended = False
        # From here on an upstream may have been called, whatever we hear of it.
        self.sent = False

    def remaining_nano_usd(self, cost_nano_usd: int | None) -> int:
        """What is left on the tightest account; the cost counts instead of the reservation."""
        if cost_nano_usd is None:
            return self._remaining_nano_usd
        return self._remaining_nano_usd + self.amount_nano_usd - cost_nano_usd

    def settle(
        self,
        cost_nano_usd: int,
        *,
        used_tokens: int = 0,
        entry: asyncio.Future[int] | None = None,
    ) -> None:
        """Post the true cost; 0 releases. Never waits, so nothing can come between.

        `entry`: that of the call in the log; a cost is posted once it is durable.
        """
        assert not self._ended, "a reservation ends once"
        self._ended = True
        unused = self._tokens - used_tokens
        rates = self._token_rates if unused > 0 else ()
        self._ledger.settle(
            self.reservation_id,
            cost_nano_usd,
            self._trace_id,
            tuple(_rate_cost(rate, unused) for rate in rates),
            entry if cost_nano_usd else None,
        )

    def quarantine(self) -> None:
        """The end is not known: budget counts the amount until somebody knows the truth."""
        assert not self._ended, "a reservation ends once"
        self._ended = True
        self._ledger.quarantine(self.reservation_id, self._trace_id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._ended:
            return
        if self.sent:
            self.quarantine()
        else:
            self.settle(0)


class Ledger:
    """Reserves at budget; settles through the queue."""

    def __init__(
        self,
        budget: SessionPool,
        settlements: SettleQueue,
        *,
        reservation_seconds: int,
        timeout_s: float,
        ids: Ids,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._log = log
        self._budget = budget
        self._settlements = settlements
        self._reservation_seconds = reservation_seconds
        self._timeout_s = timeout_s
        self._ids = ids
        self._quarantined = metrics.counter(
            "quarantined_total", "Reservations kept counted because a call's end is unknown."
        )

    async def reserve(
        self, grant: KeyGrant, bound: Bound, *, price: Price, choices: int, trace_id: str
    ) -> Reservation | Refusal:
        """Set money and rates aside for one call, on every account or on none."""
        # A free model's calls are reserved, too: no token, no upstream.
        amount_nano_usd = max(1, bound.amount_nano_usd)
        # Of a rate: what the vendor's own tools make it read again is not known to be read.
        tokens = bound.request_tokens + bound.max_output_tokens * choices
        request = budget_pb2.ReserveRequest(
            reservation_id=self._ids.uuid7(),
            account_ids=grant.account_ids,
            amount_nano_usd=amount_nano_usd,
            rate_costs=[
                _rate_cost(rate, tokens if rate.counts_tokens else 1) for rate in grant.rates
            ],
            trace_id=trace_id,
            tenant_id=grant.tenant_id,
            model=price.model,
            input_tokens=bound.input_tokens,
            max_output_tokens=bound.max_output_tokens,
            price_version=price.version,
        )
        request.timeout.seconds = self._reservation_seconds
        answer = await self._send(request)
        if isinstance(answer, Refusal):
            return answer
        if answer.HasField("reservation"):
            return Reservation(
                answer.reservation,
                amount_nano_usd=amount_nano_usd,
                tokens=tokens,
                token_rates=[rate for rate in grant.rates if rate.counts_tokens],
                rates=_rates_left(answer, grant),
                trace_id=trace_id,
                ledger=self,
            )
        return _denied(answer, grant, amount_nano_usd, tokens)

    def settle(
        self,
        reservation_id: str,
        amount_nano_usd: int,
        trace_id: str,
        unused_rates: tuple[budget_pb2.RateCost, ...],
        entry: asyncio.Future[int] | None,
    ) -> None:
        """Called by a reservation only."""
        self._settlements.put(
            reservation_id,
            amount_nano_usd=amount_nano_usd,
            trace_id=trace_id,
            unused_rates=unused_rates,
            entry=entry,
        )

    def quarantine(self, reservation_id: str, trace_id: str) -> None:
        """Called by a reservation only. If this gets lost, budget's time-out does the same."""
        self._quarantined.inc()
        self._settlements.put(reservation_id, amount_nano_usd=0, trace_id=trace_id, quarantine=True)

    async def _send(self, request: Any) -> Any:
        """The answer, or a refusal; an unanswered reservation is released, should it exist."""
        answered = False
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    answer = await self._budget.unary(
                        "Reserve", request, budget_pb2.ReserveResponse, timeout_s=self._timeout_s
                    )
                except Failure as failure:
                    # The field, where budget refused one: a name of the proto, never a value.
                    self._log.warning(
                        "reserve.failed",
                        trace_id=request.trace_id,
                        reason=failure.reason,
                        field=failure.metadata.get("field"),
                    )
                    if attempt == _ATTEMPTS or not failure.retryable:
                        return public_errors.rpc_failure(failure.reason)
                else:
                    answered = True
                    return answer
        finally:
            if not answered:
                self._settlements.put(
                    request.reservation_id,
                    amount_nano_usd=0,
                    trace_id=request.trace_id,
                    perhaps=True,
                )


def _rate_cost(rate: RateBucket, cost: int) -> budget_pb2.RateCost:
    return budget_pb2.RateCost(
        bucket=rate.bucket,
        cost=cost,
        burst=rate.burst,
        count=rate.count,
        period_ms=rate.period_ms,
    )


def _rates_left(answer: Any, grant: KeyGrant) -> RatesLeft | None:
    """By kind; None where there are none, or budget is of an older version and tells nothing."""
    if not answer.rates_left:
        return None
    requests: RateLeft | None = None
    tokens: RateLeft | None = None
    for rate, told in zip(grant.rates, answer.rates_left, strict=False):
        left = RateLeft(rate.burst, told.remaining, told.full_after_ms)
        if rate.counts_tokens:
            tokens = left.or_stricter(tokens)
        else:
            requests = left.or_stricter(requests)
    return RatesLeft(requests, tokens)


def _denied(answer: Any, grant: KeyGrant, amount_nano_usd: int, tokens: int) -> Refusal:
    denial = answer.denial
    retry_after_ms = None
    if denial.HasField("retry_after"):
        retry_after_ms = denial.retry_after.ToMilliseconds() + 1
    reason = _REASONS.get(denial.reason, "")
    if reason == "RATE_LIMITED":
        rates = [rate for rate in grant.rates if rate.bucket == denial.subject]
        limit = rates[0].words if rates else ""
        refusal = public_errors.rate_denial(
            limit=limit,
            rates=_rates_left(answer, grant),
            retry_after_ms=retry_after_ms,
            tokens=tokens,
        )
        # Every call takes one of a rate of requests; of tokens, a smaller one takes less.
        alike = bool(rates) and not rates[0].counts_tokens
        return dataclasses.replace(refusal, stands_ms=retry_after_ms or 0) if alike else refusal
    shortfall = money_words.Shortfall(
        account_id=denial.subject,
        remaining_nano_usd=denial.remaining,
        held_nano_usd=denial.held_nano_usd,
        required_nano_usd=amount_nano_usd,
    )
    refusal = public_errors.money_denial(reason, shortfall)
    # No call costs nothing, so none passes where nothing is left and nothing will come back.
    spent = reason == "BUDGET_EXHAUSTED" and denial.remaining <= 0 and not denial.held_nano_usd
    alike = spent or reason in ("ACCOUNT_FROZEN", "ACCOUNT_UNKNOWN")
    return dataclasses.replace(refusal, stands_ms=_MONEY_STANDS_MS) if alike else refusal
