"""Moderations: verdicts on texts and pictures. Free at OpenAI; charged where the model has a price.

No upstream reports what it read: a model with a price is charged by an estimate.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.answer.schema import FACTS, are_objects, scalars
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest, Code, wrong_type
from tollgate_dialects.openai_endpoints import shape
from tollgate_dialects.request.content import Content, kind_of

_RESULT: Final = {
    **scalars("flagged"),
    "categories": FACTS,
    "category_scores": FACTS,
    "category_applied_input_types": FACTS,
}
_ANSWER: Final = {**scalars("id model object"), "results": [_RESULT], "usage": FACTS}


def _parts(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parts of an input that is made of parts."""
    value = document.get("input")
    return value if value and are_objects(value) else []


def _texts(document: Mapping[str, Any]) -> int:
    value = document.get("input")
    if value is None:
        raise BadRequest(Code.MISSING_PARAMETER, "input is required.", "input")
    parts = _parts(document)
    return max(1, len(parts)) if parts else shape.texts_of(value, "input")


def _content(document: Mapping[str, Any], _printed: bytes) -> Content:
    found = Content(shape.OVERHEAD_TOKENS + shape.TEXT_TOKENS * _texts(document))
    for part in _parts(document):
        kind = kind_of(part)
        if kind not in ("text", "image_url"):
            raise wrong_type("input", "made of texts and pictures")
        # What a picture costs here no vendor says: the model's own limit bounds it.
        found.unbounded = found.unbounded or kind == "image_url"
    return found


MODERATIONS: Final = shape.dialect(
    Protocol.OPENAI_MODERATIONS,
    "/moderations",
    shape.requests(content=_content, texts=_texts, top=("input",), roots=("input",)),
    shape.answers(body=_ANSWER, is_body=lambda document: are_objects(document.get("results"))),
)
