"""What a model on Bedrock takes, told by its name.

Of one that is not known here the least is asked.
"""

import re
from dataclasses import dataclass
from typing import Final

from tollgate_dialects.claude import models as claude

# Held to a schema, beside Claude, as AWS lists and recordings show.
_TAKES_SCHEMA: Final = re.compile(
    r"deepseek\.v3|minimax-m2|ministral|mistral-large-3|voxtral|kimi-k2|qwen3|zai\.glm|nemotron-nano-3"
)
_CLAUDE: Final = "claude"
_NOVA: Final = "amazon.nova"
# Of Claude, those that Bedrock holds to a schema: later ones it does not.
_CLAUDES_WITH_SCHEMA: Final = ((4, 5), (4, 6))
# The first that can be told what to cache, and for how long; one of them cannot.
_FIRST_WITH_MARKS: Final = (3, 5)
_WITHOUT_MARKS: Final = "claude-3-5-sonnet-20240620"
_FIRST_WITH_LONG_MARKS: Final = (4, 5)


@dataclass(frozen=True, slots=True)
class Model:
    """A model, by its name in lower case."""

    name: str

    @property
    def claude(self) -> claude.Model | None:
        """Which Claude it is; None: it is none."""
        return claude.named(self.name) if _CLAUDE in self.name else None

    @property
    def is_nova(self) -> bool:
        """Whether it is one of Amazon's own."""
        return _NOVA in self.name

    @property
    def takes_marks(self) -> bool:
        """Whether it can be told up to where what it reads is to be kept."""
        known = self.claude
        if known is None:
            return self.is_nova
        return known.generation >= _FIRST_WITH_MARKS and _WITHOUT_MARKS not in self.name

    @property
    def takes_tool_marks(self) -> bool:
        """Whether that may be behind its tools."""
        return self.takes_marks and not self.is_nova

    @property
    def takes_long_marks(self) -> bool:
        """Whether what it reads can be kept for an hour."""
        known = self.claude
        return known is not None and known.generation >= _FIRST_WITH_LONG_MARKS

    @property
    def takes_schema(self) -> bool:
        """Whether its answer, and what it gives to tools, can be held to a schema."""
        known = self.claude
        if known is None:
            return _TAKES_SCHEMA.search(self.name) is not None
        return known.generation in _CLAUDES_WITH_SCHEMA

    @property
    def is_told_of_errors(self) -> bool:
        """Whether the result of a tool may say that it is none."""
        return self.is_nova or self.claude is not None


def named(upstream_model: str, model: str) -> Model:
    """The model of an id or ARN; of a profile whose name says nothing, by the clients' name."""
    name = upstream_model.lower()
    is_profile = "application-inference-profile/" in name
    return Model(model.lower() if is_profile else name)
