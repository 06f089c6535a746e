"""What a model of Google's takes, told by its name.

Models of other makers and without a number are taken for the newest: Google calls its latest ones
by names without.
"""

import re
from dataclasses import dataclass
from typing import Final

# As in gemini-2.5-flash-lite, gemini-3-pro-preview, publishers/google/models/gemini-3.1-pro.
_NAME = re.compile(r"gemini-(?P<major>\d{1,2})(?:\.(?P<minor>\d{1,2}))?(?!\d)")
_OPEN: Final = re.compile(r"\bgemma|\blearnlm")
_LATEST: Final = (99, 0)


@dataclass(frozen=True, slots=True)
class Model:
    """A model's generation as two numbers, and which one of it it is."""

    generation: tuple[int, int]
    is_pro: bool = False
    is_lite: bool = False

    @property
    def thinks(self) -> bool:
        """Whether it knows of thinking."""
        return self.generation >= (2, 5)

    @property
    def takes_level(self) -> bool:
        """Whether it is told how much to think by a word; else by a number of tokens."""
        return self.generation >= (3, 0)

    @property
    def takes_minimal(self) -> bool:
        """Whether it can be told to think next to nothing."""
        return not self.is_pro and self.generation < (3, 7)

    @property
    def wants_signatures(self) -> bool:
        """Whether it refuses a call of its own without the signature."""
        return self.generation >= (3, 0)

    @property
    def takes_media_in_results(self) -> bool:
        """Whether a function's result may hold pictures."""
        return self.generation >= (3, 0)

    @property
    def takes_prefill(self) -> bool:
        """Whether it goes on with words that it has begun."""
        return self.generation < (3, 5) or (self.generation == (3, 5) and not self.is_lite)

    @property
    def takes_schema_with_tools(self) -> bool:
        """Whether an answer can be held to JSON where there are functions."""
        return self.generation >= (3, 0)

    @property
    def least_budget(self) -> int:
        """The fewest tokens of thinking, where it is told a number."""
        return 128 if self.is_pro else 512 if self.is_lite else 1

    @property
    def most_budget(self) -> int:
        """The most tokens of thinking, where it is told a number."""
        return 32_768 if self.is_pro else 24_576


def named(model: str) -> Model:
    """The model of a name, in whatever prefix and suffix it stands."""
    name = model.lower()
    if _OPEN.search(name):
        return Model((0, 0))
    found = _NAME.search(name)
    generation = (int(found["major"]), int(found["minor"] or 0)) if found else _LATEST
    return Model(generation, is_pro="pro" in name, is_lite="lite" in name)
