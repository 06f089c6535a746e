"""How many tokens a picture is to a model, by the rule that its vendor publishes.

Promises not to be below what is billed: a size or a detail that is not known is the dearest, and
what a vendor scales down is rounded up. Sources: OpenAI, "Images and vision" (tiles, patches, model
sizing behavior); Anthropic, "Vision" (resolution and token cost); Google, "Media resolution" and
"Understand and count tokens". Recorded bills agree (docs/bounds.md).
"""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

# (width, height) in pixels, or None: not known; and how closely it is to be looked at, in the words
# of the vendor's protocol, or nothing -> tokens, at most.
Rule: TypeAlias = Callable[[tuple[int, int] | None, str], int]

# No decoder takes pictures with longer edges.
_EDGE_MAX: Final = 65_535
# Above so many patches OpenAI refuses a picture that it does not scale down.
_PATCHES_MAX: Final = 30_000


class Limit(NamedTuple):
    """What a picture is scaled down to: its longer edge in pixels, and its patches of 32."""

    edge: int
    patches: int


WIDE: Final = Limit(2_048, 6_144)
_SMALL: Final = Limit(512, 256)
_HIGH: Final = Limit(2_048, 2_500)
_ORIGINAL: Final = Limit(6_000, 10_000)
_UNSCALED: Final = Limit(_EDGE_MAX, _PATCHES_MAX)


def tiles(base: int, tile: int) -> Rule:
    """OpenAI's: fitted into 2,048 squared, the short edge to 768, then tiles of 512."""

    def rule(size: tuple[int, int] | None, detail: str) -> int:
        if detail == "low":
            return base
        long, short = (2_048, 768) if size is None else _fitted(size, 2_048)
        if short > 768:  # noqa: PLR2004 - the rule's own number
            long, short = -(-long * 768 // short), 768
        return base + tile * -(-long // 512) * -(-short // 512)

    return rule


def patches(percent: int, auto: Limit, **limits: Limit) -> Rule:
    """OpenAI's newer one: `percent` hundredths of a token for each patch of 32 pixels.

    `limits` by detail; `auto` where none is said, or all have the same.
    """

    def rule(size: tuple[int, int] | None, detail: str) -> int:
        if detail in ("", "auto", *limits):
            applied = [limits.get(detail, auto)]
        else:
            applied = [auto, *limits.values()]
        return max(-(-_patches(size, limit) * percent // 100) for limit in applied)

    return rule


GPT_4O_MINI: Final = tiles(2_833, 5_667)
GPT_5_4: Final = patches(120, _HIGH, low=WIDE, high=_HIGH, original=_ORIGINAL)
GPT_5_5: Final = patches(120, _ORIGINAL, low=_SMALL, high=_HIGH, original=_ORIGINAL)
# Newer ones have not changed it.
GPT_5_6: Final = patches(120, _UNSCALED, low=_SMALL, high=_HIGH, original=_UNSCALED)


def dearest(size: tuple[int, int] | None, _detail: str) -> int:
    """Of a model that is not known: above every other rule at every size."""
    return max(GPT_4O_MINI(size, ""), GPT_5_6(size, ""))


def claude(most: int) -> Rule:
    """Patches of 28 pixels, up to so many; for older models width x height / 750."""

    def rule(size: tuple[int, int] | None, _detail: str) -> int:
        if size is None:
            return most
        width, height = size
        older = -(-width * height // 750)
        return min(max(-(-width // 28) * -(-height // 28), older), most)

    return rule


# The shortest and the longest edge of Gemini's tiles in pixels, what one takes, and the most that
# a picture has, whose longer edge is brought to 3,072: a strip has two rows of the smallest.
_TILE_MIN, _TILE_MAX, _TILE_TOKENS = 256, 768, 258
_TILED_EDGE: Final = 3_072
_TILES_MAX: Final = 24
# A picture with both edges up to this is one.
_UNTILED: Final = 384


def gemini_tiles(size: tuple[int, int] | None, _detail: str) -> int:
    """Gemini 2: tiles with an edge of two thirds of the picture's shorter one."""
    if size is None:
        return _TILES_MAX * _TILE_TOKENS
    if max(size) <= _UNTILED:
        return _TILE_TOKENS
    long, short = _fitted(size, _TILED_EDGE)
    edge = min(max(short * 2 // 3, _TILE_MIN), _TILE_MAX)
    return -(-long // edge) * -(-short // edge) * _TILE_TOKENS


# Other protocols' details do not reach Gemini.
_GEMINI_LEVELS: Final = dict.fromkeys(("", "AUTO", "LOW", "HIGH"), 1_120) | {
    "MEDIA_RESOLUTION_UNSPECIFIED": 1_120,
    "MEDIA_RESOLUTION_LOW": 280,
    "MEDIA_RESOLUTION_MEDIUM": 560,
    "MEDIA_RESOLUTION_HIGH": 1_120,
}
_GEMINI_MOST: Final = 2_240


def gemini_levels(_size: tuple[int, int] | None, detail: str) -> int:
    """Gemini 3: so many for each resolution, whatever the picture's size."""
    return _GEMINI_LEVELS.get(detail.upper(), _GEMINI_MOST)


def _fitted(size: tuple[int, int], edge: int) -> tuple[int, int]:
    """(long, short), scaled down into a square."""
    long, short = max(size), min(size)
    return (edge, -(-short * edge // long)) if long > edge else (long, short)


def _patches(size: tuple[int, int] | None, limit: Limit) -> int:
    long, short = (limit.edge, limit.edge) if size is None else _fitted(size, limit.edge)
    return min(-(-long // 32) * -(-short // 32), limit.patches)
