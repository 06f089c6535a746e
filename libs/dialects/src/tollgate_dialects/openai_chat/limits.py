"""The output limit of a chat: two names for one number, and which of them a model takes."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import orjson

from tollgate_dialects.alibaba import models
from tollgate_dialects.common.refusal import BadRequest, Code, unsupported, wrong_type
from tollgate_dialects.request import normalisation, values
from tollgate_dialects.request.rules import NO_THINKING, OutputLimit, Thinking

_WHOLE: Final = "max_completion_tokens"
_USUAL: Final = "max_tokens"
NAMES: Final = (_WHOLE, _USUAL)
_PREDICTION: Final = "prediction"
_FOREIGN = values.foreign_limits(NAMES)
# Without these, a request says nothing of what its limit leaves out.
_SAYS_OF_THINKING = frozenset(("thinking_budget", "enable_thinking", _WHOLE, _PREDICTION))
_NAMES_REMEMBERED: Final = 4_096

# o1, o3-mini, gpt-5.2, codex-mini, also behind a vendor's prefix ("openai/o3", "ft:o4-mini:org").
_REASONING_MODEL = re.compile(
    r"(?:.*[/:.])?(?:azure-)?(?:o[1-9]|codex)(?![a-z0-9])"
    # Behind any deployment's name; gpt-35 is how Azure writes 3.5.
    r"|(?:.*[/:._@-])?gpt-?(?:[5-9]|[12]\d)(?![a-z0-9])",
    re.IGNORECASE,
)
_OLDER = re.compile(r"(?:^|[/:._@-])(?:gpt-?[34]|chatgpt)", re.IGNORECASE)
# Those of Qwen that think unless they are told not to.
_THINKING_QWEN = re.compile(rf"{models.LATER}|qwen-?3\.[5-9]|qwq|qvq|qwen.*thinking", re.IGNORECASE)
_GPT = re.compile(r"gpt-?([5-9])(?:\.(\d{1,2}))?(?!\d)", re.IGNORECASE)


def output_limit(document: Mapping[str, Any]) -> OutputLimit:
    """The limit that a request sets, if it sets one. Raises BadRequest for two that differ."""
    values.refuse_foreign_limit(document, _FOREIGN)
    found: int | None = None
    names: list[str] = []
    for name in NAMES:
        limit = values.integer(document, name, lowest=1, highest=values.MAX_OUTPUT_TOKENS)
        if limit is None:
            continue
        if found not in (None, limit):
            raise BadRequest(
                Code.CONFLICTING_PARAMETERS,
                "max_tokens and max_completion_tokens must not differ.",
                "max_tokens",
            )
        found = limit
        names.append(name)
    return found, tuple(names)


def thinking(document: Mapping[str, Any]) -> Thinking:
    """What a request says of thinking, and of a prediction. Raises BadRequest."""
    if document.keys().isdisjoint(_SAYS_OF_THINKING):  # as nearly always
        return NO_THINKING
    budget = values.integer(document, "thinking_budget", lowest=0, highest=values.MAX_OUTPUT_TOKENS)
    said = document.get("enable_thinking")
    return Thinking(
        budget,
        is_off=said is False,
        # Who is told of it is Alibaba's.
        is_told=said is not None or budget is not None,
        is_limited_whole=document.get(_WHOLE) is not None,
        predicted=_predicted(document),
    )


def beyond_limit(asked: Thinking, model: str) -> int | None:
    """What may be billed as output beyond an answer's limit: thinking, and a wrong prediction.

    Alibaba's `max_tokens` is for the answer alone. None: nobody says how long the model thinks.
    Raises BadRequest.
    """
    tokens: int | None = 0
    is_quiet = asked.is_off and not models.always_thinks(model)
    if (asked.is_told or is_thinking_qwen(model)) and not is_quiet:
        tokens = models.beyond_limit(asked, model)
    if tokens is None and asked.predicted:
        raise unsupported(_PREDICTION)
    return None if tokens is None else tokens + asked.predicted


def written_beyond_limit(model: str) -> int | None:
    """The same of a request that is written as a chat: nothing in it ends a Qwen's thinking."""
    return beyond_limit(NO_THINKING, model)


def _predicted(document: Mapping[str, Any]) -> int:
    """The most tokens of a prediction: those that the answer has not are billed as output, too.

    OpenAI counts them as completion; that its limit counts them nobody says.
    """
    prediction = document.get(_PREDICTION)
    if prediction is None:
        return 0
    if not isinstance(prediction, dict):
        raise wrong_type(_PREDICTION, "an object")
    printed = orjson.dumps(prediction)
    return len(printed) + normalisation.growth(printed)


@lru_cache(maxsize=_NAMES_REMEMBERED)
def is_thinking_qwen(model: str) -> bool:
    """Whether a name is that of one of Qwen's models that think unless they are told not to."""
    return _THINKING_QWEN.search(model) is not None


def is_reasoning_model(model: str) -> bool:
    """Whether a name is that of one of OpenAI's models that think."""
    return _REASONING_MODEL.match(model) is not None


def is_openai(model: str) -> bool:
    """Whether a name is that of one of OpenAI's models, which refuse what they do not know."""
    return is_reasoning_model(model) or _OLDER.search(model) is not None


def effort_for(model: str, effort: str) -> str:
    """The nearest word for how much to think that a model takes; empty: it has none for it.

    Whether a model of another maker can be told not to think, nobody knows.
    """
    if is_openai(model) and not is_reasoning_model(model):
        return ""
    found = _GPT.search(model)
    version = (int(found[1]), int(found[2] or 0)) if found else (0, 0)
    if effort == "none":
        return "none" if version >= (5, 1) else "minimal" if version >= (5, 0) else ""
    if effort == "minimal":
        return "minimal" if version == (5, 0) else "low"
    if effort in ("xhigh", "max"):
        return "xhigh" if version >= (5, 2) else "high"
    return effort


def name_for(model: str) -> str:
    """The name to limit a client by that named none.

    Every compatible server knows `max_tokens`, except for OpenAI's reasoning models, which only
    take `max_completion_tokens`.
    """
    return _WHOLE if is_reasoning_model(model) else _USUAL


def restated(names: tuple[str, ...], model: str) -> tuple[str, ...]:
    """Under which name a limit is said once more, for a model that may not know the client's."""
    if names != (_WHOLE,) or not models.is_qwen(model) or models.is_limited_whole(model):
        return ()
    return (_USUAL,)
