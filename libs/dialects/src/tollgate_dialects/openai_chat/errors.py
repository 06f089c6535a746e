"""How a client of chats is told of an error."""

from typing import Final

from tollgate_dialects.common import openai_errors
from tollgate_dialects.dialect import ErrorShape


def _event(body: bytes) -> bytes:
    """SDKs raise on a chunk with a top-level error; nothing follows it, [DONE] neither."""
    return b"data: " + body + b"\n\n"


SHAPE: Final = ErrorShape(
    kinds=openai_errors.KINDS,
    codes=openai_errors.CODES,
    params=openai_errors.CHAT_PARAMS,
    event=_event,
    too_long=openai_errors.TOO_LONG,
)
