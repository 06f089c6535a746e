"""Members of documents, read by their type.

Promises that null and nothing are the same, and that what has another type is a ShapeError, which
knows the member's name and nothing of its value.
"""

from collections.abc import Mapping
from typing import Any, Final

_OBJECTS: Final = frozenset((dict,))


class ShapeError(ValueError):
    """A member has a type that its protocol has not. `param` and `expected` are our own words."""

    def __init__(self, param: str, expected: str) -> None:
        super().__init__(f"{param} must be {expected}")
        self.param = param
        self.expected = expected


def text(holder: Mapping[str, Any], name: str) -> str:
    """A text; empty for nothing."""
    value = holder.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ShapeError(name, "a string")
    return value


def flag(holder: Mapping[str, Any], name: str) -> bool | None:
    """True, false or nothing."""
    value = holder.get(name)
    if value is not None and not isinstance(value, bool):
        raise ShapeError(name, "true or false")
    return value


def number(holder: Mapping[str, Any], name: str) -> float | None:
    """A number or nothing."""
    value = holder.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ShapeError(name, "a number")
    return value


def whole_number(holder: Mapping[str, Any], name: str) -> int | None:
    """A whole number or nothing."""
    value = holder.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise ShapeError(name, "a whole number")
    return value


def item(holder: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object; an empty one for nothing."""
    value = holder.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ShapeError(name, "an object")
    return value


def items(holder: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Objects in an array; none for nothing."""
    value = holder.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not _OBJECTS.issuperset(map(type, value)):
        raise ShapeError(name, "an array of objects")
    return value
