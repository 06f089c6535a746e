"""The addresses that a text is taken from, both ways."""

from collections.abc import Mapping
from typing import Any

from tollgate_dialects.common import shapes
from tollgate_dialects.conversation.parts import Citation


def read(note: Mapping[str, Any]) -> Citation | None:
    """Where a text comes from; None for a stored file, which only its vendor has."""
    if shapes.text(note, "type") != "url_citation":
        return None
    start, end = shapes.whole_number(note, "start_index"), shapes.whole_number(note, "end_index")
    # Who does not know it, writes zeros.
    is_known = start is not None and end is not None and end > start >= 0
    return Citation(
        url=shapes.text(note, "url"),
        title=shapes.text(note, "title"),
        start=start if is_known else None,
        end=end if is_known else None,
    )


def write(citation: Citation) -> dict[str, Any]:
    """A citation as an annotation; zeros stand for what is not known."""
    return {
        "type": "url_citation",
        "url": citation.url,
        "title": citation.title,
        "start_index": citation.start or 0,
        "end_index": citation.end or 0,
    }
