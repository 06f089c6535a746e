"""Canonical JSON, RFC 8785, for the values that evidence is made of.

The subset is strings, integers, booleans, null, lists and objects with ASCII names. In it
RFC 8785's order (UTF-16 code units) and number form coincide with a plain sorted dump, so no
float formatting is needed; floats are refused.
"""

from typing import Any

import orjson

# RFC 8785 section 3.2.2.3: numbers are IEEE doubles, so integers beyond 2^53 are not interoperable.
INTEGER_MAX = 2**53 - 1


def dumps(value: Any) -> bytes:
    """The canonical bytes of a value. Raises ValueError outside the subset."""
    _check(value)
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:  # a lone surrogate, or nested beyond any reader
        raise ValueError("not in the canonical subset") from error


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
    """Raise ValueError unless value is in the subset.

    Leaves are judged in the loop of their container: this runs for every entry of the log, and a
    call a leaf would be most of its time.
    """
    kind = type(value)
    if kind is dict:
        for name in value:
            if type(name) is not str or not name.isascii():
                raise ValueError("object names are ASCII strings")
        members = value.values()
    elif kind is list or kind is tuple:
        members = value
    else:
        members = (value,)
    for member in members:
        kind = type(member)
        if kind is str or kind is bool or member is None:
            continue
        if kind is int:
            if not -INTEGER_MAX <= member <= INTEGER_MAX:
                raise ValueError("integer beyond 2^53 - 1: write it as a string")
        elif kind is dict or kind is list or kind is tuple:
            _check(member)
        else:
            raise ValueError(f"not in the canonical subset: {kind.__name__}")
