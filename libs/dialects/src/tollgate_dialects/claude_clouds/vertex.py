"""Claude by Google Cloud's Vertex: the model stands in the path, the version in the body."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from tollgate_dialects.anthropic import answer
from tollgate_dialects.anthropic.translate.translation import TRANSLATION
from tollgate_dialects.claude import models
from tollgate_dialects.claude_clouds import envelope
from tollgate_dialects.common import google_account
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.dialect import Asked, Enveloped, UpstreamDialect, UpstreamEndpoint

_VERSION: Final = "vertex-2023-10-16"
_BETAS: Final = envelope.BETAS | {
    "inline-tools-2026-09-15",
    "per-turn-control-2026-07-01",
    "web-search-2025-03-05",
}
# One model takes an effort by a beta alone, and others refuse that beta:
# https://github.com/BerriAI/litellm/issues/18241
_EFFORT: Final = frozenset(("effort-2025-11-24",))
_EFFORT_FOR: Final = models.Model("opus", (4, 5))


def _path_below(_base_path: str, asked: Asked) -> str:
    """Below a project's publisher, which a base URL names: as in claude-sonnet-4-5@20250929."""
    verb = "streamRawPredict" if asked.stream else "rawPredict"
    return f"/models/{quote(asked.model, safe='@')}:{verb}"


def _enveloped(body: bytes, headers: Mapping[str, str], model: str) -> Enveloped:
    known = _BETAS | _EFFORT if models.named(model) == _EFFORT_FOR else _BETAS
    betas = envelope.betas(headers, known, model)
    sent = {"anthropic-beta": ",".join(betas.kept)} if betas.kept else {}
    told = {"anthropic_version": envelope.version(headers, _VERSION)}
    written, dropped = envelope.enveloped(body, told, model, betas.kept)
    return Enveloped(written, sent, betas.dropped | dropped)


VERTEX_ANTHROPIC: Final = UpstreamDialect(
    protocol=Protocol.VERTEX_ANTHROPIC,
    words_of=Protocol.ANTHROPIC_MESSAGES,
    answer=answer.RULES,
    endpoint=UpstreamEndpoint(
        path_below=_path_below,
        is_one_path=False,
        key_headers=lambda key: {"x-goog-api-key": key},
        secrets_in=google_account.secrets_in,
        account=google_account.parse,
        envelope=_enveloped,
    ),
    translation=TRANSLATION,
)
