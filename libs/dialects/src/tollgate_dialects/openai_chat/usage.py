"""A chat's usage report, read into disjoint classes."""

from collections.abc import Mapping
from typing import Any

from tollgate_dialects.answer.reported import ImplausibleError, count
from tollgate_dialects.pricing.usage import Usage


def read(report: Mapping[str, Any]) -> Usage:
    """Cached and written tokens are subsets of the prompt's, reasoning of the completion's.

    Raises ImplausibleError.
    """
    # The other names are those of the Responses API, which some vendors use for chats too.
    prompt = count(report, "prompt_tokens", "input_tokens")
    completion = count(report, "completion_tokens", "output_tokens")
    if prompt is None or completion is None:
        raise ImplausibleError
    prompt_details = report.get("prompt_tokens_details", report.get("input_tokens_details"))
    details = report.get("completion_tokens_details", report.get("output_tokens_details"))
    # DeepSeek, Moonshot and Mistral write it outside; a zero in one place says nothing of another.
    cached = max(
        count(prompt_details, "cached_tokens") or 0,
        count(report, "prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens") or 0,
    )
    written = (
        count(
            prompt_details,
            "cache_write_tokens",
            "cache_creation_input_tokens",
            "cache_creation_tokens",
        )
        or 0
    )
    reasoning = count(details, "reasoning_tokens") or 0
    total = count(report, "total_tokens") or 0
    if cached + written > prompt:
        # No subset of the prompt: this upstream (Grok on Azure) reports the classes disjoint.
        prompt += cached + written
        total += (cached + written) if total else 0
    # xAI and Gemini leave reasoning out of the completion; only the total shows it.
    hidden = max(0, total - prompt - completion)
    if reasoning > completion:
        hidden = max(hidden, reasoning)
    return Usage.of(
        input_tokens=prompt - cached - written,
        output_tokens=completion + hidden,
        cache_read_tokens=cached,
        cache_write_5m_tokens=written,
        reasoning_tokens=max(reasoning, hidden),
    )
