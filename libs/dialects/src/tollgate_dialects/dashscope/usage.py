"""A generation's usage report, read into disjoint classes."""

from collections.abc import Mapping
from typing import Any

from tollgate_dialects.answer.reported import ImplausibleError, count, of_subsets
from tollgate_dialects.pricing.usage import Usage


def read(report: Mapping[str, Any]) -> Usage:
    """Cached and written tokens are subsets of the input's, reasoning of the output's.

    Raises ImplausibleError.
    """
    total_input = count(report, "input_tokens")
    output = count(report, "output_tokens")
    if total_input is None or output is None:
        raise ImplausibleError
    details = report.get("prompt_tokens_details")
    # Some models have it outside; a zero in one place says nothing of another.
    cached = max(count(details, "cached_tokens") or 0, count(report, "cached_tokens") or 0)
    written = count(details, "cache_creation_input_tokens") or 0
    reasoning = count(report.get("output_tokens_details"), "reasoning_tokens") or 0
    return of_subsets(
        read=total_input,
        output=output,
        cached=cached,
        written=written,
        reasoning=reasoning,
        total=count(report, "total_tokens") or 0,
    )
