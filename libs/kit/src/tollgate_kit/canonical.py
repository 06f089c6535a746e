"""Canonical JSON, RFC 8785, for the values that evidence is made of.

The subset is strings, integers, booleans, null, lists and objects with ASCII names. In it
RFC 8785's order (UTF-16 code units) and number form coincide with a plain sorted dump, so no
float formatting is needed; floats are refused.
"""

from collections.abc import Iterable
from types import NoneType
from typing import Any

import orjson

# RFC 8785 section 3.2.2.3: numbers are IEEE doubles, so integers beyond 2^53 are not interoperable.
INTEGER_MAX = 2**53 - 1
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_LEAVES = frozenset((str, int, bool, NoneType))
_CONTAINERS = frozenset((dict, list, tuple))


def dumps(value: Any) -> bytes:
    """The canonical bytes of a value. Raises ValueError outside the subset."""
    _check(value)
    try:
        data = orjson.dumps(value, option=_OPTIONS)
    except orjson.JSONEncodeError as error:
        # A lone surrogate, a name or an integer that is to be written as a string, or nested beyond
        # a reader.
        raise ValueError("not in the canonical subset") from error
    if not data.isascii():  # else no name is outside of it
        _check_names(value)
    return data


def loads_canonical(data: bytes) -> Any:
    """The value of canonical bytes. Raises ValueError when they are not canonical."""
    value = orjson.loads(data)
    if dumps(value) != data:
        raise ValueError("not canonical JSON")
    return value


def loads_object(data: bytes) -> dict[str, Any]:
    """The object of canonical bytes. Raises ValueError when they are not those of one."""
    value = loads_canonical(data)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def check(data: bytes) -> None:
    """Raise ValueError unless data is the canonical JSON of an object."""
    loads_object(data)


def _check(value: Any) -> None:
    """Raise ValueError unless value is in the subset; how large integers may be is orjson's to say.

    A container's members are judged together: this runs for every entry of the log.
    """
    members: Iterable[Any]
    if type(value) is dict:
        members = value.values()
    elif type(value) in _CONTAINERS:
        members = value
    else:
        members = (value,)
    others = set(map(type, members)) - _LEAVES
    if others - _CONTAINERS:
        raise ValueError(f"not in the canonical subset: {(others - _CONTAINERS).pop().__name__}")
    if others:
        for member in members:
            if type(member) in _CONTAINERS:
                _check(member)


def _check_names(value: Any) -> None:
    """Raise ValueError unless the names of a value that orjson has written are ASCII."""
    if type(value) is dict:
        if not "".join(value).isascii():
            raise ValueError("object names are ASCII strings")
        value = value.values()
    if type(value) is not str and isinstance(value, Iterable):
        for member in value:
            _check_names(member)
