"""About how many input tokens a call has, for clients that ask before they make it.

Never used for money.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from tollgate_dialects.gemini import spelling
from tollgate_dialects.request.content import Content

# What a model reads; all else only steers it.
_READ: Final = spelling.both("contents", "systemInstruction", "tools")
# Of the JSON of it, in hundredths of a token.
_ASCII_BYTE: Final = 21
_OTHER_CHARACTER: Final = 70


def input_tokens(document: Mapping[str, Any], found: Content) -> int:
    """The estimate; a picture counts by its pixels, any other file by its bytes."""
    printed = orjson.dumps({name: document[name] for name in _READ if name in document})
    text = printed.decode()
    plain = len(text.encode("ascii", "ignore"))
    others = len(text) - plain
    plain -= found.picture_bytes
    return max((plain * _ASCII_BYTE + others * _OTHER_CHARACTER) // 100 + found.picture_tokens, 1)
