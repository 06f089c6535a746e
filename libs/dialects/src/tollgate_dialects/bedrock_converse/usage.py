"""Converse's usage report: one, of the whole answer, each class of tokens by itself."""

from collections.abc import Mapping
from typing import Any

from tollgate_dialects.answer.reported import ImplausibleError, count
from tollgate_dialects.pricing.usage import Usage


def read(report: Mapping[str, Any]) -> Usage:
    """Input, cache reads and cache writes exclude one another; output includes thinking.

    Raises ImplausibleError.
    """
    fresh = count(report, "inputTokens")
    output = count(report, "outputTokens")
    if fresh is None or output is None:
        raise ImplausibleError
    details = report.get("cacheDetails")
    by_ttl = {"5m": 0, "1h": 0}
    for detail in details if isinstance(details, list) else ():
        written = count(detail, "inputTokens") or 0
        by_ttl["1h" if written and detail.get("ttl") == "1h" else "5m"] += written
    total = count(report, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    if total is None:
        total = sum(by_ttl.values())
    hour = min(by_ttl["1h"], total)
    return Usage.of(
        input_tokens=fresh,
        output_tokens=output,
        cache_read_tokens=count(report, "cacheReadInputTokens", "cacheReadInputTokenCount") or 0,
        cache_write_5m_tokens=total - hour,
        cache_write_1h_tokens=hour,
    )
