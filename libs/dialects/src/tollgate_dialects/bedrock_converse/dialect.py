"""The dialect of Converse, put together."""

from typing import Final

from tollgate_dialects.bedrock_converse import answer, endpoint
from tollgate_dialects.bedrock_converse.translate.translation import TRANSLATION
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.dialect import UpstreamDialect

BEDROCK_CONVERSE: Final = UpstreamDialect(
    protocol=Protocol.BEDROCK_CONVERSE,
    answer=answer.RULES,
    endpoint=endpoint.ENDPOINT,
    translation=TRANSLATION,
)
