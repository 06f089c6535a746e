"""What passes of an answer: what its dialect's list of members says, and nothing else.

Owns the kinds of members and the walk through a document. Promises that a member that is not listed
is dropped, that a listed one has a value of its kind, and that an error inside an answer is told
apart from one.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from tollgate_dialects.common.scrub import scrub

# A kind is one of the four below, a mapping of members to kinds, or a list with the kind of its
# items; a pair of SCALAR and another kind takes either.
Kind: TypeAlias = Any

# A text, a number, a truth value or null.
SCALAR: Final = "scalar"
# Words of the model or of its tools: whole, whatever it is.
WHOLE: Final = "whole"
# Measures and verdicts: numbers and single words under names that are words, however nested.
FACTS: Final = "facts"
# What an upstream says in words of its own: scrubbed, as in an error.
PROSE: Final = "prose"

_FACTS_DEPTH_MAX = 8
_FACT_NAME = re.compile(r"[A-Za-z0-9_\-]{1,64}(?:/[A-Za-z0-9_\-]{1,64})?\Z")
_FACT_CHARACTERS_MAX = 128
_FACT_WORD = re.compile(r"[A-Za-z0-9_.:/@\-]*\Z")
_FACT_WORDS_KEPT = 1_024
_SCALARS = frozenset((str, int, float, bool, type(None)))


def scalars(names: str) -> dict[str, Kind]:
    """Members that hold scalars, by their names with blanks between."""
    return dict.fromkeys(names.split(), SCALAR)


_NOTHING: Final = object()


def kept(value: Any, kind: Kind, secrets: Sequence[str] = ()) -> Any:
    """The value less what is not listed: the same object when nothing was dropped.

    Prose is also rid of `secrets`.
    """
    if _is_listed(value, kind):
        return value
    found = _kept(value, kind, secrets)
    if found is _NOTHING:
        return None
    return value if found == value else found


def _is_listed(value: Any, kind: Kind) -> bool:
    """Return whether `_kept` would drop nothing, as for almost every answer; quick to check."""
    if value is None or kind is WHOLE:
        return True
    if isinstance(kind, dict):
        return isinstance(value, dict) and _are_listed(value, kind)
    if isinstance(kind, list):
        return isinstance(value, list) and _all_are_listed(value, kind[0])
    if isinstance(kind, tuple):
        return type(value) in _SCALARS or _is_listed(value, kind[1])
    if kind is SCALAR:
        return type(value) in _SCALARS
    # Prose is rare, and looked at with the secrets at hand.
    return kind is FACTS and _are_facts(value, 0)


def _all_are_listed(items: Sequence[Any], kind: Kind) -> bool:
    for item in items:  # noqa: SIM110 - a generator costs more than what it would ask
        if not _is_listed(item, kind):
            return False
    return True


def _are_listed(members: Mapping[str, Any], kinds: Mapping[str, Kind]) -> bool:
    for name, item in members.items():
        kind = kinds.get(name)
        if kind is SCALAR:
            if type(item) not in _SCALARS:
                return False
        elif kind is None or not (item is None or _is_listed(item, kind)):
            return False
    return True


def _kept(value: Any, kind: Kind, secrets: Sequence[str]) -> Any:
    if value is None or kind is WHOLE:
        return value
    if kind is SCALAR:
        return value if type(value) in _SCALARS else _NOTHING
    if kind is FACTS:
        return _facts(value, 0)
    if kind is PROSE:
        return scrub(value, secrets) if isinstance(value, str) else _NOTHING
    if isinstance(kind, tuple):
        return value if type(value) in _SCALARS else _kept(value, kind[1], secrets)
    return _kept_parts(value, kind, secrets)


def _kept_parts(value: Any, kind: Kind, secrets: Sequence[str]) -> Any:
    if isinstance(kind, list) and isinstance(value, list):
        items = [_kept(item, kind[0], secrets) for item in value]
        return [item for item in items if item is not _NOTHING]
    if isinstance(kind, list) or not isinstance(value, dict):
        return _NOTHING
    members = {
        name: _kept(item, kind[name], secrets) for name, item in value.items() if name in kind
    }
    return {name: item for name, item in members.items() if item is not _NOTHING}


def _are_facts(value: Any, depth: int) -> bool:
    """Return whether `_facts` would drop nothing."""
    if type(value) is not dict:
        return _facts(value, depth) is value
    if depth == _FACTS_DEPTH_MAX:
        return False
    for name, item in value.items():
        if not _FACT_NAME.match(name):
            return False
        if type(item) is not int and not _are_facts(item, depth + 1):
            return False
    return True


# Every frame of a stream may have the same few.
@functools.lru_cache(maxsize=_FACT_WORDS_KEPT)
def _is_fact(word: str) -> bool:
    return _FACT_WORD.match(word) is not None and scrub(word) == word


def _facts(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _FACT_CHARACTERS_MAX and _is_fact(value) else _NOTHING
    if type(value) in _SCALARS:
        return value
    if depth == _FACTS_DEPTH_MAX:
        return _NOTHING
    if isinstance(value, list):
        items = [_facts(item, depth + 1) for item in value]
        return _same_or(value, [item for item in items if item is not _NOTHING])
    members = {
        name: item if type(item) is int else _facts(item, depth + 1)
        for name, item in value.items()
        if _FACT_NAME.match(name)
    }
    return _same_or(value, {n: item for n, item in members.items() if item is not _NOTHING})


def _same_or(before: Any, after: Any) -> Any:
    if len(before) != len(after):
        return after
    if isinstance(before, dict):
        return before if all(after[name] is item for name, item in before.items()) else after
    return before if all(map(_is_same, before, after)) else after


def _is_same(one: object, other: object) -> bool:
    return one is other


def error_in(document: Mapping[str, Any]) -> object:
    """What an answer's document says of an error, wherever vendors put it; None: nothing."""
    if document.get("type") == "error" or document.get("object") == "error":
        return document.get("error") or document
    holders: list[Any] = [document, document.get("x_groq")]
    choices = document.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            holders += [choice, choice.get("message"), choice.get("delta")]
    for holder in holders:
        if isinstance(holder, dict) and (error := holder.get("error")):
            found: object = error
            return found
    return None


def are_objects(items: object) -> bool:
    """Return True for a list of nothing but objects."""
    return isinstance(items, list) and all(isinstance(item, dict) for item in items)
