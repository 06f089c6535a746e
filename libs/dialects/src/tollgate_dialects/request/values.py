"""Members that must be of one type: read, or refused by their name."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from tollgate_dialects.common.refusal import BadRequest, Code, wrong_type

# Larger limits than any model has; keeps every product far inside 64 bits.
MAX_OUTPUT_TOKENS: Final = 100_000_000
# The names that the protocols have for the limit of an answer's tokens.
LIMITS: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens")


def boolean(document: Mapping[str, Any], name: str) -> bool:
    """True only for true; null and nothing are false. Raises BadRequest."""
    value = document.get(name)
    if value is not None and not isinstance(value, bool):
        raise wrong_type(name, "true or false")
    return value is True


def integer(document: Mapping[str, Any], name: str, *, lowest: int, highest: int) -> int | None:
    """A whole number in a range; None for null and nothing. Raises BadRequest."""
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(name, "a whole number")
    if not lowest <= value <= highest:
        told = f"This number must be from {lowest} to {highest}."
        raise BadRequest(Code.INVALID_VALUE, told, name)
    return value


def foreign_limits(own: Iterable[str]) -> tuple[str, ...]:
    """The names of the limit that are other protocols'."""
    return tuple(name for name in LIMITS if name not in own)


def refuse_foreign_limit(document: Mapping[str, Any], foreign: Iterable[str]) -> None:
    """Raise BadRequest for a limit under another protocol's name: upstreams would ignore it."""
    for name in foreign:
        if document.get(name) is not None:
            raise BadRequest(
                Code.UNSUPPORTED_PARAMETER, "This limit belongs to another protocol.", name
            )
