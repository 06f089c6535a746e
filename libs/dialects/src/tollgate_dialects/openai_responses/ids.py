"""The ids under which an upstream keeps responses, and who goes on from one.

Promises that an id that is accepted is plain: it can stand in a path, a message and a log.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common.refusal import BadRequest, Code, wrong_type

PREVIOUS: Final = "previous_response_id"
_RESPONSE_ID: Final = re.compile(r"resp_[A-Za-z0-9_-]{1,128}\Z")


def is_id(text: object) -> bool:
    """Whether a text may be the id of a response."""
    return isinstance(text, str) and _RESPONSE_ID.match(text) is not None


def kept_as(response: Mapping[str, Any]) -> str:
    """The id under which the upstream keeps a response; empty: it says that it does not."""
    kept, found = response.get("store"), response.get("id")
    return str(found) if kept is not False and is_id(found) else ""


def is_to_be_kept(document: Mapping[str, Any]) -> bool:
    """Whether a request wants its response kept: OpenAI's default."""
    return document.get("store") is not False


def previous(document: Mapping[str, Any]) -> str:
    """The response that a request goes on from; empty: none. Raises BadRequest."""
    value = document.get(PREVIOUS)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise wrong_type(PREVIOUS, "a string")
    if not is_id(value):
        raise no_id(PREVIOUS)
    return value


def no_id(param: str) -> BadRequest:
    """What stands where an id should is none."""
    return BadRequest(Code.INVALID_VALUE, "The id of a response begins with resp_.", param)


def previous_not_found(response_id: str) -> BadRequest:
    """OpenAI's words and code, by which clients know that they must send the conversation."""
    return BadRequest(
        Code.PREVIOUS_RESPONSE_NOT_FOUND,
        f"Previous response with id '{response_id}' not found.",
        PREVIOUS,
    )


def previous_unreachable(why: str) -> BadRequest:
    """It is there, and cannot be gone on from. `why` is a sentence of our own."""
    return BadRequest(
        Code.UNSUPPORTED_PARAMETER,
        f"{why} Send the whole conversation without previous_response_id.",
        PREVIOUS,
    )
