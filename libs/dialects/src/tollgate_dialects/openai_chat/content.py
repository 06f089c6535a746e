"""The parts of a chat's messages: which bytes bound, which pixels, which nothing.

A part is judged by what it carries as well as by its type: some servers go by the one, some by the
other. Text, refusals, inline pictures and inline sound are bounded; all else is unbounded.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common.refusal import wrong_type
from tollgate_dialects.request.content import (
    MEDIA,
    CacheWrite,
    Content,
    contents_of,
    kind_of,
    object_in,
)

# Hidden prompts of upstreams: compatible vendors add up to 655 to any call.
_OVERHEAD_TOKENS: Final = 700

_BOUNDED_PARTS = frozenset(("text", "refusal"))
_AUDIO_PARTS = frozenset(("input_audio", "audio_url", "audio"))
_PICTURE_PARTS = frozenset(("image_url", "input_image"))
# A template of the client's own writes what it wants; a picture may be made larger.
_UNBOUNDED = frozenset(("chat_template", "mm_processor_kwargs"))
# Members that may hold an object or an array and are no more than their bytes.
_MESSAGE_MEMBERS = frozenset(
    ("content", "tool_calls", "function_call", "annotations", "reasoning_details", "reasoning",
     "thinking_blocks", "citations", "context", "extra_content", "provider_specific_fields",
     "cache_control", "parsed")
)  # fmt: skip
_PART_MEMBERS = frozenset(("cache_control", "annotations", "citations", "logprobs"))


def content_of(document: Mapping[str, Any], printed: bytes) -> Content:
    """What a chat holds beside text. Raises BadRequest."""
    found = Content(_OVERHEAD_TOKENS)
    # A file that the operator's account has is read by its name alone (Qwen-Long).
    found.unbounded = b"fileid://" in printed or bool(document.keys() & _UNBOUNDED)
    for content in contents_of(document):
        for part in content:
            _judge(part, found)
    for message in document.get("messages") or ():
        if _carries_more(message, _MESSAGE_MEMBERS):
            found.unbounded = True
    return found


def cache_write(_printed: bytes) -> CacheWrite:
    """Newer OpenAI models write implicitly, at the one write price they have."""
    return "5m"


def _carries_more(thing: Mapping[str, Any], known: frozenset[str]) -> bool:
    """Whether a message or part holds an object or array that no protocol knows there."""
    for name, value in thing.items():
        if name not in known and isinstance(value, (dict, list)):
            return True
    return False


def _judge(part: Any, found: Content) -> None:
    if isinstance(part, str):
        return
    if not isinstance(part, dict):
        raise wrong_type("content", "an array of objects")
    kind = kind_of(part)
    # Some servers go by the object that a part carries, whatever type it says.
    carried = part.keys() & MEDIA
    if kind in _AUDIO_PARTS or carried & _AUDIO_PARTS:
        sound = object_in(part, "input_audio")
        data = sound.get("data")
        is_inline = kind == "input_audio" and carried == {"input_audio"}
        is_plain = is_inline and sound.keys() <= {"data", "format"} and isinstance(data, str)
        found.hear(data if is_plain else None, sound.get("format"))
        return
    if kind in _BOUNDED_PARTS:
        if carried or _carries_more(part, _PART_MEMBERS):
            found.unbounded = True
        return
    image = part.get("image_url")
    if not isinstance(image, dict):
        # Nobody says whether a detail beside it is read: whichever is the dearest.
        image = {"url": image, "detail": "?" if part.get("detail") else None}
    if kind in _PICTURE_PARTS and image.keys() <= {"url", "detail"} and carried == {"image_url"}:
        found.add_url(image.get("url"), image.get("detail"))
    else:
        found.unbounded = True
