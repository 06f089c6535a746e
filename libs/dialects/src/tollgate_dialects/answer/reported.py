"""An upstream's own usage report, read into disjoint classes.

Owns what the dialects of each protocol mean by their counts. Promises that no
count is negative, fractional or absurd and that no token is counted twice: a report that breaks
this is refused whole (None), never repaired.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.pricing.usage import Usage

# No call reads or writes more; larger counts are a fault or a lie.
MAX_TOKENS: Final = 1_000_000_000


class _ImplausibleError(ValueError):
    """A count that cannot be a count."""


def _count(report: Any, *names: str) -> int | None:
    """The first of the names that is there."""
    if not isinstance(report, dict):
        return None
    for name in names:
        value = report.get(name)
        if value is None:
            continue
        if type(value) is not int or not 0 <= value <= MAX_TOKENS:
            raise _ImplausibleError
        return value
    return None


def found_in(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The report in a document of either protocol, wherever vendors put it; None: there is none.

    At the top (both protocols), in Groq's `x_groq`, in Anthropic's `message` and `delta`, or in
    the choice itself (Moonshot).
    """
    if usage := _usage_in(document):  # as nearly always
        return usage
    holders: list[Any] = [document.get("x_groq"), document.get("message"), document.get("delta")]
    choices = document.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            holders += [choice, choice.get("delta"), choice.get("message")]
    for holder in holders:
        if usage := _usage_in(holder):
            return usage
    return None


def _usage_in(holder: object) -> dict[str, Any] | None:
    usage = holder.get("usage") if isinstance(holder, dict) else None
    return usage if isinstance(usage, dict) and usage else None


def from_openai(report: Mapping[str, Any]) -> Usage | None:
    """Cached and written tokens are subsets of the prompt's, reasoning of the completion's."""
    try:
        return _from_openai(report)
    except _ImplausibleError:
        return None


def _from_openai(report: Mapping[str, Any]) -> Usage:
    # The other names are those of the Responses API, which some vendors use for chats too.
    prompt = _count(report, "prompt_tokens", "input_tokens")
    completion = _count(report, "completion_tokens", "output_tokens")
    if prompt is None or completion is None:
        raise _ImplausibleError
    prompt_details = report.get("prompt_tokens_details", report.get("input_tokens_details"))
    details = report.get("completion_tokens_details", report.get("output_tokens_details"))
    # DeepSeek, Moonshot and Mistral write it outside; a zero in one place says nothing of another.
    cached = max(
        _count(prompt_details, "cached_tokens") or 0,
        _count(report, "prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens") or 0,
    )
    written = (
        _count(
            prompt_details,
            "cache_write_tokens",
            "cache_creation_input_tokens",
            "cache_creation_tokens",
        )
        or 0
    )
    reasoning = _count(details, "reasoning_tokens") or 0
    total = _count(report, "total_tokens") or 0
    if cached + written > prompt:
        # No subset of the prompt: this upstream (Grok on Azure) reports the classes disjoint.
        prompt += cached + written
        total += (cached + written) if total else 0
    # xAI and Gemini leave reasoning out of the completion; only the total shows it.
    hidden = max(0, total - prompt - completion)
    if reasoning > completion:
        hidden = max(hidden, reasoning)
    return Usage(
        input_tokens=prompt - cached - written,
        output_tokens=completion + hidden,
        cache_read_tokens=cached,
        cache_write_5m_tokens=written,
        reasoning_tokens=max(reasoning, hidden),
    )


def merge_anthropic(earlier: dict[str, Any], report: Mapping[str, Any]) -> None:
    """Later reports are cumulative and may leave fields out: the last of each field wins.

    A count that has begun does not fall to zero: some write zeros where they mean to leave out.
    """
    for name, value in report.items():
        if value is None or (value == 0 and type(value) is int and earlier.get(name)):
            continue
        earlier[name] = value


def from_anthropic(report: Mapping[str, Any]) -> Usage | None:
    """Input, cache reads and cache writes exclude one another; output includes thinking."""
    try:
        return _from_anthropic(report)
    except _ImplausibleError:
        return None


def _from_anthropic(report: Mapping[str, Any]) -> Usage:
    fresh = _count(report, "input_tokens")
    output = _count(report, "output_tokens")
    if fresh is None or output is None:
        raise _ImplausibleError
    split = report.get("cache_creation")
    hour = _count(split, "ephemeral_1h_input_tokens") or 0
    written = _count(report, "cache_creation_input_tokens")
    if written is None:
        written = hour + (_count(split, "ephemeral_5m_input_tokens") or 0)
    hour = min(hour, written)
    reasoning = _count(report.get("output_tokens_details"), "thinking_tokens") or 0
    return Usage(
        input_tokens=fresh,
        output_tokens=output,
        cache_read_tokens=_count(report, "cache_read_input_tokens") or 0,
        cache_write_5m_tokens=written - hour,
        cache_write_1h_tokens=hour,
        reasoning_tokens=min(reasoning, output),
    )
