"""An upstream's own usage report: where it stands, and what can be a count.

What the counts mean, their dialect knows. Promises that no count is negative, fractional or absurd:
a report that breaks this is refused whole (None), never repaired.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tollgate_dialects.pricing.units import NONE
from tollgate_dialects.pricing.usage import Usage
from tollgate_dialects.request.variants import Served

# No call reads or writes more; larger counts are a fault or a lie.
MAX_TOKENS: Final = 1_000_000_000
# Of the units behind the first four.
_NONE_OTHER: Final = NONE[4:]


class ImplausibleError(ValueError):
    """A count that cannot be a count."""


def count(report: Any, *names: str) -> int | None:
    """The first of the names that is there. Raises ImplausibleError for what is no count."""
    if not isinstance(report, dict):
        return None
    for name in names:
        value = report.get(name)
        if value is None:
            continue
        if type(value) is not int or not 0 <= value <= MAX_TOKENS:
            raise ImplausibleError
        return value
    return None


def of_subsets(
    *,
    read: int,
    output: int,
    cached: int,
    written: int,
    reasoning: int,
    total: int,
    served: Served = (),
) -> Usage:
    """The disjoint classes of counts as OpenAI's protocols report them.

    There cached and written tokens are subsets of what is read, reasoning of the output; `total`
    is 0 where none was reported.
    """
    if cached + written > read:
        # No subset: this upstream (Grok on Azure) reports the classes disjoint.
        read += cached + written
        total += (cached + written) if total else 0
    # xAI and Gemini leave reasoning out of the output; only the total shows it.
    hidden = max(0, total - read - output)
    if reasoning > output:
        hidden = max(hidden, reasoning)
    # In the order of Unit: input, output, cache read, cache write of 5 minutes.
    counts = (read - cached - written, output + hidden, cached, written, *_NONE_OTHER)
    return Usage(counts, max(reasoning, hidden), served=served)


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


def with_member(
    report: Mapping[str, Any], document: Mapping[str, Any], name: str
) -> Mapping[str, Any]:
    """A report with what its document says beside it."""
    return {name: document[name], **report} if name in document else report


def _usage_in(holder: object) -> dict[str, Any] | None:
    usage = holder.get("usage") if isinstance(holder, dict) else None
    return usage if isinstance(usage, dict) and usage else None


def usage_of(report: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Usage]) -> Usage | None:
    """The usage in a report, as its dialect reads it; None for one that cannot be."""
    try:
        return read(report)
    except ImplausibleError:
        return None
