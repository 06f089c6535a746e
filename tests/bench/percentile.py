"""Percentiles and medians of what was measured. Pure."""

import math
import statistics
from collections.abc import Sequence
from typing import Any


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of values in ascending order: always one of them.

    Raises ValueError when there are none.
    """
    if not ordered:
        raise ValueError("no values")
    if not 0 < percent <= 100:
        raise ValueError(f"{percent} is no percentage")
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


def medians(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Number by number, the median over rounds of one shape; dicts inside are gone into."""
    first = rounds[0]
    return {
        name: medians([one[name] for one in rounds])
        if isinstance(value, dict)
        else statistics.median(one[name] for one in rounds)
        for name, value in first.items()
    }
