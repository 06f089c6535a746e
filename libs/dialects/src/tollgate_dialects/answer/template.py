"""Frames like one that was read already: known by one regular expression, without being read.

Owns what may differ between two frames of one shape: the texts and numbers of listed members, never
a key, a bracket, an index, a type or an end. So a read of a thousand frames of text is checked in
one go. Promises that a frame that matches holds nothing that the frame it was made of did not.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

# Shapes that are remembered in a process; each costs about a fifth of a millisecond to compile.
MAX_TEMPLATES: Final = 512

# Halves of a surrogate pair are read: alone they are no text.
_STRING = (
    rb'"[^"\\\x00-\x1f]*+(?>(?:\\(?:["\\/bfnrt]|u(?![dD][89a-fA-F])[0-9a-fA-F]{4})'
    rb'[^"\\\x00-\x1f]*+)*)"'
)
_NUMBER = rb"-?(?:0|[1-9]\d*+)(?>(?:\.\d++)?)"
_MAX_SHAPE_BYTES = 4_096
# Shapes of one upstream's frames: text, reasoning, tool arguments, the first frame, and more.
_MAX_KNOWN = 12


class Vocabulary:
    """What a dialect's frames of plain text are made of."""

    def __init__(self, *, texts: str, words: str) -> None:
        """Both joined by `|`: members whose texts may differ, and words that name a shape."""
        self.variable: Final = re.compile(
            rb'("(?:%b)"\s*+:\s*+)(?:%b)'
            rb'|("(?!index"|finish_reason")[a-z_]++"\s*+:\s*+)(?:%b)(?=[,}\s])'
            % (texts.encode(), _STRING, _NUMBER)
        )
        # What may be left of such a frame when the above is out: keys, and the words. Texts are
        # none where they are an object or a list: those are counted by whoever reads them.
        self.fixed: Final = re.compile(
            rb"(?:event: [\w.]+\n)?data: "
            rb'(?:[{}\[\],:\s]|(?!"(?:usage|%b)"\s*+:\s*+[{\[])"[a-z_]+"\s*+:'
            rb'|(?:(?<="index":)|(?<="index": ))\d++|'
            rb'null|true|false|\x00|\x01|"(?:%b)")+\n\n' % (texts.encode(), words.encode())
        )


_compiled: dict[tuple[Vocabulary, bytes], re.Pattern[bytes]] = {}


def of(frame: bytes, vocabulary: Vocabulary) -> re.Pattern[bytes] | None:
    """What matches one or more whole frames of this one's shape; None where it is no plain text.

    The caller has found the frame to be an answer that passes as it is, without end or usage.
    """
    if b"\x00" in frame or b"\x01" in frame:
        return None
    shape = vocabulary.variable.sub(_hole, frame)
    if (found := _compiled.get((vocabulary, shape))) is not None:
        return found
    if len(shape) > _MAX_SHAPE_BYTES or vocabulary.fixed.fullmatch(shape) is None:
        return None
    if len(_compiled) >= MAX_TEMPLATES:
        _compiled.clear()
    pattern = re.escape(shape).replace(b"\x00", _STRING).replace(b"\x01", _NUMBER)
    found = _compiled[vocabulary, shape] = re.compile(b"(?>(?:%b)+)" % pattern)
    return found


def _is_utf8(frames: bytes) -> bool:
    if frames.isascii():
        return True
    try:
        frames.decode()
    except UnicodeDecodeError:
        return False
    return True


def _hole(found: re.Match[bytes]) -> bytes:
    text, number = found.groups()
    return text + b"\x00" if text is not None else number + b"\x01"


class Known(NamedTuple):
    """A shape that needs no reading."""

    pattern: re.Pattern[bytes]
    # The choices that its frames belong to.
    choices: tuple[int, ...]
    # How its frames say that the call is served.
    tier: object = None


class Shapes:
    """Keeps the frame shapes learnt from the streams of one upstream, the latest first."""

    def __init__(self) -> None:
        self._known: list[Known] = []

    def match(self, frames: bytes, position: int) -> tuple[Known, int] | None:
        """The shape of the frame at a position, and where the last one of that shape ends.

        None for what no JSON reader would take as it is: bytes that are no UTF-8.
        """
        for known in self._known:
            if found := known.pattern.match(frames, position):
                return (known, found.end()) if _is_utf8(found[0]) else None
        return None

    def learn(
        self, frame: bytes, vocabulary: Vocabulary, choices: Iterable[int], tier: object = None
    ) -> None:
        """Remember a frame's shape, if it is plain text; see `of` for what has been checked."""
        pattern = of(frame, vocabulary)
        if pattern is not None:
            self._known.insert(0, Known(pattern, tuple(choices), tier))
            del self._known[_MAX_KNOWN:]
