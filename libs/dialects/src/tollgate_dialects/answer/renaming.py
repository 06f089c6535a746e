"""The model's name in an answer, as its client wrote it.

Owns the change of that one value in what a meter has let through: every other byte stays. For
models that have another name at their upstream than here.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import orjson

from tollgate_dialects.common import members, sse

# Members from the top of a document to a model's name.
Place: TypeAlias = tuple[str, ...]


class Renaming:
    """Puts one name into the answers of one call."""

    def __init__(self, places: Sequence[Place], model: str) -> None:
        """`places`: where the dialect's documents name the model."""
        self._places = places
        self._hints = {b'"%b"' % place[-1].encode() for place in places}
        self._name = orjson.dumps(model)

    def body(self, body: bytes) -> bytes:
        """A whole answer, or the frame of one document, under the client's name."""
        opening = body.find(b"{")
        if opening < 0 or not any(hint in body for hint in self._hints):
            return body
        text = body.decode("latin-1")  # a character is a byte
        for start, end in sorted(self._found(text, opening), reverse=True):
            body = body[:start] + self._name + body[end:]
        return body

    def frames(self, frames: bytes) -> bytes:
        """Whole frames of a stream, each of which holds one document or none."""
        if not any(hint in frames for hint in self._hints):
            return frames
        renamed: list[bytes] = []
        position = 0
        while position < len(frames):
            start, position = sse.frame_at(frames, position)
            renamed.append(self.body(frames[start:position]))
        return b"".join(renamed)

    def _found(self, text: str, opening: int) -> Iterator[tuple[int, int]]:
        for place in self._places:
            start, end = opening, opening
            for step in place:
                if text[start] != "{":
                    break
                spans = [each[2:] for each in members.scan(text, start) if each[0] == step]
                if not spans:
                    break
                start, end = spans[-1]
            else:
                if text[start] == '"':
                    yield start, end
