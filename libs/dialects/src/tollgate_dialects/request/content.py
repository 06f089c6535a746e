"""How many input tokens a body can make an upstream read.

Promises an upper bound: a byte-level tokenizer makes at most one token of a byte, the JSON around a
text is longer than the template that replaces it, and what an upstream adds on its own is covered
by constants measured on recorded traffic. An inline picture counts by its
pixels instead of its bytes. What neither bounds (a URL, a stored file, a PDF, a kind of part that
is not known here) is reported as unbounded. What the parts of a body are, its dialect knows.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from tollgate_dialects.common.refusal import unsupported, wrong_type
from tollgate_dialects.request import normalisation, pictures, sounds
from tollgate_dialects.request.server_tools import UNTOLD_TOKENS

CacheWrite: TypeAlias = Literal["none", "5m", "1h"]

# Objects that carry content which may cost more than its bytes.
MEDIA = frozenset(
    ("image_url", "image", "input_image", "source", "file", "input_file", "video", "video_url",
     "audio", "audio_url", "input_audio", "image_embeds", "document")
)  # fmt: skip


# What another protocol's upstream may add on its own: at most 1,250 tokens on Bedrock with tools,
# and 700 at compatible vendors.
_TRANSLATED_OVERHEAD_TOKENS: Final = 2_500
# For each object of a body: the names that another protocol has for what is in it.
TRANSLATED_OBJECT_TOKENS: Final = 8


class InputBound(NamedTuple):
    """`tokens` says nothing when `unbounded`."""

    tokens: int
    unbounded: bool
    # Where an upstream of another protocol reads it.
    translated_tokens: int
    # It is for pictures alone that the vendor is to fetch.
    fetches_pictures: bool


class File(NamedTuple):
    """The very string that holds a file of text in base64, and the text; None: not sure."""

    data: str
    text: str | None


class Content:
    """What the parts of a body are, beside text."""

    def __init__(self, overhead_tokens: int) -> None:
        """`overhead_tokens`: hidden prompts of whatever vendor; known ones are calibrated."""
        self.overhead_tokens = overhead_tokens
        # Those of the vendor's own tools.
        self.vendor_tokens = 0
        # Names that each stand for a tool's whole declaration; and the longest of those, in bytes.
        self.references = 0
        self.declaration_bytes = 0
        self.pictures: list[pictures.Picture] = []
        # The vendor is to fetch pictures: only what is known of its model bounds them.
        self.fetches_pictures = False
        # Files of text, each as it stands in the body.
        self.files: list[File] = []
        # Of sound, a part of all tokens, and its bytes, which are no text.
        self.audio_tokens = 0
        self.sound_bytes = 0
        self.unbounded = False

    @property
    def picture_tokens(self) -> int:
        """By the dialect's rules."""
        return sum(picture.tokens for picture in self.pictures)

    def add_url(self, url: object, detail: object = None) -> None:
        """Count a picture that is in a URL, by OpenAI's dearest rule, or that is to be fetched."""
        said = detail if isinstance(detail, str) else ""
        if isinstance(url, str) and url.startswith("data:image/"):
            found = pictures.of_data_url(url, pictures.dearest_tokens)
            self.pictures.append(found._replace(detail=said))
        elif isinstance(url, str) and url.startswith(("https://", "http://")):
            self.pictures.append(pictures.Picture(0, 0, 0, detail=said))
            self.fetches_pictures = True
        else:
            self.unbounded = True

    @property
    def picture_bytes(self) -> int:
        """Those of the body that are pictures and no text."""
        return sum(picture.encoded_bytes for picture in self.pictures)

    def hear(self, data: str | None, declared: object = None) -> None:
        """Count sound in base64 by how long it can last, as what it is declared; None: unknown."""
        tokens = None if data is None else sounds.most_tokens(data, declared)
        if data is None or tokens is None:
            self.unbounded = True
            self.audio_tokens = UNTOLD_TOKENS
            return
        self.audio_tokens += tokens
        # Padding may be ours, and none of the body's.
        self.sound_bytes += len(data.rstrip("="))


def input_bound(body: bytes, printed: bytes, content: Content) -> InputBound:
    """The bound of a body whose parts were looked at; `printed`: parsed and printed by orjson."""
    text_bytes = len(body) - content.sound_bytes
    text_bytes += normalisation.growth(printed) + content.references * content.declaration_bytes
    tokens = text_bytes + content.overhead_tokens + content.vendor_tokens + content.audio_tokens
    translated_tokens = tokens + _TRANSLATED_OVERHEAD_TOKENS
    translated_tokens += TRANSLATED_OBJECT_TOKENS * printed.count(b"{")
    for picture in content.pictures:
        tokens += picture.tokens - picture.encoded_bytes
        translated_tokens += picture.dearest_tokens - picture.encoded_bytes
    fetches = content.fetches_pictures and not content.unbounded
    return InputBound(tokens, content.unbounded or fetches, translated_tokens, fetches)


def contents_of(document: Mapping[str, Any]) -> list[list[Any]]:
    """The contents of all messages that are lists of parts. Refuses audio by its name.

    Raises BadRequest also for content whose shape no protocol has.
    """
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
            # An earlier answer, kept in an account that many share.
            raise unsupported("messages")
    return contents


def kind_of(thing: Mapping[str, Any]) -> str | None:
    """The `type` of a part. Raises BadRequest for one that is no string."""
    kind = thing.get("type")
    if kind is not None and not isinstance(kind, str):
        raise wrong_type("type", "a string")
    return kind


def object_in(part: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A member that is an object; an empty one for whatever else."""
    value = part.get(name)
    return value if isinstance(value, dict) else {}
