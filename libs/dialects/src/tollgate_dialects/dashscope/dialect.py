"""The dialect of generations, put together."""

from typing import Final

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.dashscope import answer, endpoint, errors, request
from tollgate_dialects.dashscope.translate.translation import TRANSLATION
from tollgate_dialects.dialect import Dialect

DASHSCOPE: Final = Dialect(
    protocol=Protocol.DASHSCOPE,
    request=request.RULES,
    answer=answer.RULES,
    errors=errors.SHAPE,
    endpoint=endpoint.ENDPOINT,
    translation=TRANSLATION,
)
