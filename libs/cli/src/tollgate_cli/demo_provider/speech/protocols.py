"""The protocols that there are, and which one a path is of."""

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tollgate_cli.demo_provider.speech.bedrock import Bedrock
from tollgate_cli.demo_provider.speech.chat import Chat
from tollgate_cli.demo_provider.speech.clouds import Invoke, Vertex
from tollgate_cli.demo_provider.speech.dashscope import DashScope
from tollgate_cli.demo_provider.speech.endpoints import (
    Completions,
    Embeddings,
    Moderations,
    Rerank,
)
from tollgate_cli.demo_provider.speech.gemini import Gemini
from tollgate_cli.demo_provider.speech.messages import Messages
from tollgate_cli.demo_provider.speech.responses import Responses
from tollgate_cli.demo_provider.speech.speech import Speech

# By the name that the command line has for each.
PROTOCOLS: Final[Mapping[str, type[Speech]]] = MappingProxyType(
    {spoken.name: spoken for spoken in (Chat, Responses, Messages, Gemini, DashScope, Bedrock)}
)


# Those that `tollgate up` adds no provider for.
ENVELOPES: Final[Mapping[str, type[Speech]]] = MappingProxyType(
    {spoken.name: spoken for spoken in (Invoke, Vertex)}
)
# Paths of providers of chats that no provider has alone.
_ENDPOINTS: Final[tuple[type[Speech], ...]] = (Completions, Embeddings, Moderations, Rerank)


def of(path: str) -> type[Speech] | None:
    """The protocol of a path; None: nobody's."""
    known = itertools.chain(PROTOCOLS.values(), ENVELOPES.values(), _ENDPOINTS)
    return next((spoken for spoken in known if spoken.path.fullmatch(path)), None)
