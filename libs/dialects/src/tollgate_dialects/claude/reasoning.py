"""How much Claude thinks: its `thinking` and `output_config.effort`, and the one form's.

Owns the numbers that stand for an effort where a model is told a budget, and the rules of what
thinking excludes.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from tollgate_dialects.claude.models import Model
from tollgate_dialects.common.refusal import BadRequest, Code, wrong_type
from tollgate_dialects.conversation.request import Reasoning
from tollgate_dialects.request import values
from tollgate_dialects.request.content import kind_of

# Budgets in tokens.
_BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 1_024,
    "low": 1_024,
    "medium": 2_048,
    "high": 4_096,
    "xhigh": 8_192,
    "max": 16_384,
}
_LEAST_BUDGET: Final = 1_024
# Efforts as models have them that are told one.
_EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
# What a model that decides itself does where nothing is said.
_USUAL: Final = "high"
_MODES: Final[Mapping[str, Literal["off", "on", "adaptive"]]] = {
    "enabled": "on",
    "adaptive": "adaptive",
    "between_tools": "adaptive",
    "disabled": "off",
}


def read(thinking: object, output_config: Mapping[str, Any], unheld: set[str]) -> Reasoning | None:
    """What a client asks for. Raises BadRequest."""
    effort = output_config.get("effort")
    if effort is not None and not isinstance(effort, str):
        raise wrong_type("output_config.effort", "a string")
    if thinking is None:
        return Reasoning(effort=effort) if effort else None
    if not isinstance(thinking, dict):
        raise wrong_type("thinking", "an object")
    kind = kind_of(thinking) or ""
    if kind not in _MODES:
        raise BadRequest(Code.INVALID_VALUE, "This kind of thinking is not known.", "thinking.type")
    if kind == "between_tools":
        unheld.add("thinking.between_tools")
    budget = values.integer(thinking, "budget_tokens", lowest=0, highest=values.MAX_OUTPUT_TOKENS)
    display = thinking.get("display")
    shown = {"summarized": "auto", "omitted": "omitted"}
    return Reasoning(
        mode=_MODES[kind],
        effort=effort or "",
        budget_tokens=budget,
        summary=shown.get(display, "") if isinstance(display, str) else "",
    )


class Limits(NamedTuple):
    """What bears on thinking beside what is asked."""

    max_tokens: int
    # A tool has to be called.
    is_forced: bool
    # The last answer in the conversation can stand only where no budget is thought.
    is_unsigned: bool


class Written(NamedTuple):
    """`thinking` and `effort` as they are sent; None and empty: they are not."""

    thinking: dict[str, Any] | None
    effort: str
    dropped: frozenset[str] = frozenset()

    @property
    def is_on(self) -> bool:
        """Whether the model thinks."""
        return self.thinking is not None and self.thinking["type"] != "disabled"


def write(asked: Reasoning | None, model: Model, limits: Limits) -> Written:
    """What is sent for what was asked."""
    if asked is None or asked == Reasoning():
        return Written(None, "")
    if asked.mode == "off" or asked.effort == "none":
        return _at_rest(asked, model)
    if not (asked.mode or asked.effort or asked.budget_tokens):
        # How thinking is shown does not ask for any.
        return Written(None, "", frozenset(("reasoning.summary",)))
    if not model.thinks:
        return Written(None, "", frozenset(("reasoning",)))
    has_budget = asked.budget_tokens is not None and model.takes_budget
    if model.is_adaptive and not has_budget:
        return _adaptive(asked, model)
    return _budgeted(asked, model, limits)


def _at_rest(asked: Reasoning, model: Model) -> Written:
    effort, dropped = _effort(asked, model)
    if not model.thinks:
        return Written(None, "")
    if not model.can_rest:
        return Written(None, effort, dropped | {"reasoning"})
    if model.is_calm_at_rest and effort in ("xhigh", "max"):
        effort, dropped = _USUAL, dropped | {"reasoning.effort"}
    return Written({"type": "disabled"}, effort, dropped)


def _adaptive(asked: Reasoning, model: Model) -> Written:
    effort, dropped = _effort(asked, model)
    if asked.budget_tokens is not None:
        dropped |= {"reasoning.budget_tokens"}
    return Written({"type": "adaptive", **_display(asked)}, effort, dropped)


def _effort(asked: Reasoning, model: Model) -> tuple[str, frozenset[str]]:
    """An effort that the model has, at most what was asked; empty for none."""
    effort = asked.effort
    if not model.is_adaptive or effort in ("", "none"):
        if effort != "none" and model.is_adaptive and asked.budget_tokens:
            return _nearest(asked.budget_tokens, model), frozenset()
        return "", frozenset()
    if effort == "minimal":
        return "low", frozenset()
    if effort not in _EFFORTS or (effort == "xhigh" and not model.knows_extra_high):
        return _USUAL, frozenset(("reasoning.effort",))
    return effort, frozenset()


def _nearest(budget: int, model: Model) -> str:
    """The effort whose budget differs least, as a factor."""
    efforts = [one for one in _EFFORTS if one != "xhigh" or model.knows_extra_high]
    return min(efforts, key=lambda one: max(budget / _BUDGETS[one], _BUDGETS[one] / max(budget, 1)))


def _budgeted(asked: Reasoning, model: Model, limits: Limits) -> Written:
    budget = asked.budget_tokens
    if budget is None:
        # Our own number leaves half of the answer to what is not thinking.
        half = max(limits.max_tokens // 2, _LEAST_BUDGET)
        budget = min(_BUDGETS.get(asked.effort, _BUDGETS[_USUAL]), half)
    budget = min(max(budget, _LEAST_BUDGET), limits.max_tokens - 1)
    effort, dropped = _effort(Reasoning(effort=asked.effort), model)
    if budget < _LEAST_BUDGET or limits.is_forced or limits.is_unsigned:
        return Written(None, effort, dropped | {"reasoning"})
    thinking = {"type": "enabled", "budget_tokens": budget, **_display(asked)}
    return Written(thinking, effort, dropped)


def _display(asked: Reasoning) -> dict[str, str]:
    if not asked.summary:
        return {}
    return {"display": "omitted" if asked.summary == "omitted" else "summarized"}
