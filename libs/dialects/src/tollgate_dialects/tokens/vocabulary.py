"""How many tokens a text is.

Owns the vocabulary (o200k_base, inside of the package rs-bpe) and the table of the dearest, which
`tools/weigh_tokens.py` writes: for each token of o200k_base, the most that six public vocabularies
make of it. Promises never to count less than the vocabulary does, in time linear in the text. The
counting holds the GIL, so a long text is counted in pieces.
"""

import functools
import gzip
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any, Final, TypeAlias

try:
    from rs_bpe.bpe import openai as _vocabularies
except ImportError:  # there is no wheel for this Python: then no bound is closer than its bytes
    _vocabularies = None

# Text -> tokens.
Count: TypeAlias = Callable[[str], int]

IS_AVAILABLE: Final = _vocabularies is not None

# About a millisecond of counting.
_PIECE: Final = 8_192
# No merge across a cut saves more: 3 at most were seen in 40,000 random cuts.
_CUT_TOKENS: Final = 8


def load() -> None:
    """Have the vocabulary in memory: 70 MB and a tenth of a second, once a process."""
    if IS_AVAILABLE:
        o200k("")
        dearest("")


def o200k(text: str) -> int:
    """The tokens of OpenAI's models since gpt-4o."""
    count: Count = _encoding().count
    return sum(map(count, _pieces(text))) + _cuts(text)


def dearest(text: str) -> int:
    """Each of those tokens as the dearest public vocabulary has it."""
    encode, weight = _encoding().encode, _weights().__getitem__
    return sum(sum(map(weight, encode(piece))) for piece in _pieces(text)) + _cuts(text)


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE]


def _cuts(text: str) -> int:
    return (len(text) - 1) // _PIECE * _CUT_TOKENS if text else 0


@functools.cache
def _encoding() -> Any:
    return _vocabularies.o200k_base()


@functools.cache
def _weights() -> bytes:
    packed = resources.files(__package__).joinpath("dearest.bin.gz").read_bytes()
    return gzip.decompress(packed)
