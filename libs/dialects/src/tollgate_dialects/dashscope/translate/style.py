"""How a client wants its answer written: words in `Request.told_as`, from its parameters.

Promises that who says nothing gets what DashScope's documents call the default, and where that
depends on a model's name that nobody here knows, an answer in both forms.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common import shapes
from tollgate_dialects.dashscope import limits

# In one text, or in choices with messages; neither word: in both.
TEXT: Final = "text"
MESSAGE: Final = "message"
# Each frame of a stream has what is new; else all so far.
PIECES: Final = "pieces"
# Content is a list of parts, as on the path for what is seen.
PARTS: Final = "parts"

_IN_PIECES = re.compile(r"qwen-?3-(?:max|vl|\d+b)", re.IGNORECASE)


def read(document: Mapping[str, Any]) -> frozenset[str]:
    """The words for a document. Raises ShapeError."""
    parameters = shapes.item(document, limits.PARAMETERS)
    words = {shapes.text(parameters, "result_format")} & {TEXT, MESSAGE}
    model = shapes.text(document, "model")
    in_pieces = shapes.flag(parameters, "incremental_output")
    if in_pieces is None:
        in_pieces = limits.thinks(model) or _IN_PIECES.search(model) is not None
    if in_pieces:
        words.add(PIECES)
    for message in shapes.items(shapes.item(document, "input"), "messages"):
        content = message.get("content")
        if isinstance(content, list) and not any("type" in part for part in content):
            words.add(PARTS)
    return frozenset(words)
