"""How many input tokens an inline picture can be, by its size in pixels.

Reads the size from the headers of PNG, JPEG, GIF and WebP, decoding only those few bytes of the
base64; the rule for it is the dialect's, and never below the dearest vendor of its protocol. A
header that is not understood counts as the dearest picture there is.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from tollgate_dialects.request.encoded import Encoded, big, little
from tollgate_dialects.tokens import pictures as rules

# gpt-4o-mini at high detail, 2,833 + 8 tiles of 5,667: more than 36,000 (30,000 patches of 32
# pixels since gpt-5.6), 16,384 (Qwen-VL), 10,500 (40 tiles of InternVL), 6,192 (Gemini), 4,784
# (Anthropic).
DEAREST_TOKENS: Final = 50_000

_DATA_URL = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/]*+={0,2}")
# No decoder takes pictures with longer edges.
_EDGE_MAX = 65_535
# As far into a JPEG segment and a GIF image descriptor as the size stands, in bytes.
_SEGMENT_HEAD: Final = 9
_GIF_FRAME_HEAD: Final = 10
# Pieces of metadata that are skipped; each is one look at ten bytes.
_SEGMENTS_MAX = 128

# (width, height) in pixels -> tokens, at most.
Rule: TypeAlias = Callable[[int, int], int]


class Picture(NamedTuple):
    """`encoded_bytes` of the body are the picture and no text: 0 when that is not sure."""

    tokens: int
    encoded_bytes: int
    # At the vendor that counts it dearest, whatever its protocol.
    dearest_tokens: int = DEAREST_TOKENS
    # The string that holds it.
    text: str = ""
    # In pixels; None: not sure.
    size: tuple[int, int] | None = None
    # How closely the client wants it looked at, as its protocol has it; empty: it did not say.
    detail: str = ""


def dearest_tokens(width: int, height: int) -> int:
    """Of a model that may be any: above every vendor's rule at every size."""
    return rules.dearest((width, height), "")


def of_data_url(url: str, rule: Rule) -> Picture:
    """A picture in a `data:image/...` URL."""
    prefix = _DATA_URL.match(url)
    if prefix is None:
        return Picture(DEAREST_TOKENS, 0)
    return _picture(url, prefix.end(), rule)


def of_base64(media_type: object, data: object, rule: Rule) -> Picture:
    """A picture in Anthropic's `source`."""
    if not isinstance(media_type, str) or not media_type.startswith("image/"):
        return Picture(DEAREST_TOKENS, 0)
    return _picture(data, 0, rule) if isinstance(data, str) else Picture(DEAREST_TOKENS, 0)


def _picture(text: str, start: int, rule: Rule) -> Picture:
    encoded_bytes = len(text) - start
    if encoded_bytes % 4 or not _BASE64.fullmatch(text, start):
        return Picture(DEAREST_TOKENS, 0)
    size = _size(Encoded(text, start))
    if size is None or not all(0 < edge <= _EDGE_MAX for edge in size):
        return Picture(DEAREST_TOKENS, encoded_bytes, text=text)
    tokens, dearest = rule(*size), dearest_tokens(*size)
    tokens, dearest = min(tokens, DEAREST_TOKENS), min(dearest, DEAREST_TOKENS)
    return Picture(tokens, encoded_bytes, dearest, text, size)


def _size(encoded: Encoded) -> tuple[int, int] | None:
    head = encoded.at(0, 30)
    size: tuple[int, int] | None = None
    if head.startswith(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"):
        size = _png_size(encoded)
    elif head.startswith(b"\xff\xd8\xff"):
        size = _jpeg_size(encoded)
    elif head.startswith((b"GIF87a", b"GIF89a")):
        size = _gif_size(encoded, head)
    elif head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        size = _webp_size(head)
    return size


def _png_size(encoded: Encoded) -> tuple[int, int] | None:
    """From the one header chunk; some decoders take the last of two (PNG, 5.6: there is one)."""
    header = encoded.at(16, 8)
    offset = 8 + 25
    for _ in range(_SEGMENTS_MAX):
        chunk = encoded.at(offset, 8)
        if len(chunk) < 8 or chunk[4:] == b"IHDR":  # noqa: PLR2004 - a chunk's length and type
            return None
        if chunk[4:] == b"IDAT":
            return big(header[:4]), big(header[4:])
        offset += 12 + big(chunk[:4])
    return None


# SOF0 to SOF15, without DHT, JPG and DAC.
_FRAMES = frozenset(bytes((marker,)) for marker in range(0xC0, 0xD0)) - {b"\xc4", b"\xc8", b"\xcc"}
# And what else may stand before the scan: DHT, DAC, DQT, DRI, COM, APP0 to APP15. Decoders skip all
# else in ways of their own: some by its length, some byte by byte, as libjpeg does `FF 00`.
_SKIPPED = frozenset(
    bytes((marker,)) for marker in (0xC4, 0xCC, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0))
)
_SCAN = b"\xda"


def _jpeg_size(encoded: Encoded) -> tuple[int, int] | None:
    """The largest frame header before the scan (ITU T.81, B.2.2); None for what is odd."""
    offset = 2
    sizes: list[tuple[int, int]] = []
    for _ in range(_SEGMENTS_MAX):
        segment = encoded.at(offset, _SEGMENT_HEAD)
        if len(segment) < _SEGMENT_HEAD or segment[:1] != b"\xff":
            return None
        marker, length = segment[1:2], big(segment[2:4])
        if marker == b"\xff":  # a fill byte
            offset += 1
            continue
        if marker == _SCAN and sizes:
            return max(width for width, _ in sizes), max(height for _, height in sizes)
        if marker in _FRAMES:
            sizes.append((big(segment[7:9]), big(segment[5:7])))
        elif marker not in _SKIPPED:
            return None
        if length < 2:  # noqa: PLR2004 - it counts itself
            return None
        offset += 2 + length
    return None


def _gif_size(encoded: Encoded, head: bytes) -> tuple[int, int] | None:
    """The screen, or its first frame where that is larger (GIF89a, 18 to 20)."""
    offset = 13 + (3 << (head[10] & 7) + 1 if head[10] & 0x80 else 0)
    for _ in range(_SEGMENTS_MAX):
        block = encoded.at(offset, _GIF_FRAME_HEAD)
        if len(block) < _GIF_FRAME_HEAD:
            return None
        if block[:1] == b"\x2c":
            left, top, width, height = (little(block[at : at + 2]) for at in (1, 3, 5, 7))
            return max(little(head[6:8]), left + width), max(little(head[8:10]), top + height)
        if block[:1] != b"\x21":
            return None
        # An extension: sub-blocks, a length before each, 0 after the last.
        offset += 2
        for _ in range(_SEGMENTS_MAX):
            length = encoded.at(offset, 1)
            offset += 1 + little(length)
            if length in (b"", b"\0"):
                break
        else:
            return None
    return None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    """RFC 9649 (VP8X, VP8L) and RFC 6386 section 9.1 (VP8)."""
    kind = head[12:16]
    if kind == b"VP8X":
        return 1 + little(head[24:27]), 1 + little(head[27:30])
    if kind == b"VP8L" and head[20:21] == b"\x2f":
        bits = little(head[21:25])
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        return little(head[26:28]) & 0x3FFF, little(head[28:30]) & 0x3FFF
    return None
