"""Arguments of calls as the object that some protocols want, and back.

Promises: what is no JSON object is wrapped in one, and comes back as it was.
"""

from typing import Any, Final

from tollgate_dialects.common import documents

# Where what is no JSON object stands inside of one.
WRAPPER: Final = "arguments"
# Where the text of a tool that takes free text stands.
FREE_TEXT: Final = "input"


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


def object_text(arguments: str) -> str:
    """Arguments as the text of an object, for who parses it; what is one stays as it was written.

    A model's broken text stays in the conversation, and would be refused in each later turn.
    """
    try:
        if isinstance(documents.read(arguments), dict):
            return arguments
    except (ValueError, TypeError):
        pass
    return documents.written(input_of(arguments, takes_text=False)).decode()


def arguments_of(value: object, *, was_wrapped: bool = False) -> str:
    """An input as JSON text. `was_wrapped`: a lone wrapper is not the tool's own."""
    if value is None:
        return "{}"
    if was_wrapped and isinstance(value, dict) and value.keys() == {WRAPPER}:
        text = value[WRAPPER]
        if isinstance(text, str) and input_of(text, takes_text=False) == value:
            return text
    return documents.written(value).decode()
