"""Schemas as Claude takes them: what an answer is held to, and what a tool is given.

Promises: what is valid under the schema that is sent differs from what the client asked for only by
the limits that are left out, and in that objects have no members beside their own.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

# Keywords that Anthropic refuses; an answer is not held to them.
_LIMITS: Final = frozenset(
    ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
     "maxLength", "maxItems", "uniqueItems")
)  # fmt: skip
# Where a schema holds schemas: by name, in a list, or one.
_BY_NAME: Final = ("properties", "$defs", "definitions")
_LISTED: Final = ("anyOf", "allOf", "oneOf", "prefixItems")
_SINGLE: Final = ("items",)
_CHOICES: Final = frozenset(("anyOf", "oneOf", "allOf"))


class Held(NamedTuple):
    """A schema that Claude takes, and whether it allows more than the one that was asked for."""

    schema: dict[str, Any]
    is_looser: bool


def held(schema: Mapping[str, Any]) -> Held:
    """What an answer is held to."""
    kept = {name: value for name, value in schema.items() if name not in _LIMITS}
    least = kept.get("minItems")
    if isinstance(least, int) and least > 1:
        kept["minItems"] = 1
    is_looser = len(kept) < len(schema) or kept.get("minItems") != least
    if kept.get("type") == "object" or "properties" in kept:
        kept.setdefault("additionalProperties", False)
    for name, value in kept.items():
        inner: dict[Any, Any] = {}
        if name in _BY_NAME and isinstance(value, dict):
            inner = value
        elif name in _LISTED and isinstance(value, list):
            inner = dict(enumerate(value))
        elif name in _SINGLE:
            inner = {"": value}
        done = {key: held(one) if isinstance(one, dict) else one for key, one in inner.items()}
        is_looser |= any(isinstance(one, Held) and one.is_looser for one in done.values())
        plain = {key: one.schema if isinstance(one, Held) else one for key, one in done.items()}
        if name in _LISTED and isinstance(value, list):
            kept[name] = list(plain.values())
        elif inner:
            kept[name] = plain[""] if name in _SINGLE else plain
    return Held(kept, is_looser)


def of_tool(asked: Mapping[str, Any] | None) -> Held:
    """An object at the top, and no choice among several there: Claude takes no other.

    The members of the choices become its own.
    """
    schema = {**(asked or {"properties": {}}), "type": "object"}
    choices = _CHOICES & schema.keys()
    for name in choices:
        branches = schema.pop(name)
        for branch in branches if isinstance(branches, list) else ():
            found = branch.get("properties") if isinstance(branch, dict) else None
            if isinstance(found, dict):
                own = schema.get("properties")
                schema["properties"] = {**found, **(own if isinstance(own, dict) else {})}
    return Held(schema, bool(choices))
