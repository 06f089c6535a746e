"""What a scripted model says, and the order in which it says it.

An answer knows no protocol: `chat` and `messages` put it into a vendor's frames.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
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
    """The vendor's refusal, in its own words."""

    status: int
    document: dict[str, Any]

    def pieces(self) -> list[Piece]:
        body = json.dumps(self.document).encode()
        return [
            b"HTTP/1.1 %d Scripted\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n" % (self.status, len(body)) + body
        ]


Said = Answer | Failure


@dataclass
class Turns:
    """Answers one after another; the requests that they answered."""

    answers: Sequence[Said]
    write: Callable[[dict[str, Any], Answer], list[Piece]]
    requests: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, document: dict[str, Any]) -> list[Piece]:
        self.requests.append(document)
        if len(self.requests) > len(self.answers):
            return Failure(400, {"error": {"message": "nothing more is scripted"}}).pieces()
        said = self.answers[len(self.requests) - 1]
        return said.pieces() if isinstance(said, Failure) else self.write(document, said)


def pieces_of(text: str) -> Iterator[str]:
    """A text as it is streamed."""
    return (text[at : at + PIECE_LENGTH] for at in range(0, len(text), PIECE_LENGTH))
