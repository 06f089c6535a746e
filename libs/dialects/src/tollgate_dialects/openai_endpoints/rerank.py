"""Rerank: a query and documents in, their order out, in the shape of Jina and Cohere.

The query is read once more with each document, and so it counts in the bound. Charged by tokens:
Cohere's price of a search cannot be said here.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from tollgate_dialects.answer import reported
from tollgate_dialects.answer.schema import FACTS, WHOLE, are_objects, scalars
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest, Code, wrong_type
from tollgate_dialects.openai_endpoints import shape
from tollgate_dialects.request import normalisation
from tollgate_dialects.request.content import Content

_ANSWER: Final = {
    **scalars("id object model"),
    "results": [{**scalars("index relevance_score"), "document": WHOLE}],
    "usage": FACTS,
    "meta": FACTS,
}


def _texts(document: Mapping[str, Any]) -> int:
    documents = document.get("documents")
    if not isinstance(document.get("query"), str):
        raise wrong_type("query", "a text")
    is_list = isinstance(documents, list) and bool(documents)
    if not is_list or not all(
        isinstance(each, str) or (isinstance(each, dict) and _is_text(each))
        for each in documents or ()
    ):
        raise wrong_type("documents", "an array of texts")
    assert isinstance(documents, list)
    if len(documents) > shape.TEXTS_MAX:
        raise BadRequest(
            Code.INVALID_VALUE, f"At most {shape.TEXTS_MAX} texts in one request.", "documents"
        )
    return len(documents)


def _is_text(document: Mapping[str, Any]) -> bool:
    """Whether an object is a document of texts: pictures cost more than their bytes."""
    return all(isinstance(value, str | int | float | None) for value in document.values()) and not (
        document.keys() & {"image", "image_url", "video", "audio"}
    )


def _content(document: Mapping[str, Any], _printed: bytes) -> Content:
    texts = _texts(document)
    query = orjson.dumps(document["query"])
    query_bytes = len(query) + normalisation.growth(query)
    return Content(shape.OVERHEAD_TOKENS + (shape.TEXT_TOKENS + query_bytes) * texts)


def _report(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """In `usage`, or in Cohere's `meta.tokens`."""
    if (found := reported.found_in(document)) is not None:
        return found
    meta = document.get("meta")
    tokens = meta.get("tokens") if isinstance(meta, dict) else None
    return tokens if isinstance(tokens, dict) and tokens else None


RERANK: Final = shape.dialect(
    Protocol.RERANK,
    "/rerank",
    shape.requests(content=_content, texts=_texts, top=("query", "documents")),
    shape.answers(
        body=_ANSWER,
        is_body=lambda document: are_objects(document.get("results")),
        report=_report,
    ),
)
