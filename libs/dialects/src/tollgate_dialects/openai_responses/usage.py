"""A response's usage report, read into disjoint classes."""

from collections.abc import Mapping
from typing import Any

from tollgate_dialects.answer.reported import ImplausibleError, count
from tollgate_dialects.pricing.usage import Usage


def read(report: Mapping[str, Any]) -> Usage:
    """Cached and written tokens are subsets of the input's, reasoning of the output's.

    Raises ImplausibleError.
    """
    total_input = count(report, "input_tokens")
    output = count(report, "output_tokens")
    if total_input is None or output is None:
        raise ImplausibleError
    details = report.get("input_tokens_details")
    cached = count(details, "cached_tokens") or 0
    written = count(details, "cache_write_tokens") or 0
    reasoning = count(report.get("output_tokens_details"), "reasoning_tokens") or 0
    total = count(report, "total_tokens") or 0
    if cached + written > total_input:
        # No subset of the input: this upstream reports the classes disjoint.
        total_input += cached + written
        total += (cached + written) if total else 0
    # Some leave reasoning out of the output; only the total shows it.
    hidden = max(0, total - total_input - output)
    if reasoning > output:
        hidden = max(hidden, reasoning)
    return Usage.of(
        input_tokens=total_input - cached - written,
        output_tokens=output + hidden,
        cache_read_tokens=cached,
        cache_write_5m_tokens=written,
        reasoning_tokens=max(reasoning, hidden),
    )
