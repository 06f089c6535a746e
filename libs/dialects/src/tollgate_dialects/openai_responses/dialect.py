"""The dialect of Responses, put together."""

from typing import Final

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.dialect import Dialect
from tollgate_dialects.openai_responses import answer, endpoint, errors, request
from tollgate_dialects.openai_responses.translate.translation import TRANSLATION

OPENAI_RESPONSES: Final = Dialect(
    protocol=Protocol.OPENAI_RESPONSES,
    request=request.RULES,
    answer=answer.RULES,
    errors=errors.SHAPE,
    endpoint=endpoint.ENDPOINT,
    translation=TRANSLATION,
)
