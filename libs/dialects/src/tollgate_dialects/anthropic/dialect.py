"""The dialect of messages, put together."""

from typing import Final

from tollgate_dialects.anthropic import answer, endpoint, errors, request
from tollgate_dialects.anthropic.translate.translation import TRANSLATION
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.dialect import Dialect

ANTHROPIC_MESSAGES: Final = Dialect(
    protocol=Protocol.ANTHROPIC_MESSAGES,
    request=request.RULES,
    answer=answer.RULES,
    errors=errors.SHAPE,
    endpoint=endpoint.ENDPOINT,
    translation=TRANSLATION,
)
