"""Members that a cloud calls extra inputs, for which it refuses the whole message.

Anthropic takes them, some by a beta that the cloud does not know. Promises that all else stays as
its client wrote it, byte for byte, and that what is left out is named.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from tollgate_dialects.claude.models import Model
from tollgate_dialects.common import members

# Where members stand, by name from the top; None: leave this one out. Of an array, in each object.
_Tree: TypeAlias = Mapping[str, Any]
_SCOPED: Final = {"cache_control": {"scope": None}}
_SCOPES: Final[_Tree] = {
    "system": _SCOPED,
    "tools": _SCOPED,
    # A result of a tool has content of its own.
    "messages": {"content": {**_SCOPED, "content": _SCOPED}},
}


class _Extra(NamedTuple):
    """`name` is what a client is told, `member` the name to look for before the whole is read."""

    name: str
    member: str
    places: _Tree


# What each beta makes legal.
_BY_BETA: Final[Mapping[str, _Extra]] = {
    "prompt-caching-scope-2026-01-05": _Extra("cache.scope", '"scope"', _SCOPES),
}
# A place for the mark is found by Anthropic alone.
_AUTOMATIC: Final = _Extra("cache_control", '"cache_control"', {"cache_control": None})
# Bedrock refuses it for older models: https://github.com/BerriAI/litellm/issues/23825
_EAGER: Final = _Extra(
    "tools.eager_input_streaming",
    '"eager_input_streaming"',
    {"tools": {"eager_input_streaming": None}},
)
_EAGER_FROM: Final = (4, 6)
# The name of a beta, and what it is called since; the rest of an answer's settings stand there.
_OLD_FORMAT: Final = "output_format"
_CONFIG: Final = "output_config"


def without(text: str, model: Model, betas: list[str]) -> tuple[str, frozenset[str]]:
    """A message without them for a model, with these betas; and the names of what is left out.

    `text` is valid JSON, decoded as Latin-1.
    """
    extras = [extra for beta, extra in _BY_BETA.items() if beta not in betas]
    extras.append(_AUTOMATIC)
    if model.generation < _EAGER_FROM:
        extras.append(_EAGER)
    dropped: set[str] = set()
    for extra in extras:
        if extra.member in text and (cuts := list(_cuts(text, 0, extra.places))):
            text = _cut(text, cuts)
            dropped.add(extra.name)
    if f'"{_OLD_FORMAT}"' in text:
        text, is_lost = _reformatted(text, takes_schema=model.takes_schema)
        dropped |= {_OLD_FORMAT} if is_lost else set()
    return text, frozenset(dropped)


def _cuts(text: str, start: int, places: _Tree) -> Iterator[tuple[int, int]]:
    """From where to where members go, each with one comma, in order."""
    if text[start] == "[":
        for item in members.items(text, start):
            yield from _cuts(text, item, places)
    elif text[start] == "{" or not start:
        found = members.scan(text, start)
        for at, (name, opening, value, end) in enumerate(found):
            if name not in places:
                continue
            if places[name] is not None:
                yield from _cuts(text, value, places[name])
            elif at:
                yield found[at - 1][3], end
            else:
                yield opening, found[1][1] if len(found) > 1 else end


def _cut(text: str, cuts: list[tuple[int, int]]) -> str:
    ends = [0, *(end for _, end in cuts)]
    starts = [*(start for start, _ in cuts), len(text)]
    return "".join(text[a:b] for a, b in zip(ends, starts, strict=True))


def _reformatted(text: str, *, takes_schema: bool) -> tuple[str, bool]:
    """The format under today's name, beside an effort; and whether an answer is not held to it."""
    found = {name: (value, end) for name, _, value, end in members.scan(text)}
    if _OLD_FORMAT not in found:
        return text, False
    start, end = found[_OLD_FORMAT]
    said = text[start:end]
    at, _ = found.get(_CONFIG, (-1, 0))
    config = members.scan(text, at) if at >= 0 and text[at] == "{" else []
    is_moved = takes_schema and said != "null" and all(name != "format" for name, *_ in config)
    if is_moved:
        moved = f'"format":{said}'
        if config:
            text = f"{text[: config[0][1]]}{moved},{text[config[0][1] :]}"
        else:
            left = _cut(text, list(_cuts(text, 0, {_CONFIG: None}))) if at >= 0 else text
            opening = members.scan(left)[0][1]
            text = f'{left[:opening]}"{_CONFIG}":{{{moved}}},{left[opening:]}'
    return _cut(text, list(_cuts(text, 0, {_OLD_FORMAT: None}))), not is_moved and said != "null"
