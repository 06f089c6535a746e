"""A message's usage reports: several in a stream, each class of tokens by itself."""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.answer import reported
from tollgate_dialects.answer.reported import ImplausibleError, count
from tollgate_dialects.pricing.usage import Usage
from tollgate_dialects.request import variants
from tollgate_dialects.request.content import object_in
from tollgate_dialects.request.variants import Variant

_CONTAINERS: Final = "container_sessions"


def found_in(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The report in a message or an event, with the container that it tells of beside it."""
    report = reported.found_in(document)
    if report is None:
        return None
    for holder in (document, document.get("delta"), document.get("message")):
        if isinstance(holder, dict) and object_in(holder, "container").get("id"):
            return {**report, _CONTAINERS: 1}
    return report


def merge(earlier: dict[str, Any], report: Mapping[str, Any]) -> None:
    """Later reports are cumulative and may leave fields out: the last of each field wins.

    A count that has begun does not fall to zero: some write zeros where they mean to leave out.
    """
    for name, value in report.items():
        if value is None or (value == 0 and type(value) is int and earlier.get(name)):
            continue
        earlier[name] = value


def read(report: Mapping[str, Any]) -> Usage:
    """Input, cache reads and cache writes exclude one another; output includes thinking.

    Raises ImplausibleError.
    """
    fresh = count(report, "input_tokens")
    output = count(report, "output_tokens")
    if fresh is None or output is None:
        raise ImplausibleError
    split = report.get("cache_creation")
    hour = count(split, "ephemeral_1h_input_tokens") or 0
    written = count(report, "cache_creation_input_tokens")
    if written is None:
        written = hour + (count(split, "ephemeral_5m_input_tokens") or 0)
    hour = min(hour, written)
    reasoning = count(report.get("output_tokens_details"), "thinking_tokens") or 0
    return Usage.of(
        input_tokens=fresh,
        output_tokens=output,
        cache_read_tokens=count(report, "cache_read_input_tokens") or 0,
        cache_write_5m_tokens=written - hour,
        cache_write_1h_tokens=hour,
        reasoning_tokens=min(reasoning, output),
        container_sessions=count(report, _CONTAINERS) or 0,
        web_search_requests=count(report.get("server_tool_use"), "web_search_requests") or 0,
        # Not its tier: "priority" is capacity that was paid for before, at no price of its own.
        served=variants.told(report, Variant.FAST.member, Variant.US.member),
    )
