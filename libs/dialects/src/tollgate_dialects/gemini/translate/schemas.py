"""Schemas: Google's own kind and JSON Schema, each told in the other's words.

Promises: a schema of Google's says the same as JSON Schema; a JSON Schema that is sent holds only
keywords that Google takes, and differs from the client's by limits alone, and by words beside a
reference.
"""

from collections.abc import Mapping
from types import NoneType
from typing import Any, Final, NamedTuple

# Where a schema holds schemas: by name, in a list, or one.
_BY_NAME: Final = ("properties", "$defs", "definitions")
_LISTED: Final = ("anyOf", "any_of", "oneOf", "allOf", "prefixItems")
_SINGLE: Final = ("items", "additionalProperties", "additional_properties")
_NESTED_MAX: Final = 100

# Keywords of Google's own schemas under their usual names.
_USUAL: Final = {
    "any_of": "anyOf",
    "additional_properties": "additionalProperties",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "min_length": "minLength",
    "max_length": "maxLength",
}
_COUNTS: Final = frozenset(
    ("minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength")
)
_OWN: Final = frozenset(("nullable", "propertyOrdering", "property_ordering", "example"))


def usual(schema: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """A schema of Google's as JSON Schema: types in small letters, counts as numbers."""
    told: dict[str, Any] = {}
    if depth > _NESTED_MAX:
        return told
    for key, value in schema.items():
        name = _USUAL.get(key, key)
        if name in _OWN or value is None:
            continue
        if name == "type" and isinstance(value, str):
            if value != "TYPE_UNSPECIFIED":
                told[name] = value.lower()
        elif name in _COUNTS and isinstance(value, str) and value.isdigit():
            # A whole number of 64 bits is a text in Google's JSON.
            told[name] = int(value[:18])
        elif name == "format" and value == "enum":
            continue
        else:
            told[name] = _within(key, value, lambda one: usual(one, depth + 1))
    if schema.get("nullable") is True and isinstance(told.get("type"), str):
        told["type"] = [told["type"], "null"]
        if isinstance(told.get("enum"), list):
            told["enum"] = [*told["enum"], None]
    return told


# What Google documents of JSON Schema.
_TAKEN: Final = frozenset(
    ("$id", "$defs", "$ref", "$anchor", "definitions", "type", "format", "title", "description",
     "enum", "items", "prefixItems", "minItems", "maxItems", "minimum", "maximum", "anyOf",
     "oneOf", "allOf", "properties", "additionalProperties", "required", "propertyOrdering",
     "minLength", "maxLength", "pattern", "minProperties", "maxProperties", "default", "example",
     "nullable")
)  # fmt: skip
# The kinds of what Google takes no list of.
_KINDS: Final[Mapping[type, str]] = {bool: "boolean", NoneType: "null", str: "string"}
# Says what kind of schema it is, and nothing of what is valid.
_SILENT: Final = frozenset(("$schema", "$comment", "examples", "readOnly", "writeOnly",
                            "deprecated"))  # fmt: skip


class Held(NamedTuple):
    """A schema that Google takes, and whether limits were left out of it."""

    schema: dict[str, Any]
    is_looser: bool


def held(schema: Mapping[str, Any]) -> Held:
    """What is sent of a JSON Schema."""
    losses: list[str] = []
    return Held(_held(schema, losses, 0), bool(losses))


def _held(schema: Mapping[str, Any], losses: list[str], depth: int) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    if depth > _NESTED_MAX:
        losses.append("")
        return kept
    for name, value in schema.items():
        if "$ref" in schema and not name.startswith("$"):
            losses.append(name)
        elif name == "const":
            _enumerate([value], kept, losses)
        elif name == "enum" and isinstance(value, list):
            _enumerate(value, kept, losses)
        elif name in ("exclusiveMinimum", "exclusiveMaximum"):
            # The nearest limit that there is: it lets one value more pass.
            if isinstance(value, int | float) and not isinstance(value, bool):
                kept.setdefault("m" + name.removeprefix("exclusiveM"), value)
            losses.append(name)
        elif name in _TAKEN:
            kept[name] = _within(name, value, lambda one: _held(one, losses, depth + 1))
        elif name not in _SILENT:
            losses.append(name)
    return kept


def _enumerate(values: list[Any], kept: dict[str, Any], losses: list[str]) -> None:
    """Texts that are not empty, and numbers; of others the kind, where all are of one."""
    taken = [one for one in values if (one and isinstance(one, str)) or type(one) in (int, float)]
    if taken:
        kept["enum"] = taken
    elif len(kinds := {_KINDS.get(type(one), "") for one in values}) == 1 and kinds != {""}:
        kept.setdefault("type", *kinds)
    if len(taken) < len(values):
        losses.append("enum")


def _within(name: str, value: Any, told: Any) -> Any:
    """A keyword's value, with each schema in it told anew."""
    if name in _BY_NAME and isinstance(value, dict):
        return {key: told(one) if isinstance(one, dict) else one for key, one in value.items()}
    if name in _LISTED and isinstance(value, list):
        return [told(one) if isinstance(one, dict) else one for one in value]
    if name in _SINGLE and isinstance(value, dict):
        return told(value)
    return value
