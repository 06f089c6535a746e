"""The output limit of a message: one name, and no request without it."""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common.refusal import BadRequest, Code
from tollgate_dialects.request import values
from tollgate_dialects.request.rules import OutputLimit

NAME: Final = "max_tokens"
_FOREIGN = values.foreign_limits((NAME,))


def output_limit(document: Mapping[str, Any]) -> OutputLimit:
    """The limit that a request sets. Raises BadRequest where it sets none."""
    values.refuse_foreign_limit(document, _FOREIGN)
    # 0 is a limit: it fills the cache and answers nothing.
    limit = values.integer(document, NAME, lowest=0, highest=values.MAX_OUTPUT_TOKENS)
    if limit is None:
        raise BadRequest(Code.MISSING_PARAMETER, "max_tokens is required.", NAME)
    return limit, (NAME,)
