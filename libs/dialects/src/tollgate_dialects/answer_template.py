"""Frames like one that was read already: known by one regular expression, without being read.

Owns what may differ between two frames of one shape: the texts and numbers of listed members, never
a key, a bracket, an index, a type or an end. So a read of a thousand frames of text is checked in
one go. Promises that a frame that matches holds nothing that the frame it was made of did not.
"""

import re
from typing import Final

# Shapes that are remembered in a process; each costs about a fifth of a millisecond to compile.
MAX_TEMPLATES: Final = 512

_TEXTS = (
    rb"id|model|system_fingerprint|service_tier|provider|request_id|obfuscation|p|name|content|"
    rb"reasoning_content|reasoning|refusal|arguments|text|partial_json|thinking|signature"
)
_STRING = rb'"[^"\\\x00-\x1f]*+(?:\\["\\/bfnrtu][^"\\\x00-\x1f]*+)*+"'
_NUMBER = rb"-?\d++(?:\.\d++)?+"
_VARIABLE = re.compile(
    rb'("(?:%b)"\s*+:\s*+)(?:%b)|("(?!index"|finish_reason")[a-z_]++"\s*+:\s*+)(?:%b)(?=[,}\s])'
    % (_TEXTS, _STRING, _NUMBER)
)
# What may be left of a frame of text when the above is out: keys, and words that name its shape.
_WORDS = rb"chat\.completion\.chunk|assistant|function|content_block_delta|\w+_delta"
_FIXED = re.compile(
    rb"(?:event: \w+\n)?data: "
    rb'(?:[{}\[\],:\s]|(?!"usage"\s*+:\s*+\{)"[a-z_]+"\s*+:|(?<="index":)\d++|'
    rb'null|true|false|\x00|\x01|"(?:%b)")+\n\n' % _WORDS
)
_MAX_SHAPE_BYTES = 4_096
_compiled: dict[bytes, re.Pattern[bytes]] = {}


def of(frame: bytes) -> re.Pattern[bytes] | None:
    """What matches one or more whole frames of this one's shape; None where it is no plain text.

    The caller has found the frame to be an answer that passes as it is, without end or usage.
    """
    if b"\x00" in frame or b"\x01" in frame:
        return None
    shape = _VARIABLE.sub(_hole, frame)
    if (found := _compiled.get(shape)) is not None:
        return found
    if len(shape) > _MAX_SHAPE_BYTES or _FIXED.fullmatch(shape) is None:
        return None
    if len(_compiled) >= MAX_TEMPLATES:
        _compiled.clear()
    pattern = re.escape(shape).replace(b"\x00", _STRING).replace(b"\x01", _NUMBER)
    found = _compiled[shape] = re.compile(b"(?:%b)++" % pattern)
    return found


def _hole(found: re.Match[bytes]) -> bytes:
    text, number = found.groups()
    return text + b"\x00" if text is not None else number + b"\x01"
