"""What a model of Anthropic's takes, told by its name.

Models of other makers that speak this protocol are taken for early ones of Anthropic's: those ask
the least of an upstream.
"""

import re
from dataclasses import dataclass
from typing import Final

# As in claude-3-7-sonnet-20250219, anthropic.claude-sonnet-4-5@20250929, claude-opus-4.8.
_NAME = re.compile(
    r"claude-(?:(?P<family>[a-z]+)-)?(?P<major>\d{1,2})(?!\d)(?:[-.](?P<minor>\d{1,2})(?!\d))?"
)
# As in claude-v2:1 and claude-instant-v1.
_EARLY_NAME = re.compile(r"claude-(?:instant|v\d)")
_EARLY: Final = (2, 0)
_CLAUDE: Final = "claude"
_UNNUMBERED: Final = (99, 0)
_FOREIGN: Final = (4, 0)


@dataclass(frozen=True, slots=True)
class Model:
    """A model's family, and its generation as two numbers."""

    family: str
    generation: tuple[int, int]

    @property
    def thinks(self) -> bool:
        """Whether it knows of thinking."""
        return self.generation >= (3, 7)

    @property
    def is_adaptive(self) -> bool:
        """Whether it decides itself how much it thinks, and is told an effort."""
        return self.generation >= (4, 6)

    @property
    def takes_budget(self) -> bool:
        """Whether it can be told how many tokens to think."""
        return self.generation < (4, 7)

    @property
    def takes_sampling(self) -> bool:
        """Whether temperature, top_p and top_k may be given."""
        return self.generation < (4, 7)

    @property
    def takes_one_sampling(self) -> bool:
        """Whether temperature excludes top_p."""
        return self.generation >= (4, 1)

    @property
    def can_rest(self) -> bool:
        """Whether it can be told not to think."""
        return self.generation < (5, 5) or self.family != "opus"

    @property
    def is_calm_at_rest(self) -> bool:
        """Whether its effort is at most high where it does not think."""
        return self.generation >= (5, 0)

    @property
    def knows_extra_high(self) -> bool:
        """Whether there is an effort between high and max."""
        return self.generation >= (4, 7)

    @property
    def takes_schema(self) -> bool:
        """Whether its answer can be held to a schema."""
        return self.generation >= (4, 5) or (self.family, self.generation) == ("opus", (4, 1))

    @property
    def takes_late_system(self) -> bool:
        """Whether the system may speak again further down."""
        return self.family in ("opus", "fable") and self.generation >= (4, 8)


def named(model: str) -> Model:
    """The model of a name, in whatever prefix and suffix a vendor puts it."""
    name = model.lower()
    found = _NAME.search(name)
    if found:
        generation = int(found["major"]), int(found["minor"] or 0)
        return Model(found["family"] or "", generation)
    if _EARLY_NAME.search(name):
        return Model("", _EARLY)
    return Model("", _UNNUMBERED if _CLAUDE in name else _FOREIGN)
