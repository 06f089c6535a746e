"""Where a text comes from, in Anthropic's words and in the one form's."""

from collections.abc import Mapping
from typing import Any

from tollgate_dialects.conversation.parts import Citation


def read_all(block: Mapping[str, Any]) -> tuple[Citation, ...]:
    """The citations of a text block; none of what is no citation."""
    found = block.get("citations")
    if not isinstance(found, list):
        return ()
    return tuple(read(one) for one in found if isinstance(one, dict))


def read(citation: Mapping[str, Any]) -> Citation:
    """One citation. Anthropic says of which text by where it stands, not by characters."""
    return Citation(
        url=_word(citation, "url") or _word(citation, "source"),
        title=_word(citation, "title") or _word(citation, "document_title"),
        quote=_word(citation, "cited_text"),
    )


def write(citation: Citation) -> dict[str, Any]:
    """One citation: of a page where it has an address, otherwise of the first document."""
    if citation.url:
        return {
            "type": "web_search_result_location",
            "cited_text": citation.quote,
            "url": citation.url,
            "title": citation.title or None,
            "encrypted_index": "",
        }
    return {
        "type": "char_location",
        "cited_text": citation.quote,
        "document_index": 0,
        "document_title": citation.title or None,
        "start_char_index": 0,
        "end_char_index": len(citation.quote),
        "file_id": None,
    }


def _word(citation: Mapping[str, Any], name: str) -> str:
    value = citation.get(name)
    return value if isinstance(value, str) else ""
