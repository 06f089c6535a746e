"""JSON documents that are read here to be told or written anew.

Promises that nothing of them is lost on the way that orjson alone would lose: whole numbers keep
all of their digits beyond 64 bits, and half of a surrogate pair, which is no character, becomes
U+FFFD instead of ending what it stands in. Else orjson decides what is JSON; a number that is
infinite as a float (309 digits) is not.
"""

import json
import re
from typing import Any, Final

import orjson

# Every number of fewer digits has a place in 64 bits.
_LONG: Final = b"0" * 19
_DIGITS = bytes.maketrans(b"0123456789", b"0" * 10)
# Escaped backslashes and whole pairs first, so that what is left is half of a pair.
_HALVES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_SURROGATES = re.compile("[\ud800-\udfff]")
_REPLACEMENT: Final = "\ufffd"


def exact(data: bytes) -> Any:
    """The value of strict JSON in UTF-8, its whole numbers in full. Raises ValueError."""
    value = orjson.loads(data)
    if _LONG not in data.translate(_DIGITS):
        return value
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("The document is nested too deeply.") from None


def read(data: bytes | str) -> Any:
    """The same, where half of a pair is forgiven. Raises ValueError."""
    raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
    try:
        return exact(raw)
    except orjson.JSONDecodeError:
        mended = _HALVES.sub(_whole, raw)
        if mended == raw:
            raise
        return exact(mended)


def _whole(found: re.Match[bytes]) -> bytes:
    return found[0] if found[1] is None else rb"\ufffd"


def written(document: object) -> bytes:
    """The document in UTF-8. Raises ValueError or TypeError for what is no JSON, or too deep."""
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError as error:  # a longer number, half of a pair, or no JSON at all
        if "Recursion" in str(error):
            raise
    try:
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except RecursionError:
        raise ValueError("The document is nested too deeply.") from None
    return _SURROGATES.sub(_REPLACEMENT, text).encode()
