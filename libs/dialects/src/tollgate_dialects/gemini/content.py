"""The parts of a conversation: which bytes bound, which pixels, which nothing.

Text, calls, results, inline pictures, sounds and text files are bounded; a PDF or an address is
not. Film is refused: its tokens have prices of their own; so is what names a file that is stored at
Google, for clients share its accounts. Whatever is not known is refused as well: Google
itself knows no more than it documents.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from tollgate_dialects.common.refusal import BadRequest, Code, unsupported, wrong_type
from tollgate_dialects.gemini import spelling
from tollgate_dialects.request import pictures
from tollgate_dialects.request.content import CacheWrite, Content, File

# Hidden prompts, tags of turns and of tools.
_OVERHEAD_TOKENS: Final = 400
# What a picture takes that is no long strip: newer models up to 2,240 tokens, older ones
# those of 16 tiles at most; and its tags.
PICTURE_TOKENS: Final = 4_200
# The shortest edge of a tile in pixels, and what one takes.
_TILE_EDGE: Final = 256
_TILE_TOKENS: Final = 258
_PICTURES: Final = frozenset(
    f"image/{kind}" for kind in ("png", "jpeg", "jpg", "webp", "heic", "heif", "gif", "avif", "bmp")
)

PDF: Final = "application/pdf"

_CONTENT_MEMBERS: Final = frozenset(("role", "parts"))
_PART_MEMBERS: Final = frozenset(
    ("text", "thought", "thoughtSignature", "functionCall", "functionResponse", "inlineData",
     "fileData", "executableCode", "codeExecutionResult", "mediaResolution", "partMetadata")
)  # fmt: skip
_RESULT_MEMBERS: Final = frozenset(
    ("id", "name", "response", "parts", "willContinue", "scheduling")
)
_TEXTS: Final = frozenset(
    ("application/json", "application/xml", "application/javascript", "application/x-javascript",
     "application/typescript", "application/x-python", "application/yaml", "application/rtf")
)  # fmt: skip
# What is stored at Google, and films.
_REFUSED_HOSTS: Final = ("googleapis.com", "google.com", "youtube.com", "youtu.be")


def content_of(document: Mapping[str, Any], _printed: bytes) -> Content:
    """What a call holds beside text. Raises BadRequest."""
    plain = spelling.camel(document)
    found = Content(_OVERHEAD_TOKENS)
    config = plain.get("generationConfig")
    resolution = config.get("mediaResolution") if isinstance(config, dict) else None
    contents = plain.get("contents")
    if not contents:
        raise BadRequest(Code.MISSING_PARAMETER, "The request has no contents.", "contents")
    for content in _objects(contents, "contents"):
        _judge_content(content, found, resolution)
    system = plain.get("systemInstruction")
    if system is not None:
        if not isinstance(system, dict):
            raise wrong_type("systemInstruction", "an object")
        _judge_content(system, found, resolution)
    return found


def cache_write(_printed: bytes) -> CacheWrite:
    """What Google keeps unasked costs nothing; what is asked for is refused."""
    return "none"


def picture_tokens(width: int, height: int) -> int:
    """Tiles with an edge of two thirds of the picture's shorter one: a long strip has many."""
    edge = max(min(width, height) * 2 // 3, _TILE_EDGE)
    tiles = -(-width // edge) * -(-height // edge)
    return max(tiles * _TILE_TOKENS + 100, PICTURE_TOKENS)


def _objects(value: object, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise wrong_type(name, "an array of objects")
    return value


def _judge_content(content: Mapping[str, Any], found: Content, resolution: object) -> None:
    _check_names(content, _CONTENT_MEMBERS)
    for part in _objects(content.get("parts") or [], "parts"):
        _check_names(part, _PART_MEMBERS)
        _judge(part, found, resolution)


def _check_names(holder: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = holder.keys() - known
    if unknown:
        raise unsupported(min(unknown))


def _judge(part: Mapping[str, Any], found: Content, resolution: object) -> None:
    text = part.get("text")
    if text is not None and not isinstance(text, str):
        raise wrong_type("text", "a string")
    if (own := _object(part, "mediaResolution")) is not None:
        resolution = own.get("level") or resolution
        # Tokens as a client would have them.
        found.unbounded |= bool(own.keys() - {"level"})
    if (blob := _object(part, "inlineData")) is not None:
        _judge_blob(blob, found, "" if resolution is None else str(resolution))
    if (file := _object(part, "fileData")) is not None:
        _judge_file(file, found)
    result = _object(part, "functionResponse")
    if result is not None:
        _check_names(result, _RESULT_MEMBERS)
        for inner in _objects(result.get("parts") or [], "parts"):
            if inner.keys() - {"inlineData", "fileData"}:
                raise unsupported("parts")
            _judge(inner, found, resolution)


def _object(holder: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    value = holder.get(name)
    if value is not None and not isinstance(value, dict):
        raise wrong_type(name, "an object")
    return value


def _judge_blob(blob: Mapping[str, Any], found: Content, resolution: str) -> None:
    kind, data = _kind(blob), blob.get("data")
    if not isinstance(data, str):
        raise wrong_type("data", "a string")
    if kind in _PICTURES:
        picture = pictures.of_base64(kind, spelling.base64_of(data), picture_tokens)
        # Padding that we have added is none of the body's bytes.
        encoded_bytes = min(picture.encoded_bytes, len(data))
        picture = picture._replace(encoded_bytes=encoded_bytes, text=data, detail=resolution)
        found.pictures.append(picture)
    elif kind.startswith("audio/"):
        found.hear(spelling.base64_of(data), blob.get("mimeType"))
    elif kind == PDF or kind.startswith("image/"):
        found.unbounded = True
    else:
        # Text in another alphabet than UTF-8 may be any.
        is_plain = ";" not in str(blob.get("mimeType"))
        found.files.append(File(data, _text_in(spelling.base64_of(data)) if is_plain else None))


def _text_in(encoded: str) -> str | None:
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except ValueError:
        return None


def _judge_file(file: Mapping[str, Any], found: Content) -> None:
    kind = _kind(file)
    address = file.get("fileUri")
    if not isinstance(address, str) or not address.startswith(("https://", "http://")):
        raise unsupported("fileData")
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        raise wrong_type("fileUri", "an address") from None
    host = host.rstrip(".")
    if any(host == name or host.endswith(f".{name}") for name in _REFUSED_HOSTS):
        raise unsupported("fileData")
    if kind.startswith("audio/"):
        found.hear(None)
    found.unbounded = True


def _kind(holder: Mapping[str, Any]) -> str:
    """The media type of bytes or of a file: one that costs what text does. Raises BadRequest."""
    kind = holder.get("mimeType")
    if not isinstance(kind, str):
        raise wrong_type("mimeType", "a string")
    kind = kind.partition(";")[0].strip().lower()
    if kind == PDF or kind in _TEXTS or kind.startswith(("image/", "text/", "audio/")):
        return kind
    raise unsupported("mimeType")
