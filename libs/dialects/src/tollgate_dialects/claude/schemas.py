"""Schemas as Claude takes them: what an answer is held to, and what a tool is given.

Promises: what is valid under the schema that is sent differs from what the client asked for only by
the limits that are left out, and in that objects have no members beside their own. What cannot be
said in such a schema at all (open objects, schemas that hold themselves) is found before Anthropic
refuses the request for it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

# Keywords that Anthropic refuses; an answer is not held to them.
_LIMITS: Final = frozenset(
    ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
     "maxLength", "maxItems", "uniqueItems")
)  # fmt: skip
# Those without which a schema means something else.
_UNFIT: Final = frozenset(
    ("patternProperties", "propertyNames", "unevaluatedProperties", "not", "if", "then", "else",
     "dependentSchemas", "dependentRequired", "contains")
)  # fmt: skip
# Where a schema holds schemas: by name, in a list, or one.
_DEFINED: Final = ("$defs", "definitions")
_BY_NAME: Final = ("properties", *_DEFINED)
_LISTED: Final = ("anyOf", "allOf", "oneOf", "prefixItems")
_SINGLE: Final = ("items",)
# What the strict tools of one request may come to: tools, members that may be left out, and members
# of several types.
_STRICT_MAX: Final = (20, 24, 16)
_CHOICES: Final = frozenset(("anyOf", "oneOf", "allOf"))


class Held(NamedTuple):
    """A schema that Claude takes, if it is fit, and whether it allows more than was asked for."""

    schema: dict[str, Any]
    is_looser: bool
    is_fit: bool = True
    # How many members may be left out, and how many may be of several types.
    optional: int = 0
    unions: int = 0


class Strictness:
    """How much more strict tools one request may have."""

    def __init__(self) -> None:
        self._left = _STRICT_MAX

    def take(self, held: Held) -> bool:
        """Whether one more has a place, with this schema."""
        wanted = (1, held.optional, held.unions)
        left = tuple(have - one for have, one in zip(self._left, wanted, strict=True))
        if not held.is_fit or min(left) < 0:
            return False
        self._left = (left[0], left[1], left[2])
        return True


def held(schema: Mapping[str, Any]) -> Held:
    """What an answer is held to."""
    every = [schema, *_within(schema)]
    return Held(
        _kept(schema),
        is_looser=any(_loses(one) for one in every),
        is_fit=not (_is_recursive(schema) or any(_is_unfit(one) for one in every))
        and not any(_is_open(one) for one in every[1:]),
        optional=sum(_optional(one) for one in every),
        unions=sum("anyOf" in one or isinstance(one.get("type"), list) for one in every),
    )


def _inner(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The schemas that stand directly in one, by the keyword that holds them."""
    for name, value in schema.items():
        if name in _BY_NAME and isinstance(value, dict):
            yield from ((name, one) for one in value.values())
        elif name in _LISTED and isinstance(value, list):
            yield from ((name, one) for one in value)
        elif name in _SINGLE:
            yield name, value


def _within(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All schemas in one, however deep."""
    for _, one in _inner(schema):
        if isinstance(one, dict):
            yield one
            yield from _within(one)


def _kept(schema: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in schema.items() if name not in _LIMITS}
    if _lowered(schema):
        kept["minItems"] = 1
    if kept.get("type") == "object" or "properties" in kept:
        kept["additionalProperties"] = False
    for name, value in kept.items():
        if name in _BY_NAME and isinstance(value, dict):
            kept[name] = {key: _kept_one(one) for key, one in value.items()}
        elif name in _LISTED and isinstance(value, list):
            kept[name] = [_kept_one(one) for one in value]
        elif name in _SINGLE:
            kept[name] = _kept_one(value)
    return kept


def _kept_one(schema: Any) -> Any:
    return _kept(schema) if isinstance(schema, dict) else schema


def _lowered(schema: Mapping[str, Any]) -> bool:
    least = schema.get("minItems")
    return isinstance(least, int) and least > 1


def _loses(schema: Mapping[str, Any]) -> bool:
    return bool(_LIMITS & schema.keys()) or _lowered(schema)


def _is_unfit(schema: Mapping[str, Any]) -> bool:
    reference = schema.get("$ref")
    is_far = isinstance(reference, str) and not reference.startswith("#")
    return is_far or bool(_UNFIT & schema.keys()) or isinstance(
        schema.get("additionalProperties"), dict
    )  # fmt: skip


def _is_open(schema: Mapping[str, Any]) -> bool:
    """Whether it is an object of any members: closed, it could have none."""
    return schema.get("type") == "object" and not (
        schema.get("properties") or schema.get("additionalProperties") is False
    )


def _optional(schema: Mapping[str, Any]) -> int:
    members, required = schema.get("properties"), schema.get("required")
    if not isinstance(members, dict):
        return 0
    return len(members.keys() - set(map(str, required if isinstance(required, list) else ())))


def _is_recursive(schema: Mapping[str, Any]) -> bool:
    """Whether a definition refers to itself, by way of others or not; or anything to the whole."""
    references = {
        f"#/{place}/{name}": {str(one["$ref"]) for one in _whole(inner) if "$ref" in one}
        for place in _DEFINED
        if isinstance(defined := schema.get(place), dict)
        for name, inner in defined.items()
        if isinstance(inner, dict)
    }
    if any(one.get("$ref") == "#" for one in _whole(schema)):
        return True
    for start, found in references.items():
        seen: set[str] = set()
        waiting = [*found]
        while waiting:
            one = waiting.pop()
            if one == start:
                return True
            if one not in seen:
                seen.add(one)
                waiting += references.get(one, ())
    return False


def _whole(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield schema
    yield from _within(schema)


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
