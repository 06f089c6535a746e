"""Defines questions and answers independently of any protocol.

Counting rule: the input is one token for each 4 bytes of the JSON that the model reads, at least 1;
the output is one token a piece, all choices together. A piece is a word or a whole tool call.
"""

import enum
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_TEXT: Final = (
    "Hello from the demo provider of Tollgate. Every word here is one output token, "
    "counted and billed as such, and the same question always gets the same answer."
)
_WORDS: Final = _TEXT.split()
DEFAULT_WORDS: Final = len(_WORDS)


@dataclass(frozen=True)
class Counts:
    """Usage in disjoint classes, as it is billed; thinking alone is a part of the output."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    thinking_tokens: int = 0

    @property
    def all_input_tokens(self) -> int:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def all_tokens(self) -> int:
        return self.all_input_tokens + self.output_tokens


@dataclass(frozen=True)
class Question:
    """The parts of a request that decide the answer."""

    model: str
    stream: bool
    input_tokens: int
    # The output limit; None: there is none.
    max_tokens: int | None
    choices: int = 1
    # The first function that may be called; empty: none, or its result is there already.
    function: str = ""


class Kind(enum.Enum):
    """The kind of a piece of an answer."""

    THINKING = enum.auto()
    TEXT = enum.auto()
    REFUSAL = enum.auto()
    # The text is the arguments, as JSON.
    CALL = enum.auto()


@dataclass(frozen=True)
class Piece:
    """One output token."""

    kind: Kind
    text: str


class End(enum.Enum):
    """Why an answer is over."""

    STOP = enum.auto()
    LENGTH = enum.auto()
    REFUSAL = enum.auto()
    CALL = enum.auto()


@dataclass(frozen=True)
class Answer:
    """A whole answer. `usage` is what is said to be billed; None: nothing is said."""

    parts: tuple[Piece, ...]
    end: End
    usage: Counts | None

    def told(self, kind: Kind) -> str | None:
        """The text of one kind; None when there is none of it."""
        return next((part.text for part in self.parts if part.kind is kind), None)


def words(kind: Kind) -> Iterator[Piece]:
    """The demo's text, over and over; each word with the space before it."""
    for index, word in enumerate(itertools.cycle(_WORDS)):
        yield Piece(kind, f" {word}" if index else word)


def joined(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """Neighbours of one kind as one part."""
    groups = itertools.groupby(pieces, lambda piece: piece.kind)
    return tuple(Piece(kind, "".join(one.text for one in group)) for kind, group in groups)


def input_tokens(asked: Mapping[str, Any], *members: str) -> int:
    """How many tokens these members of a request are."""
    read = {name: asked[name] for name in members if name in asked}
    return max(1, len(compact(read)) // 4)


def compact(document: Any) -> bytes:
    """JSON without blanks."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
