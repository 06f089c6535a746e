"""How much a model thinks: each vendor's word for it on Bedrock.

Money: no effort is sent that would need a request without an output limit.
"""

from typing import Any, Final, NamedTuple

from tollgate_dialects.bedrock_converse.translate.models import Model
from tollgate_dialects.claude import reasoning as claude
from tollgate_dialects.conversation.request import Reasoning

_EFFORTS: Final = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
# Efforts by what a budget comes to, in tokens.
_BUDGETS: Final = ((1_024, "low"), (8_192, "medium"))
_SAME: Final = frozenset(("low", "medium", "high"))


class Written(NamedTuple):
    """Members for the model itself, and whether a Claude thinks."""

    members: dict[str, Any]
    is_on: bool = False
    dropped: frozenset[str] = frozenset()


def write(asked: Reasoning | None, model: Model, limits: claude.Limits) -> Written:
    """What is sent for what was asked."""
    if model.claude is not None:
        found = claude.write(asked, model.claude, limits)
        members: dict[str, Any] = {}
        if found.thinking is not None:
            members["thinking"] = found.thinking
        if found.effort:
            members["output_config"] = {"effort": found.effort}
        return Written(members, found.is_on, found.dropped)
    if asked is None or asked == Reasoning():
        return Written({})
    return _by_effort(asked, model)


def _by_effort(asked: Reasoning, model: Model) -> Written:
    effort = "none" if asked.mode == "off" else asked.effort
    if not effort and asked.budget_tokens is not None:
        budget = asked.budget_tokens
        effort = next((word for most, word in _BUDGETS if budget <= most), "high")
    dropped = {"reasoning.summary"} if asked.summary else set()
    known = _EFFORTS.get(effort or ("medium" if asked.mode else ""), "")
    if known and effort and effort not in _SAME:
        dropped.add("reasoning.effort")
    members: dict[str, Any] = {}
    if known and "openai.gpt-oss" in model.name:
        members = {"reasoning_effort": known}
    elif known and "amazon.nova-2" in model.name:
        if known == "high":
            # Amazon takes this one only without an output limit.
            known = "medium"
            dropped.add("reasoning.effort")
        members = {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": known}}
    elif known or (effort == "none" and "gpt-oss" in model.name):
        dropped.add("reasoning")
    return Written(members, dropped=frozenset(dropped))
