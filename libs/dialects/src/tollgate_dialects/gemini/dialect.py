"""The dialect of generateContent, put together."""

from typing import Final

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.dialect import Dialect
from tollgate_dialects.gemini import answer, endpoint, errors, request
from tollgate_dialects.gemini.translate.translation import TRANSLATION

GEMINI: Final = Dialect(
    protocol=Protocol.GEMINI,
    request=request.RULES,
    answer=answer.RULES,
    errors=errors.SHAPE,
    endpoint=endpoint.ENDPOINT,
    translation=TRANSLATION,
)
