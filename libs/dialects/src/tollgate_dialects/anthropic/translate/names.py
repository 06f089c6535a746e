"""Ids and names that Anthropic accepts.

Promises: what is fit stays as it is; the same word always becomes the same word, and two words
never become one by chance.
"""

import hashlib
import re
from typing import Final

from tollgate_dialects.conversation.tools import flat_name

_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")
_DIGEST_LENGTH: Final = 8


def tool_id(call_id: str) -> str:
    """A call's id in Anthropic's letters, the same for its result."""
    if call_id and not _UNFIT.search(call_id):
        return call_id
    digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_UNFIT.sub('_', call_id)}_{digest[:_DIGEST_LENGTH]}"


def tool_name(name: str, namespace: str = "") -> str:
    """A tool's name in Anthropic's letters; that of its group stands before it."""
    return flat_name(namespace, name)
