"""The output limit of a call: it stands within `generationConfig`, and counts thoughts too."""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common.refusal import wrong_type
from tollgate_dialects.gemini import spelling
from tollgate_dialects.request import values
from tollgate_dialects.request.rules import OutputLimit

CONFIG: Final = "generationConfig"
NAME: Final = f"{CONFIG}.maxOutputTokens"


def output_limit(document: Mapping[str, Any]) -> OutputLimit:
    """The limit, if there is one, and where it stands or belongs. Raises BadRequest."""
    top = spelling.used(document, CONFIG)
    config = document.get(top)
    if config is None:
        config = {}
    if not isinstance(config, dict):
        raise wrong_type(CONFIG, "an object")
    name = spelling.used(config, "maxOutputTokens")
    limit = values.integer(config, name, lowest=1, highest=values.MAX_OUTPUT_TOKENS)
    return limit, (f"{top}.{name}",)
