"""The output limit of a response, and which models think behind it."""

import re
from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.request import values
from tollgate_dialects.request.rules import OutputLimit

NAME: Final = "max_output_tokens"
# What OpenAI takes at least.
LOWEST: Final = 16
_FOREIGN = values.foreign_limits((NAME,))


def output_limit(document: Mapping[str, Any]) -> OutputLimit:
    """The limit that a request sets, if it sets one. Raises BadRequest."""
    values.refuse_foreign_limit(document, _FOREIGN)
    limit = values.integer(document, NAME, lowest=LOWEST, highest=values.MAX_OUTPUT_TOKENS)
    return limit, () if limit is None else (NAME,)


# o1, o3-mini, codex-mini, gpt-5 and later, also behind a vendor's prefix or a deployment's name.
_REASONING_MODEL = re.compile(
    r"(?:.*[/:.])?(?:azure-)?(?:o[1-9]|codex|gpt-oss)(?![a-z0-9])"
    r"|(?:.*[/:._@-])?gpt-?(?:[5-9]|[12]\d)(?![a-z0-9])",
    re.IGNORECASE,
)
# From 5.1 on they can be told not to think, from 5.6 on what to keep in the cache.
_MINOR = re.compile(r".*gpt-?(\d{1,2})(?:\.(\d{1,2}))?(?![a-z0-9])", re.IGNORECASE)


def reasons(model: str) -> bool:
    """Whether a model's name is one of those that give their thinking encrypted."""
    return _REASONING_MODEL.match(model) is not None


def is_since(model: str, version: tuple[int, int]) -> bool:
    """Whether a model's name is of this version of GPT or a later one."""
    found = _MINOR.match(model)
    # gpt-35 is how Azure writes 3.5.
    return found is not None and version <= (int(found[1]), int(found[2] or 0)) < (35, 0)


def least_effort(model: str) -> str:
    """The word for no thinking, or for as little as a model can do with; empty: it has none."""
    if is_since(model, (5, 1)):
        return "none"
    return "minimal" if is_since(model, (5, 0)) else ""
