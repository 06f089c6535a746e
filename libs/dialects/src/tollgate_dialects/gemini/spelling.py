"""Google's two spellings of one name, and its two alphabets of base64.

Names are camelCase or the snake_case of its protocol buffers. Promises that a document with both
for one thing is refused: nobody can say which one an upstream goes by. Never touches what is
free-form, a call's arguments or a schema.
"""

import functools
import re
from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common.refusal import BadRequest, Code

# What they hold has names of the client's own.
_FREE: Final = frozenset(
    ("args", "response", "labels", "partMetadata", "parameters", "parametersJsonSchema",
     "responseSchema", "responseJsonSchema")
)  # fmt: skip
_LETTERS: Final = str.maketrans("-_", "+/")
_CAPITAL = re.compile(r"[A-Z]")
# Each run is looked at once: a name may be as long as a body.
_NEXT = re.compile(r"(?<!_)_++([a-z0-9])")


@functools.cache
def snake(name: str) -> str:
    """A camelCase name of ours in the other spelling."""
    return _CAPITAL.sub(lambda found: f"_{found[0].lower()}", name)


def both(*names: str) -> frozenset[str]:
    """Names in camelCase, in both spellings."""
    return frozenset((*names, *map(snake, names)))


def used(holder: Mapping[str, Any], name: str) -> str:
    """The spelling that a document has; camelCase where it has neither. Raises BadRequest."""
    other = snake(name)
    if other == name or other not in holder:
        return name
    if name in holder:
        raise _ambiguous(other)
    return other


def camel(value: Any) -> Any:
    """A document with its names in camelCase, as deep as they are Google's. Raises BadRequest."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = _NEXT.sub(lambda found: found[1].upper(), key) if "_" in key else key
        if name in found:
            raise _ambiguous(key)
        found[name] = item if name in _FREE else camel(item)
    return found


def base64_of(data: str) -> str:
    """Bytes in the usual letters of base64: Google takes both kinds, and its SDK sends the other.

    Padding may be left out.
    """
    if "-" in data or "_" in data:
        data = data.translate(_LETTERS)
    return data + "=" * (-len(data) % 4)


def _ambiguous(key: str) -> BadRequest:
    return BadRequest(Code.AMBIGUOUS_KEY, "This parameter is there in two spellings.", key)
