"""Embeddings: texts in, vectors out.

Each text is read within the model's own limit, so the limit of a request is that many times as
much. What is no text (pictures, as some vendors take them) has no price here and is refused.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.answer.schema import FACTS, WHOLE, are_objects, scalars
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest, Code
from tollgate_dialects.openai_endpoints import shape
from tollgate_dialects.request.content import Content

_ANSWER: Final = {
    **scalars("id object created model"),
    "data": [{**scalars("object index"), "embedding": WHOLE, "embeddings": WHOLE}],
    "usage": FACTS,
}


def _texts(document: Mapping[str, Any]) -> int:
    if document.get("input") is None:
        raise BadRequest(Code.MISSING_PARAMETER, "input is required.", "input")
    return shape.texts_of(document["input"], "input")


def _content(document: Mapping[str, Any], _printed: bytes) -> Content:
    return Content(shape.OVERHEAD_TOKENS + shape.TEXT_TOKENS * _texts(document))


EMBEDDINGS: Final = shape.dialect(
    Protocol.OPENAI_EMBEDDINGS,
    "/embeddings",
    shape.requests(content=_content, texts=_texts, top=("input",)),
    shape.answers(body=_ANSWER, is_body=lambda document: are_objects(document.get("data"))),
)
