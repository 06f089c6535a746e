"""What a scripted model says, and the order in which it says it.

An answer knows no protocol: `chat`, `messages` and their like put it into a vendor's frames.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from tests.upstream import Piece

OVERLOADED = "The scripted vendor is overloaded"
PIECE_LENGTH = 8  # of a text, or of the arguments of a call


@dataclass(frozen=True)
class Call:
    """A call of a tool."""

    call_id: str
    name: str
    arguments: dict[str, Any]

    @property
    def text(self) -> str:
        return json.dumps(self.arguments)


@dataclass(frozen=True)
class Usage:
    """Tokens, the cached ones being none of the others."""

    read: int = 100
    cached: int = 0
    produced: int = 10


@dataclass(frozen=True)
class Answer:
    """One turn of the model: first thinking, then text, then calls."""

    text: str = ""
    calls: Sequence[Call] = ()
    thinking: str = ""
    usage: Usage = Usage()
    # A pause in seconds after each piece of the text.
    pause_s: float = 0.0
    # The vendor fails instead of ending its stream.
    breaks: bool = False


@dataclass(frozen=True)
class Failure:
    """The vendor's refusal: its words, and what else it says in the error, by its own names."""

    status: int
    words: str
    members: Mapping[str, Any] = field(default_factory=dict)


def refusal(status: int, document: Mapping[str, Any], headers: bytes = b"") -> list[Piece]:
    """A refusal as it is sent."""
    body = json.dumps(document).encode()
    return [
        b"HTTP/1.1 %d Scripted\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n"
        % (status, headers, len(body))
        + body
    ]


Said = Answer | Failure


@dataclass
class Turns:
    """Answers one after another, as a vendor says them; the requests that they answered."""

    answers: Sequence[Said]
    vendor: ModuleType
    requests: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, document: dict[str, Any], stream: bool) -> list[Piece]:
        self.requests.append(document)
        if len(self.requests) > len(self.answers):
            return self._said(Failure(400, "nothing more is scripted"), stream)
        return self._said(self.answers[len(self.requests) - 1], stream)

    def _said(self, said: Said, stream: bool) -> list[Piece]:
        if isinstance(said, Failure):
            return self.vendor.refuse(said)
        return self.vendor.write(said, stream=stream)


def pieces_of(text: str) -> Iterator[str]:
    """A text as it is streamed."""
    return (text[at : at + PIECE_LENGTH] for at in range(0, len(text), PIECE_LENGTH))
