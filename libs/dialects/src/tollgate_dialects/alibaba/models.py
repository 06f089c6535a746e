"""Which limit a model keeps to, and whether it can be told not to think.

`max_tokens` ends an answer alone. `max_completion_tokens` ends the thinking as well, and is known
by newer models alone: others go on as if it were not there.
"""

import re
from typing import Final

from tollgate_dialects.request.rules import BEYOND_LIMIT_TOKENS, Thinking

# Qwen 4 and later; a number before a b counts weights.
LATER: Final = r"qwen-?(?:[4-9]|\d\d)(?![.\d]*-?b)"
_LIMITED_WHOLE = re.compile(
    rf"{LATER}|qwen-?3\.(?:[5-9]-plus|[7-9]-max)|kimi-k(?:2\.[5-9]|[3-9])|glm-(?:[5-9]|\d\d)"
    r"|minimax-m(?:2\.[5-9]|[3-9])|deepseek-v(?:[4-9]|\d\d)",
    re.IGNORECASE,
)
# Those that think whatever they are told, and of those the ones that take a budget: Qwen 3's and
# later ones. QwQ, QVQ and DeepSeek's R1 are older than it.
_ALWAYS = re.compile(r"qwq|qvq|thinking|deepseek-(?:r\d|reasoner)|minimax-m", re.IGNORECASE)
_TAKES_BUDGET = re.compile(r"qwen.*thinking", re.IGNORECASE)
# Qwen 3's open weights as they first came: the later ones have in their name what they do.
_THINKS_IN_STREAMS = re.compile(r"qwen-?3-\d+(?:\.\d+)?b(?!.*(?:instruct|thinking))", re.IGNORECASE)
_QWEN = re.compile(r"qwen|qwq|qvq", re.IGNORECASE)


def is_limited_whole(model: str) -> bool:
    """Whether a model takes a limit for all that it gives."""
    return _LIMITED_WHOLE.search(model) is not None


def always_thinks(model: str) -> bool:
    """Whether a model thinks even where it is told not to."""
    return _ALWAYS.search(model) is not None


def thinks_in_streams_alone(model: str) -> bool:
    """Whether a call that does not stream is refused where the model may think."""
    return _THINKS_IN_STREAMS.search(model) is not None


def takes_budget(model: str) -> bool:
    """Whether a model that thinks can be told how much."""
    return not always_thinks(model) or _TAKES_BUDGET.search(model) is not None


def most_thinking(model: str, budget: int | None, *, is_off: bool) -> int | None:
    """The most tokens that a model thinks with such a budget, or told not to; None: unknown."""
    if always_thinks(model):
        return budget if budget and takes_budget(model) else None
    return 0 if is_off else budget


def beyond_limit(thinking: Thinking, model: str) -> int | None:
    """What a model that may think gives beyond the limit of a request that is passed on to it.

    None: nobody says how long it thinks.
    """
    if thinking.is_limited_whole and is_limited_whole(model):
        return BEYOND_LIMIT_TOKENS
    tokens = most_thinking(model, thinking.budget, is_off=thinking.is_off)
    return None if tokens is None else tokens + BEYOND_LIMIT_TOKENS


def is_qwen(model: str) -> bool:
    """Whether a name is that of one of Alibaba's own."""
    return _QWEN.search(model) is not None
