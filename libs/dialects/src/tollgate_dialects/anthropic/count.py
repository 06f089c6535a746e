"""About how many input tokens a message has, for clients that ask before they call.

Never used for money. Measured on 165 recorded requests without pictures, files and server tools,
against the input that was billed: from 200 tokens on the median is 0.99 of it, eight of ten lie
between 0.90 and 1.25; shorter ones are off by 17 tokens in the median.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from tollgate_dialects.request.content import Content, object_in

# What a model reads; all else only steers it.
_READ: Final = ("system", "messages", "tools", "tool_choice", "output_format", "output_config")
# Of the JSON of it, in hundredths of a token.
_ASCII_BYTE: Final = 21
_OTHER_CHARACTER: Final = 100
# What is said to the model on its own account.
_TOOLS: Final = 500
_SCHEMA: Final = 200
_THINKING: Final = 28


def input_tokens(document: Mapping[str, Any], found: Content) -> int:
    """The estimate; a picture counts by its pixels, any other file by its bytes."""
    printed = orjson.dumps({name: document[name] for name in _READ if name in document})
    text = printed.decode()
    plain = len(text.encode("ascii", "ignore"))
    others = len(text) - plain
    plain -= found.picture_bytes
    tokens = (plain * _ASCII_BYTE + others * _OTHER_CHARACTER) // 100 + found.picture_tokens
    if document.get("tools"):
        tokens += _TOOLS
    if document.get("output_format") or object_in(document, "output_config").get("format"):
        tokens += _SCHEMA
    if object_in(document, "thinking").get("type") not in (None, "disabled"):
        tokens += _THINKING
    return max(tokens, 1)
