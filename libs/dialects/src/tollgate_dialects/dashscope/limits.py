"""The output limit of a generation, what it does not cover, and which models are told how.

`max_tokens` ends the answer alone: what a model thinks before it comes on top. The newer models
take `max_completion_tokens`, which ends both, give or take a few tokens.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.alibaba import models
from tollgate_dialects.common.refusal import BadRequest, Code
from tollgate_dialects.request import values
from tollgate_dialects.request.content import object_in
from tollgate_dialects.request.rules import BEYOND_LIMIT_TOKENS, OutputLimit, Thinking

# The member that holds the limits and all that steers an answer.
PARAMETERS: Final = "parameters"
ANSWER: Final = "max_tokens"
WHOLE: Final = "max_completion_tokens"
NAMES: Final = (WHOLE, ANSWER)
_FOREIGN = values.foreign_limits(NAMES)

# Those that think unless they are told not to, or always.
_THINKS = re.compile(
    rf"{models.LATER}|qwen-?3\.[5-9]|qwen-?3-\d+(?:\.\d+)?b(?!.*instruct)|qwq|qvq|thinking"
    r"|deepseek-(?:r\d|v[4-9])|glm-(?:4\.[5-9]|[5-9])|kimi-k2\.[5-9]|minimax-m",
    re.IGNORECASE,
)
# Those that answer on the path for what is seen alone.
_SEES = re.compile(
    rf"{models.LATER}|qwen-?3\.[5-9]|qvq|(?:^|[-_/.\d])(?:vl|ocr|omni|audio)(?![a-z])",
    re.IGNORECASE,
)


def output_limit(document: Mapping[str, Any]) -> OutputLimit:
    """The limit that a request sets, if it sets one. Raises BadRequest for two that differ."""
    parameters = object_in(document, PARAMETERS)
    values.refuse_foreign_limit(parameters, _FOREIGN)
    found = {
        name: limit
        for name in NAMES
        if (limit := values.integer(parameters, name, lowest=1, highest=values.MAX_OUTPUT_TOKENS))
        is not None
    }
    if len(set(found.values())) > 1:
        raise BadRequest(
            Code.CONFLICTING_PARAMETERS,
            "max_tokens and max_completion_tokens must not differ.",
            ANSWER,
        )
    names = tuple(f"{PARAMETERS}.{name}" for name in found)
    return next(iter(found.values()), None), names


def thinking(document: Mapping[str, Any]) -> Thinking:
    """What a request says of thinking. Raises BadRequest."""
    parameters = object_in(document, PARAMETERS)
    return Thinking(
        values.integer(parameters, "thinking_budget", lowest=0, highest=values.MAX_OUTPUT_TOKENS),
        is_off=parameters.get("enable_thinking") is False,
        is_told=True,
        is_limited_whole=parameters.get(WHOLE) is not None,
    )


def written_beyond_limit(model: str) -> int | None:
    """What a model gives beyond the limit of a request that is written as a generation.

    That has a limit for all, or one for the thinking. None: for a model that keeps to neither.
    """
    ends = models.is_limited_whole(model) or models.takes_budget(model)
    return BEYOND_LIMIT_TOKENS if ends else None


def name_for(model: str) -> str:
    """The name to limit a client by that named none: the one that covers most."""
    return WHOLE if models.is_limited_whole(model) else ANSWER


def restated(names: tuple[str, ...], model: str) -> tuple[str, ...]:
    """Under which name a limit is said once more, for a model that may not know the client's."""
    is_alone = names == (f"{PARAMETERS}.{WHOLE}",)
    return (f"{PARAMETERS}.{ANSWER}",) if is_alone and not models.is_limited_whole(model) else ()


def thinks(model: str) -> bool:
    """Whether a model thinks where it is told nothing of it."""
    return _THINKS.search(model) is not None


def sees(model: str) -> bool:
    """Whether a model answers on the path for what is seen, even where it is asked in words."""
    return _SEES.search(model) is not None
