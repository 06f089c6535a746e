"""What is counted of a call and has a price: the one list, in whose order amounts stand.

Usage, price, cost and bound, the fields of messages, the columns of the price table and the shipped
prices follow from it. A new unit is a line here, its fields in `tollgate.router.v1` and its column.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias

# An integer for each unit, in the order of Unit: counts, or pico-USD for one.
Amounts: TypeAlias = tuple[int, ...]


class Unit(enum.Enum):
    """One class of what a call uses; no token is in two. Its word, what it counts, is it read.

    Of an optional one a price of 0 is none, and a call that could use it is refused or goes without
    it. It has one price, however long the context is.
    """

    # Input neither read from nor written to a cache.
    INPUT = "input", "tokens", True
    OUTPUT = "output", "tokens", False
    CACHE_READ = "cache_read", "tokens", True
    CACHE_WRITE_5M = "cache_write_5m", "tokens", True
    CACHE_WRITE_1H = "cache_write_1h", "tokens", True
    # Made by the vendor on its own; what a search found is read as input.
    WEB_SEARCH = "web_search", "requests", False, True
    # Sound that was sent, and that was answered.
    AUDIO_INPUT = "audio_input", "tokens", True, True
    AUDIO_OUTPUT = "audio_output", "tokens", False, True
    # A machine of the vendor's that code was run on for the call.
    CONTAINER = "container", "sessions", False, True

    def __init__(self, word: str, counted: str, is_read: bool, is_optional: bool = False) -> None:  # noqa: FBT001, FBT002 - see above
        self.word = word
        self.counted = counted
        self.is_read = is_read
        self.is_token = counted == "tokens"
        self.is_optional = is_optional
        self.position = len(type(self).__members__)
        # The names of its count and of its price in messages, tables and entries.
        self.count_field = f"{word}_{counted}"
        self.price_field = f"{word}_pico_usd"

    # Members are singletons: their identity is a hash, and Enum's own runs in Python.
    __hash__ = object.__hash__


NONE: Final[Amounts] = (0,) * len(Unit)


def picker(units: Iterable[Unit]) -> "itemgetter[Any]":
    """Make a function that takes the amounts of some units out of all: two or more, as a tuple."""
    return itemgetter(*(unit.position for unit in units))


def in_order(
    values: Mapping[str, int], names: Sequence[str], *, missing: int | None = None
) -> Amounts:
    """Amounts by name, in the order of their names.

    Raises TypeError for a name that is none of them, and for one that is not there unless `missing`
    stands for it.
    """
    known = set(names)
    if not values.keys() <= known:
        raise TypeError(f"unknown: {', '.join(values.keys() - known)}")
    if missing is None and len(values) < len(known):
        raise TypeError(f"{', '.join(known - values.keys())} is missing")
    return tuple([values.get(name, missing or 0) for name in names])
