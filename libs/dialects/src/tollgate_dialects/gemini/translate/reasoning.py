"""How much a model thinks: `thinkingConfig`, and the one form's.

Owns the numbers that stand for an effort where a model is told a budget, and the words that stand
for one where it is told a level.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tollgate_dialects.common import shapes
from tollgate_dialects.conversation.request import Reasoning
from tollgate_dialects.gemini.translate.models import Model

# Budgets in tokens.
_BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 512,
    "low": 1_024,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 32_768,
}
_DECIDES_ITSELF: Final = -1


def read(config: Mapping[str, Any]) -> Reasoning | None:
    """What a client asks for, in camelCase. Raises ShapeError."""
    if not config:
        return None
    effort = shapes.text(config, "thinkingLevel").lower()
    if effort == "thinking_level_unspecified":
        effort = ""
    budget = shapes.whole_number(config, "thinkingBudget")
    is_shown = shapes.flag(config, "includeThoughts")
    summary = "" if is_shown is None else "auto" if is_shown else "omitted"
    if budget == 0:
        return Reasoning("off", effort, summary=summary)
    if budget == _DECIDES_ITSELF:
        return Reasoning("adaptive", effort, summary=summary)
    if budget is not None:
        return Reasoning("on", effort, max(budget, 1), summary)
    return Reasoning("", effort, summary=summary)


class Written(NamedTuple):
    """`thinkingConfig` as it is sent; empty: it is not."""

    config: dict[str, Any]
    dropped: frozenset[str] = frozenset()


def write(asked: Reasoning | None, model: Model, max_tokens: int | None) -> Written:
    """What is sent for what was asked; thoughts count as output, so some of it is left for words.

    `max_tokens`: the output limit.
    """
    if asked is None or asked == Reasoning():
        return Written({})
    is_off = asked.mode == "off" or asked.effort == "none"
    if not model.thinks:
        return Written({}, frozenset() if is_off else frozenset(("reasoning",)))
    told = _level(asked, model, is_off=is_off) if model.takes_level else _budget(
        asked, model, max_tokens, is_off=is_off
    )  # fmt: skip
    if is_off:
        return told
    return Written({**told.config, "includeThoughts": asked.summary != "omitted"}, told.dropped)


def _level(asked: Reasoning, model: Model, *, is_off: bool) -> Written:
    """The nearest level; the larger and the newer models have fewer, and none of these can rest."""
    if is_off:
        level = "MINIMAL" if model.takes_minimal else "LOW"
        return Written({"thinkingLevel": level}, frozenset(("reasoning",)))
    effort = asked.effort
    if not effort and asked.budget_tokens is not None:
        effort = min(
            ("low", "medium", "high"),
            key=lambda one: abs(_BUDGETS[one] - (asked.budget_tokens or 0)),
        )
    if not effort:
        return Written({})
    dropped = frozenset(("reasoning.effort",))
    match effort:
        case "minimal" if not model.takes_minimal:
            return Written({"thinkingLevel": "LOW"}, dropped)
        case "medium" if model.is_pro and model.generation < (3, 1):
            return Written({"thinkingLevel": "HIGH"}, dropped)
        case "minimal" | "low" | "medium" | "high":
            return Written({"thinkingLevel": effort.upper()})
    return Written({"thinkingLevel": "HIGH"}, dropped)


def _budget(asked: Reasoning, model: Model, max_tokens: int | None, *, is_off: bool) -> Written:
    if is_off:
        if not model.is_pro:
            return Written({"thinkingBudget": 0})
        return Written({"thinkingBudget": model.least_budget}, frozenset(("reasoning",)))
    budget, most = asked.budget_tokens, model.most_budget
    if budget is None and not asked.effort:
        return Written({"thinkingBudget": _DECIDES_ITSELF})
    if budget is None:
        budget = _BUDGETS.get(asked.effort, _BUDGETS["high"])
        # Our own number leaves half of the answer to what is not thinking.
        most = min(most, (max_tokens or 2 * most) // 2)
    elif max_tokens is not None:
        most = min(most, max_tokens - 1)
    return Written({"thinkingBudget": max(min(budget, most), model.least_budget)})
