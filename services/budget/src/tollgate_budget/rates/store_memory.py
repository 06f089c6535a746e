"""Buckets in a dict: the twin that the contract suite holds against Redis. Not for services."""

from collections.abc import Callable, Sequence

from tollgate_budget.rates import gcra
from tollgate_budget.rates.gcra import Answer, Cost
from tollgate_budget.rates.store import RateCall


class MemoryRates:
    """A RateStore in memory, which ends with its process."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._tats: dict[tuple[str, str], int] = {}

    async def spend(self, calls: Sequence[RateCall]) -> list[Answer]:
        now_us = self._now_us()
        return [self._spend(call, now_us) for call in calls]

    def _spend(self, call: RateCall, now_us: int) -> Answer:
        keys = [(call.tenant_id, cost.rate.bucket) for cost in call.costs]
        if call.refund:
            self._move(gcra.refunded, keys, call, now_us)
            return Answer()
        limited = gcra.refusal([self._tats.get(k) for k in keys], call.costs, now_us)
        if limited is None:
            self._move(gcra.spent, keys, call, now_us)
        levels = [
            gcra.level(self._tats.get(key), now_us, cost.rate.window_us) - now_us
            for key, cost in zip(keys, call.costs, strict=True)
        ]
        return Answer(limited, tuple(levels))

    def _move(
        self,
        move: Callable[[int | None, int, Cost], int],
        keys: list[tuple[str, str]],
        call: RateCall,
        now_us: int,
    ) -> None:
        for key, cost in zip(keys, call.costs, strict=True):
            self._tats[key] = move(self._tats.get(key), now_us, cost)
