"""The parts of a generation's messages: which bytes bound, which pixels, which nothing.

A part is named by what it carries: `{"text": …}`, `{"image": …}`. Some models take the parts of
OpenAI's chats as well. Sounds and films have other prices and are refused; all else that is no text
and no inline picture is unbounded.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common.refusal import unsupported, wrong_type
from tollgate_dialects.request import pictures
from tollgate_dialects.request.content import (
    MEDIA,
    CacheWrite,
    Content,
    contents_of,
    kind_of,
    object_in,
)

# Hidden prompts: tools, OCR's and translation's own tasks; up to 250 recorded.
_OVERHEAD_TOKENS: Final = 700
# Qwen-VL's most for a picture, and its two marks.
_PICTURE_MAX: Final = 16_386

# What is heard or moves, under DashScope's names and under those of OpenAI's chats.
_OTHER_PRICES: Final = frozenset(
    ("audio", "audio_url", "input_audio", "video", "video_url", "input_video")
)
# What may hold an object or an array and is no more than its bytes.
_MESSAGE_MEMBERS = frozenset(("content", "tool_calls", "annotations", "reasoning_details"))
_PART_MEMBERS = frozenset(("cache_control", "annotations"))
# What a part may have at all; whatever else may name a file.
_KNOWN = _PART_MEMBERS | {"type", "text", "image", "min_pixels", "max_pixels", "enable_rotate"}
# A picture may be enlarged up to the most.
_ENLARGED: Final = ("min_pixels", "max_pixels")


def content_of(document: Mapping[str, Any], printed: bytes) -> Content:
    """What a generation holds beside text. Raises BadRequest."""
    asked = object_in(document, "input")
    parameters = object_in(document, "parameters")
    found = Content(_OVERHEAD_TOKENS)
    # A file that the operator's account has is read by its name alone (Qwen-Long).
    found.unbounded = b"fileid://" in printed or any(
        isinstance(value, (dict, list)) and name not in ("messages", "history")
        for name, value in asked.items()
    )
    is_enlarged = parameters.get("vl_high_resolution_images") not in (None, False)
    for said in (asked.get("messages"), asked.get("history")):
        for content in contents_of({"messages": said}):
            for part in content:
                _judge(part, found, is_enlarged=is_enlarged)
        if any(_carries_more(message, _MESSAGE_MEMBERS) for message in said or ()):
            found.unbounded = True
    return found


def cache_write(printed: bytes) -> CacheWrite:
    """Only what is marked is written for a price, and for five minutes."""
    return "5m" if b'"cache_control"' in printed else "none"


def picture_tokens(width: int, height: int) -> int:
    """Patches of 28 pixels, of 32 in newer models: 27 covers both, and what is rounded up."""
    return min(-(-width // 27) * -(-height // 27) + 100, _PICTURE_MAX)


def _largest(_width: int, _height: int) -> int:
    return _PICTURE_MAX


def _carries_more(thing: Mapping[str, Any], known: frozenset[str]) -> bool:
    """Whether a message or part holds an object or array that the protocol does not know there."""
    return any(
        name not in known and isinstance(value, (dict, list)) for name, value in thing.items()
    )


def _judge(part: Any, found: Content, *, is_enlarged: bool) -> None:
    if isinstance(part, str):
        return
    if not isinstance(part, dict):
        raise wrong_type("content", "an array of objects")
    kind = kind_of(part)
    if kind in _OTHER_PRICES or not _OTHER_PRICES.isdisjoint(part):
        raise unsupported("input.messages")
    carried = part.keys() & MEDIA
    found.unbounded |= _carries_more(part, _PART_MEMBERS) or any(
        name not in _KNOWN and value is not None for name, value in part.items()
    )
    if not carried and kind in (None, "text") and "text" in part:
        return
    image = part.get("image")
    is_inline = isinstance(image, str) and image.startswith("data:image/")
    if carried == {"image"} and kind in (None, "image") and is_inline:
        assert isinstance(image, str)
        enlarged = is_enlarged or any(part.get(name) is not None for name in _ENLARGED)
        found.pictures.append(pictures.of_data_url(image, _largest if enlarged else picture_tokens))
        return
    found.unbounded = True
