"""Ids, names and kinds of documents that Converse accepts.

Promises: what is fit stays as it is; the same id always becomes the same one, and two ids never
become one by chance; no two documents of a request share a name.
"""

import hashlib
import re
from typing import Final

_ID_MAX: Final = 64
_UNFIT_ID = re.compile(r"[^a-zA-Z0-9_.:-]")
_DIGEST_LENGTH: Final = 8
_NAME_MAX: Final = 180
_UNFIT_NAME = re.compile(r"[^a-zA-Z0-9()\[\]-]+")
_EXTENSION = re.compile(r"\.([a-z]{2,4})$", re.IGNORECASE)
_KINDS: Final = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}


def tool_id(call_id: str) -> str:
    """A call's id in Converse's letters, the same for its result."""
    if 0 < len(call_id) <= _ID_MAX and not _UNFIT_ID.search(call_id):
        return call_id
    digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{_UNFIT_ID.sub('_', call_id)[: _ID_MAX - _DIGEST_LENGTH - 1]}_{digest}"


def document_kind(media_type: str, name: str) -> str:
    """One of Converse's kinds of documents; empty for what is none of them."""
    kind = _KINDS.get(media_type.partition(";")[0].strip().lower())
    if kind is None and not media_type:
        found = _EXTENSION.search(name)
        extension = found[1].lower() if found else "pdf"
        kind = extension if extension in _KINDS.values() else None
    return kind or ""


class DocumentNames:
    """The names of one request's documents."""

    def __init__(self) -> None:
        # How often a name was given, so that none is looked for from the start.
        self._given: dict[str, int] = {}

    def fit(self, name: str) -> str:
        """A name that no other document has, in letters that Converse takes."""
        plain = _UNFIT_NAME.sub(" ", name).strip()[:_NAME_MAX].strip() or "document"
        fitted = plain
        while fitted in self._given:
            self._given[plain] += 1
            fitted = f"{plain} {self._given[plain]}"
        self._given[fitted] = 1
        return fitted
