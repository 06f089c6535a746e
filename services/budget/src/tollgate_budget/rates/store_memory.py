"""Buckets in a dict: the twin that the contract suite holds against Redis. Not for services."""

from collections.abc import Callable, Sequence

from tollgate_budget.rates import gcra
from tollgate_budget.rates.gcra import Limited
from tollgate_budget.rates.store import RateCall


class MemoryRates:
    """A RateStore in memory, which ends with its process."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._tats: dict[tuple[str, str], int] = {}

    async def spend(self, calls: Sequence[RateCall]) -> list[Limited | None]:
        return [self._spend(call, self._now_us()) for call in calls]

    def _spend(self, call: RateCall, now_us: int) -> Limited | None:
        keys = [(call.tenant_id, cost.bucket) for cost in call.costs]
        if not call.refund:
            refused = gcra.refusal([self._tats.get(k) for k in keys], call.costs, now_us)
            if refused is not None:
                return refused
        move = gcra.refunded if call.refund else gcra.spent
        for key, cost in zip(keys, call.costs, strict=True):
            self._tats[key] = move(self._tats.get(key), now_us, cost)
        return None
