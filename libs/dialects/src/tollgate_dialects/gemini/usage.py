"""`usageMetadata`: what was read is one count, what was produced two."""

from collections.abc import Mapping
from typing import Any

from tollgate_dialects.answer.reported import ImplausibleError, count, of_subsets
from tollgate_dialects.pricing.usage import Usage


def found_in(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The report in an answer or a chunk of it; None for one that counts nothing.

    On Vertex every chunk but the last says only how the traffic is paid for.
    """
    report = document.get("usageMetadata")
    if not isinstance(report, dict) or report.get("promptTokenCount") is None:
        return None
    return report


def counts_output(report: Mapping[str, Any]) -> bool:
    """Whether a report says how much was produced: a count of zero is left out."""
    return any(
        report.get(name) is not None for name in ("candidatesTokenCount", "thoughtsTokenCount")
    )


def read(report: Mapping[str, Any]) -> Usage:
    """Cached tokens are a part of the prompt's; thoughts and what tools gave stand beside.

    Raises ImplausibleError.
    """
    prompt = count(report, "promptTokenCount")
    if prompt is None:
        raise ImplausibleError
    thoughts = count(report, "thoughtsTokenCount") or 0
    usage = of_subsets(
        read=prompt + (count(report, "toolUsePromptTokenCount") or 0),
        output=(count(report, "candidatesTokenCount") or 0) + thoughts,
        cached=count(report, "cachedContentTokenCount") or 0,
        written=0,
        reasoning=thoughts,
        total=count(report, "totalTokenCount") or 0,
    )
    details = report.get("promptTokensDetails")
    heard = sum(
        count(detail, "tokenCount") or 0
        for detail in (details if isinstance(details, list) else ())
        if isinstance(detail, dict) and detail.get("modality") == "AUDIO"
    )
    return usage.with_audio(heard=heard, spoken=0) if heard else usage
