"""The seam between rate rules and where buckets live. One contract suite, two stores."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tollgate_budget.rates.gcra import Answer, Cost


class RatesUnavailable(Exception):  # noqa: N818 - a state of the world, not a bug
    """The store gave no answer; what was asked may have been spent: never too little is."""


class RateCall(NamedTuple):
    """One call's costs, to be spent or taken back together. Buckets belong to a tenant."""

    tenant_id: str
    costs: tuple[Cost, ...]
    refund: bool = False


class RateStore(Protocol):
    """Spends and gives back rates, for many calls in one trip."""

    async def spend(self, calls: Sequence[RateCall]) -> list[Answer]:
        """Spend or refund each call in its order, wholly or not at all.

        Raises RatesUnavailable for all of them.
        """
        ...
