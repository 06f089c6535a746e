"""Where the members of a JSON object begin and end in its bytes.

Owns the rewriter's scanner, how the strict reader learns a document's size before it parses, and
how a repeated key is found.
Works on text that a JSON parser has already accepted, decoded as Latin-1: then a character offset
is a byte offset. Never judges a document: text that is not valid JSON is a caller's bug.
"""

import json
import re
from collections.abc import Set as AbstractSet
from itertools import accumulate
from typing import Final, NamedTuple, TypeAlias

import orjson

# (key, offset of its opening quote, offset of the value, offset after the value)
Member: TypeAlias = tuple[str, int, int, int]

# More arrays, objects and members than any request needs; parsing many more is slow.
MAX_VALUES: Final = 300_000
# Short documents with fewer brackets than this need no closer look.
_TRIVIAL = 100

_SPACE = r"[ \t\n\r]*+"
_STRING = r'"[^"\\]*+(?>(?:\\.[^"\\]*+)*)"'
_OPEN = re.compile(_SPACE + r"\{" + _SPACE)
# A key and, when the value is no container, its value and the separator in one match.
_MEMBER = re.compile(
    rf"{_SPACE}({_STRING}){_SPACE}:{_SPACE}"
    rf"(?>(?:({_STRING}|[^\[{{\",}}\] \t\n\r]++){_SPACE}([,}}]))?)"
)
_SEPARATOR = re.compile(_SPACE + r"([,}])")
_NEXT_OBJECT = re.compile(rf"{_SPACE}(?:,{_SPACE})?\{{")
_STRINGS = re.compile(_STRING.encode())
# What makes the text before it a member's name.
_NAMES = re.compile(_SPACE.encode() + b":")
# Brackets become +1 and -1 as signed bytes; everything else is deleted.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[{]}")
# Integers are not wanted, and int() refuses very long ones.
_skip_container = json.JSONDecoder(parse_int=float).raw_decode


def scan(text: str, start: int = 0, *, sought: AbstractSet[str] = frozenset()) -> list[Member]:
    """The members of the object that opens at or after `start`, in order, duplicates included.

    With names that are `sought`, no further than the last of them: each is there, and once.
    """
    opened = _OPEN.match(text, start)
    assert opened, "scan() is for JSON objects"
    position = opened.end()
    members: list[Member] = []
    left = len(sought)
    if text[position] == "}":
        return members
    while True:
        member = _MEMBER.match(text, position)
        assert member, "scan() is for valid JSON"
        raw_key, scalar, separator = member.groups()
        if scalar is not None:
            value_start, value_end = member.span(2)
            position = member.end()
        else:
            value_start = member.end()
            value_end = _skip_container(text, value_start)[1]
            closing = _SEPARATOR.match(text, value_end)
            assert closing, "scan() is for valid JSON"
            separator, position = closing[1], closing.end()
        key = _key(raw_key)
        members.append((key, member.start(1), value_start, value_end))
        left -= key in sought
        if separator == "}" or (sought and not left):
            return members


def items(text: str, start: int) -> list[int]:
    """Where the objects of the array begin that opens at `start`: it holds nothing else."""
    found: list[int] = []
    position = start + 1
    while (opening := _NEXT_OBJECT.match(text, position)) is not None:
        found.append(opening.end() - 1)
        position = _skip_container(text, found[-1])[1]
    return found


def _key(raw: str) -> str:
    if "\\" not in raw and raw.isascii():
        return raw[1:-1]
    key = orjson.loads(raw.encode("latin-1"))
    assert isinstance(key, str)
    return key


def were_lost(raw: bytes, printed: bytes) -> bool:
    """Return whether parsing dropped a member because its key occurs twice in one object.

    Counts colons: each member has one, and texts keep theirs. `printed` is `raw` as parsed and
    printed again by orjson.
    """
    # A colon of a text may be written as an escape.
    if b"\\" in raw and (b"u003a" in raw or b"u003A" in raw):
        raw, printed = _STRINGS.sub(b"", raw), _STRINGS.sub(b"", printed)
    return raw.count(b":") != printed.count(b":")


def are_names_escaped(raw: bytes) -> bool:
    """Return whether a member's name has ASCII in it that is written as an escape.

    Who looks for a name in the bytes would not find it. `raw` is valid JSON.
    """
    if b"\\u00" not in raw:
        return False
    return any(
        b"\\u00" in found[0] and _NAMES.match(raw, found.end()) for found in _STRINGS.finditer(raw)
    )


class Shape(NamedTuple):
    """How much work a document is: upper bounds, exact where it is no trivial one."""

    depth: int
    # Arrays, objects and the commas between their members.
    values: int


def shape(body: bytes) -> Shape:
    """Measured before parsing; means nothing for what turns out to be no JSON."""
    opened = body.count(b"[") + body.count(b"{")
    if opened <= _TRIVIAL and len(body) <= MAX_VALUES:  # each value has a byte of its own
        return Shape(opened, len(body))
    # Unescaped quotes begin or end a string, and an object's member has two strings at most.
    strings = (body.count(b'"') - body.count(b'\\"')) // 2
    if strings > 2 * (MAX_VALUES + 1):
        return Shape(depth=0, values=strings // 2)
    skeleton = _STRINGS.sub(b"", body)
    brackets = skeleton.translate(_STEPS, _NOT_BRACKETS)
    values = len(brackets) // 2 + skeleton.count(b",")
    if values > MAX_VALUES:
        return Shape(depth=0, values=values)
    return Shape(max(accumulate(memoryview(brackets).cast("b")), default=0), values)
