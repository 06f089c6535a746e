"""Ids and names that Anthropic accepts, and arguments as the object that it wants.

Promises: what is fit stays as it is; the same word always becomes the same word, and two words
never become one by chance.
"""

import hashlib
import re
from typing import Any, Final

from tollgate_dialects.common import documents
from tollgate_dialects.conversation.tools import flat_name

# Where what is no JSON object stands inside of one.
WRAPPER: Final = "arguments"
# Where the text of a tool that takes free text stands.
FREE_TEXT: Final = "input"
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


def input_of(arguments: str, *, takes_text: bool) -> dict[str, Any]:
    """Arguments as an object; what is none is wrapped in one."""
    if takes_text:
        return {FREE_TEXT: arguments}
    if not arguments.strip():
        return {}
    try:
        value = documents.read(arguments)
        # What is nested more deeply than can be written is wrapped as well.
        documents.written(value)
    except (ValueError, TypeError):
        return {WRAPPER: arguments}
    if value is None:
        return {}
    return value if isinstance(value, dict) else {WRAPPER: arguments}


def arguments_of(value: object, *, was_wrapped: bool = False) -> str:
    """An input as JSON text. `was_wrapped`: a lone wrapper is not the tool's own."""
    if value is None:
        return "{}"
    if was_wrapped and isinstance(value, dict) and value.keys() == {WRAPPER}:
        text = value[WRAPPER]
        if isinstance(text, str) and input_of(text, takes_text=False) == value:
            return text
    return documents.written(value).decode()
