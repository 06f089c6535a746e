"""How many input tokens a body can make an upstream read.

Promises an upper bound: a byte-level tokenizer makes at most one token of a byte, the JSON around a
text is longer than the template that replaces it, and what an upstream adds on its own is covered
by constants measured on recorded traffic. An inline picture counts by its
pixels instead of its bytes. What neither bounds (a URL, a stored file, a PDF, a kind of part that
is not known here) is reported as unbounded.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import unsupported, wrong_type
from tollgate_dialects.request import keys, normalisation, pictures

# Hidden prompts of upstreams, in tokens: compatible vendors add up to 655 to any OpenAI call,
# Anthropic up to 140 without and 1,250 (on Bedrock) with tools.
_OVERHEAD = {Protocol.OPENAI_CHAT: 700, Protocol.ANTHROPIC_MESSAGES: 400}
_TOOLS_OVERHEAD = {Protocol.OPENAI_CHAT: 0, Protocol.ANTHROPIC_MESSAGES: 1_250}
# Per tool that Anthropic defines itself: at most 735 for the tool and 499 for its system prompt.
_TYPED_TOOL_OVERHEAD = 1_250

_BOUNDED_OPENAI_PARTS = frozenset(("text", "refusal"))
_AUDIO_PARTS = frozenset(("input_audio", "audio_url", "audio"))
_PICTURE_PARTS = frozenset(("image_url", "input_image"))
_BOUNDED_ANTHROPIC_PARTS = frozenset(
    ("text", "tool_use", "thinking", "redacted_thinking", "search_result", "server_tool_use",
     "compaction", "tool_result")
)  # fmt: skip


CacheWrite: TypeAlias = Literal["none", "5m", "1h"]


_UNBOUNDED_OPENAI = frozenset(("chat_template", "mm_processor_kwargs"))
# Members that may hold an object or an array and are no more than their bytes.
_MESSAGE_MEMBERS = frozenset(
    ("content", "tool_calls", "function_call", "annotations", "reasoning_details", "reasoning",
     "thinking_blocks", "citations", "context", "extra_content", "provider_specific_fields",
     "cache_control", "parsed")
)  # fmt: skip
_PART_MEMBERS = frozenset(("cache_control", "annotations", "citations", "logprobs"))


class InputBound(NamedTuple):
    """`tokens` says nothing when `unbounded`."""

    tokens: int
    unbounded: bool


class _Found:
    """What the parts of a body are, beside text."""

    def __init__(self) -> None:
        self.picture_tokens = 0
        self.picture_bytes = 0
        self.unbounded = False

    def add(self, picture: pictures.Picture) -> None:
        self.picture_tokens += picture.tokens
        self.picture_bytes += picture.encoded_bytes


def input_bound(
    body: bytes, printed: bytes, document: Mapping[str, Any], protocol: Protocol
) -> InputBound:
    """The bound of a parsed body (`printed` again by orjson); refuses audio: it has other prices.

    Raises BadRequest also for content whose shape no protocol has.
    """
    extra = _OVERHEAD[protocol]
    tools = document.get("tools") or ()
    if tools or document.get("functions"):
        extra += _TOOLS_OVERHEAD[protocol]
    found = _Found()
    if protocol is Protocol.OPENAI_CHAT:
        # A file that the operator's account has is read by its name alone (Qwen-Long); a template
        # of the client's own writes what it wants; a picture may be made larger.
        found.unbounded = b"fileid://" in printed or bool(document.keys() & _UNBOUNDED_OPENAI)
        for content in _contents(document):
            for part in content:
                _openai_part(part, found)
        for message in document.get("messages") or ():
            if _carries_more(message, _MESSAGE_MEMBERS):
                found.unbounded = True
    else:
        _anthropic_parts(document, found)
        extra += _TYPED_TOOL_OVERHEAD * sum(tool.get("type") is not None for tool in tools)
    text_bytes = len(body) - found.picture_bytes + normalisation.growth(printed)
    return InputBound(text_bytes + found.picture_tokens + extra, found.unbounded)


def cache_write(printed: bytes, protocol: Protocol) -> CacheWrite:
    """The longest cache write that may be billed: "none", "5m" or "1h"."""
    if protocol is Protocol.OPENAI_CHAT:
        return "5m"  # newer OpenAI models write implicitly, at the one write price they have
    if b'"cache_control"' not in printed:
        return "none"
    return "1h" if b'"1h"' in printed else "5m"


def _contents(document: Mapping[str, Any]) -> list[list[Any]]:
    """The contents of all messages that are lists of parts."""
    messages = document.get("messages")
    if messages is None:
        return []
    if not isinstance(messages, list):
        raise wrong_type("messages", "an array")
    contents: list[list[Any]] = []
    for message in messages:
        if not isinstance(message, dict):
            raise wrong_type("messages", "an array of objects")
        content = message.get("content")
        if isinstance(content, list):
            contents.append(content)
        elif content is not None and not isinstance(content, str):
            raise wrong_type("content", "a text or an array")
        if message.get("audio"):
            raise unsupported("messages")
    return contents


def _carries_more(thing: Mapping[str, Any], known: frozenset[str]) -> bool:
    """Whether a message or part holds an object or array that no protocol knows there."""
    for name, value in thing.items():
        if name not in known and isinstance(value, (dict, list)):
            return True
    return False


def _kind(thing: Mapping[str, Any]) -> str | None:
    kind = thing.get("type")
    if kind is not None and not isinstance(kind, str):
        raise wrong_type("type", "a string")
    return kind


def _object(part: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = part.get(name)
    return value if isinstance(value, dict) else {}


def _openai_part(part: Any, found: _Found) -> None:
    if isinstance(part, str):
        return
    if not isinstance(part, dict):
        raise wrong_type("content", "an array of objects")
    kind = _kind(part)
    if kind in _AUDIO_PARTS:
        raise unsupported("messages")
    # Some servers go by the object that a part carries, whatever type it says.
    carried = part.keys() & keys.MEDIA
    if kind in _BOUNDED_OPENAI_PARTS:
        if carried or _carries_more(part, _PART_MEMBERS):
            found.unbounded = True
        return
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    is_inline = isinstance(url, str) and url.startswith("data:image/")
    plain = not isinstance(image, dict) or image.keys() <= {"url", "detail"}
    if kind in _PICTURE_PARTS and is_inline and plain and carried == {"image_url"}:
        assert isinstance(url, str)
        found.add(pictures.of_data_url(url, Protocol.OPENAI_CHAT))
    else:
        found.unbounded = True


def _anthropic_parts(document: Mapping[str, Any], found: _Found) -> None:
    waiting = _contents(document)
    system = document.get("system")
    if isinstance(system, list):
        waiting.append(system)
    elif system is not None and not isinstance(system, str):
        raise wrong_type("system", "a text or an array")
    while waiting:
        for part in waiting.pop():
            if isinstance(part, str):
                continue
            if not isinstance(part, dict):
                raise wrong_type("content", "an array of objects")
            nested = _anthropic_part(part, found)
            if isinstance(nested, list):
                waiting.append(nested)
            elif isinstance(nested, dict) and "type" in nested:
                # Results of server tools carry one object.
                waiting.append([nested])


def _anthropic_part(part: Mapping[str, Any], found: _Found) -> Any:
    """Judge one part; what it holds in turn."""
    kind = _kind(part)
    source = _object(part, "source")
    source_kind = _kind(source)
    citations = _object(part, "citations")
    if part.keys() & keys.MEDIA - {"source"} or source.keys() & {"url", "file_id"}:
        found.unbounded = True
    if citations and citations.get("enabled") is not False:
        # Each sentence is tagged, however short it is.
        found.unbounded = True
    if kind == "image" and source_kind == "base64":
        found.add(
            pictures.of_base64(
                source.get("media_type"), source.get("data"), Protocol.ANTHROPIC_MESSAGES
            )
        )
    elif kind == "document" and source_kind == "content":
        if part.get("content") is not None:
            found.unbounded = True
        return source.get("content")
    elif kind == "document" and source_kind == "text":
        pass
    elif source or not (
        kind in _BOUNDED_ANTHROPIC_PARTS or (kind is not None and kind.endswith("_tool_result"))
    ):
        found.unbounded = True
    return part.get("content")
