"""The dialects that there are, by protocol: looked up once, where a call enters or leaves."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tollgate_dialects.anthropic.dialect import ANTHROPIC_MESSAGES
from tollgate_dialects.bedrock_converse.dialect import BEDROCK_CONVERSE
from tollgate_dialects.claude_clouds.bedrock import BEDROCK_INVOKE
from tollgate_dialects.claude_clouds.vertex import VERTEX_ANTHROPIC
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.dashscope.dialect import DASHSCOPE
from tollgate_dialects.dialect import Dialect, UpstreamDialect
from tollgate_dialects.gemini.dialect import GEMINI
from tollgate_dialects.openai_chat.dialect import OPENAI_CHAT
from tollgate_dialects.openai_endpoints.completions import COMPLETIONS
from tollgate_dialects.openai_endpoints.embeddings import EMBEDDINGS
from tollgate_dialects.openai_endpoints.moderations import MODERATIONS
from tollgate_dialects.openai_endpoints.rerank import RERANK
from tollgate_dialects.openai_responses.dialect import OPENAI_RESPONSES

# Those that clients speak.
DIALECTS: Final[Mapping[Protocol, Dialect]] = MappingProxyType(
    {
        dialect.protocol: dialect
        for dialect in (
            OPENAI_CHAT,
            OPENAI_RESPONSES,
            ANTHROPIC_MESSAGES,
            GEMINI,
            DASHSCOPE,
            COMPLETIONS,
            EMBEDDINGS,
            MODERATIONS,
            RERANK,
        )
    }
)
# Those that upstreams speak: all there are.
UPSTREAM_DIALECTS: Final[Mapping[Protocol, UpstreamDialect]] = MappingProxyType(
    {
        **DIALECTS,
        **{each.protocol: each for each in (BEDROCK_CONVERSE, BEDROCK_INVOKE, VERTEX_ANTHROPIC)},
    }
)
