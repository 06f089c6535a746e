"""How many tokens a text is.

Owns the vocabulary (o200k_base, inside of the package rs-bpe) and the table of the dearest, which
`tools/weigh_tokens.py` writes: for each token of o200k_base, the most that six public vocabularies
make of it. Promises never to count less than the vocabulary does, in time linear in the text. The
counting holds the GIL, so a long text is counted in pieces; of those the counts are remembered by
their digests, for what a conversation has said it says again with every turn.
"""

import functools
import gzip
import hashlib
import unicodedata
from collections.abc import Callable
from importlib import resources
from typing import Any, Final, TypeAlias

try:
    from rs_bpe.bpe import openai as _vocabularies
except ImportError:  # there is no wheel for this Python: then no bound is closer than its bytes
    _vocabularies = None

# Text -> tokens.
Count: TypeAlias = Callable[[str], int]

_remembered: dict[bytes, int] = {}

IS_AVAILABLE: Final = _vocabularies is not None

# About a millisecond of counting.
_PIECE: Final = 8_192
# No merge across a cut saves more: 3 at most were seen in 40,000 random cuts.
_CUT_TOKENS: Final = 8
# Characters that are normalised at once: time grows with the square of a run of combining marks.
_NORMALISED: Final = 64
# Shorter ones are counted as fast as they are looked up.
_REMEMBERED_LENGTH: Final = 512
_REMEMBERED_MAX: Final = 8_192


def load() -> None:
    """Have the vocabulary in memory: 70 MB and a tenth of a second, once a process."""
    if IS_AVAILABLE:
        o200k("")
        dearest("")


def o200k(text: str) -> int:
    """The tokens of OpenAI's models since gpt-4o."""
    return _counted(text, _encoding().count, b"o200k")


def dearest(text: str) -> int:
    """Each of those tokens as the dearest public vocabulary has it.

    Of the text as it is or normalised, whichever has more: some vocabularies read NFC or NFKC,
    where one character may become eighteen.
    """
    encode, weight = _encoding().encode, _weights().__getitem__

    def count(piece: str) -> int:
        return sum(map(weight, encode(piece)))

    return max(_counted(form, count, b"dearest") for form in _forms(text))


def _forms(text: str) -> set[str]:
    if text.isascii():
        return {text}
    pieces = [text[at : at + _NORMALISED] for at in range(0, len(text), _NORMALISED)]
    nfc = "".join(unicodedata.normalize("NFC", piece) for piece in pieces)
    return {text, nfc, "".join(unicodedata.normalize("NFKC", piece) for piece in pieces)}


def _counted(text: str, count: Count, name: bytes) -> int:
    if len(text) < _REMEMBERED_LENGTH:
        return count(text)
    tokens = -_CUT_TOKENS
    for start in range(0, len(text), _PIECE):
        piece = text[start : start + _PIECE]
        digest = hashlib.blake2b(piece.encode(), digest_size=16, person=name).digest()
        found = _remembered.get(digest)
        if found is None:
            if len(_remembered) >= _REMEMBERED_MAX:
                _remembered.clear()
            found = _remembered[digest] = count(piece)
        tokens += found + _CUT_TOKENS
    return tokens


@functools.cache
def _encoding() -> Any:
    return _vocabularies.o200k_base()


@functools.cache
def _weights() -> bytes:
    packed = resources.files(__package__).joinpath("dearest.bin.gz").read_bytes()
    return gzip.decompress(packed)
