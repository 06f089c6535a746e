"""The dialect of chat completions, put together."""

from typing import Final

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.dialect import Dialect
from tollgate_dialects.openai_chat import answer, endpoint, errors, request
from tollgate_dialects.openai_chat.translate import translation

OPENAI_CHAT: Final = Dialect(
    protocol=Protocol.OPENAI_CHAT,
    request=request.RULES,
    answer=answer.RULES,
    errors=errors.SHAPE,
    endpoint=endpoint.ENDPOINT,
    translation=translation.TRANSLATION,
)
