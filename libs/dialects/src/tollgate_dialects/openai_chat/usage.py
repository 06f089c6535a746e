"""A chat's usage report, read into disjoint classes."""

from collections.abc import Mapping
from typing import Any

from tollgate_dialects.answer import reported
from tollgate_dialects.answer.reported import ImplausibleError, count, of_subsets
from tollgate_dialects.pricing.usage import Usage
from tollgate_dialects.request import variants
from tollgate_dialects.request.variants import Variant


def found_in(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The report in a chat or a chunk of it, with the tier that stands beside it."""
    report = reported.found_in(document)
    if report is None:
        return None
    return reported.with_member(report, document, Variant.PRIORITY.member)


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
    usage = of_subsets(
        read=prompt,
        output=completion,
        cached=cached,
        written=written,
        reasoning=reasoning,
        total=total,
        served=variants.told(report, Variant.PRIORITY.member),
    )
    heard = count(prompt_details, "audio_tokens") or 0
    spoken = count(details, "audio_tokens") or 0
    return usage.with_audio(heard=heard, spoken=spoken) if heard or spoken else usage
