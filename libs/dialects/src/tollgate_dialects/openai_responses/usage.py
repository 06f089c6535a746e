"""A response's usage report, read into disjoint classes."""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.answer import reported
from tollgate_dialects.answer.reported import ImplausibleError, count, of_subsets
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import Usage
from tollgate_dialects.request import variants
from tollgate_dialects.request.content import object_in
from tollgate_dialects.request.variants import Variant

_SEARCHES: Final = "web_search_requests"


def found_in(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The report in a response, with the searches and the tier that it tells of elsewhere."""
    report = reported.found_in(document)
    if report is None:
        return None
    searches = _searches(document)
    report = reported.with_member(report, document, Variant.PRIORITY.member)
    return {**report, _SEARCHES: searches} if searches else report


def _searches(document: Mapping[str, Any]) -> Any:
    """As it is told; else as many as there are: opening a page that was found is free."""
    told = object_in(object_in(document, "tool_usage"), "web_search").get("num_requests")
    if told is not None:
        return told
    items = document.get("output")
    return sum(
        item.get("type") == "web_search_call"
        and ("action" not in item or object_in(item, "action").get("type") == "search")
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, dict)
    )


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
    usage = of_subsets(
        read=total_input,
        output=output,
        cached=cached,
        written=written,
        reasoning=reasoning,
        total=total,
        served=variants.told(report, Variant.PRIORITY.member),
    )
    searches = count(report, _SEARCHES)
    return usage.with_count(Unit.WEB_SEARCH, searches) if searches else usage
