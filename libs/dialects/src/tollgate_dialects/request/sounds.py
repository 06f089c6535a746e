"""How many input tokens a piece of inline sound can be, by how long it can last.

Promises an upper bound, or none (None): the model's own input limit has to do. A WAV lasts as long
as its header says that so many bytes do; an MP3 no longer than its smallest frames would. Each only
where the client calls it so, for a vendor decodes what it is told that it is. Whatever is neither
is not looked into: silence can be packed into next to nothing.
"""

import re
from typing import Final

from tollgate_dialects.request.encoded import Encoded, big, little

# Gemini's; OpenAI has 10 a second of what it hears, Qwen 25.
_TOKENS_PER_SECOND: Final = 32
# Around a piece of sound, and for what of a second is begun.
_TAG_TOKENS: Final = 100
# 144 ms of MPEG-2.5's layer II take 14 bytes at least; layer III takes 180 a second.
_LEAST_MP3_BYTES_PER_SECOND: Final = 80
_BASE64 = re.compile(r"[A-Za-z0-9+/]*+={0,2}")
# PCM in integers and in floats; where a header says its kind elsewhere, it may be a packed one.
_PCM: Final = frozenset((1, 3))
_RATES: Final = frozenset(
    (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
)
_CHANNELS: Final = frozenset((1, 2))
_SAMPLE_BITS: Final = frozenset((8, 16, 24, 32))
# As OpenAI calls them, and as media types do.
_WAV: Final = frozenset(("wav", "audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"))
_MP3: Final = frozenset(("mp3", "audio/mp3", "audio/mpeg"))
# What an MPEG frame begins with: eleven bits that are set, of sixteen.
_SYNC: Final = 0x7FF
_SYNC_SHIFT: Final = 5
# Pieces of metadata before the sound; each is one look at a few bytes.
_CHUNKS_MAX: Final = 64


def most_tokens(data: str, declared: object) -> int | None:
    """Of sound in base64; `declared`: its format as the client says it, a name or a media type."""
    if len(data) % 4 or not _BASE64.fullmatch(data) or not isinstance(declared, str):
        return None
    encoded, size = Encoded(data, 0), len(data) // 4 * 3 - data.count("=", -2)
    per_second = 0
    if declared in _WAV:
        per_second = _wav_rate(encoded, size)
    elif declared in _MP3:
        per_second = _mp3_rate(encoded)
    if not per_second:
        return None
    return -(-size * _TOKENS_PER_SECOND // per_second) + _TAG_TOKENS


def _wav_rate(encoded: Encoded, size: int) -> int:
    """Bytes a second, by the one header that stands before the sound; 0 for what is odd."""
    head = encoded.at(0, 12)
    if not head.startswith(b"RIFF") or head[8:] != b"WAVE":
        return 0
    rate, offset = 0, 12
    for _ in range(_CHUNKS_MAX):
        chunk = encoded.at(offset, 8)
        offset += 8
        length = little(chunk[4:])
        if chunk[:4] == b"data":
            return rate if offset + length <= size else 0
        if chunk[:4] == b"fmt ":
            if rate:
                return 0
            rate = _pcm_rate(encoded.at(offset, 16))
            if not rate:
                return 0
        offset += length + length % 2
    return 0


def _pcm_rate(form: bytes) -> int:
    kind, channels, rate = little(form[:2]), little(form[2:4]), little(form[4:8])
    bits, each = little(form[14:16]), channels * little(form[14:16]) // 8
    is_known = kind in _PCM and channels in _CHANNELS and rate in _RATES and bits in _SAMPLE_BITS
    # It says the same twice.
    is_known = is_known and (rate * each, each) == (little(form[8:12]), little(form[12:14]))
    return rate * each if is_known else 0


def _mp3_rate(encoded: Encoded) -> int:
    """Bytes a second at the least, for what begins with a frame; 0 for what does not."""
    offset = 0
    tag = encoded.at(0, 10)
    if tag.startswith(b"ID3"):
        # Seven bits a byte (ID3v2.4, 6.2).
        offset = 10 + sum(
            (byte & 0x7F) << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=False)
        )
    sync = big(encoded.at(offset, 2))
    # Without a layer it is another format's.
    is_frame = sync >> _SYNC_SHIFT == _SYNC and sync >> 1 & 3
    return _LEAST_MP3_BYTES_PER_SECOND if is_frame else 0
