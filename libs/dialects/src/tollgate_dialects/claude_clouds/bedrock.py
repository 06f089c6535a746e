"""Claude by Amazon Bedrock's InvokeModel and InvokeModelWithResponseStream.

The model and whether it streams stand in the path, the version and the betas in the body; a stream
is binary, each of its events in base64.
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from tollgate_dialects.anthropic import answer
from tollgate_dialects.anthropic.translate.translation import TRANSLATION
from tollgate_dialects.bedrock import endpoint
from tollgate_dialects.bedrock.framing import EventStreamFraming, in_one_line
from tollgate_dialects.claude import models
from tollgate_dialects.claude_clouds import envelope
from tollgate_dialects.common.aws_eventstream import BrokenMessageError
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.dialect import Enveloped, UpstreamDialect

_VERSION: Final = "bedrock-2023-05-31"
# Older models have that version alone here.
_COMMON_VERSION_FROM: Final = (4, 7)
_BETAS: Final = envelope.BETAS | {
    "computer-use-2024-10-22",
    "dev-full-thinking-2025-05-14",
    "effort-2025-11-24",
    "fine-grained-tool-streaming-2025-05-14",
    "mid-conversation-output-config-2026-07-01",
    "mid-conversation-tool-changes-2026-07-01",
    "output-128k-2025-02-19",
    "token-efficient-tools-2025-02-19",
    "tool-examples-2025-10-29",
}
_CHUNK: Final = "chunk"
_KIND = re.compile(r"[a-z_]{1,64}")


class InvokeFraming(EventStreamFraming):
    """Makes frames of one stream's bytes: those that Anthropic would have sent."""

    def event(self, name: str, payload: bytes) -> bytes:
        if name != _CHUNK:
            return b""  # what Bedrock may add one day; the SDKs read over it as well
        try:
            document = b64decode(orjson.loads(payload)["bytes"], validate=True)
            kind = orjson.loads(document)["type"]
        except (ValueError, KeyError, TypeError):
            raise BrokenMessageError from None
        if not isinstance(kind, str) or not _KIND.fullmatch(kind):
            raise BrokenMessageError
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), in_one_line(document))


def _enveloped(body: bytes, headers: Mapping[str, str], model: str) -> Enveloped:
    betas = envelope.betas(headers, _BETAS, model)
    takes_common = models.named(model).generation >= _COMMON_VERSION_FROM
    version = envelope.version(headers, _VERSION, takes_common=takes_common)
    told: dict[str, Any] = {"anthropic_version": version}
    if betas.kept:
        told["anthropic_beta"] = betas.kept
    written, dropped = envelope.enveloped(body, told, model, betas.kept, ("stream",))
    return Enveloped(written, {}, betas.dropped | dropped)


BEDROCK_INVOKE: Final = UpstreamDialect(
    protocol=Protocol.BEDROCK_INVOKE,
    words_of=Protocol.ANTHROPIC_MESSAGES,
    runs_server_tools=False,
    answer=replace(answer.RULES, framing=InvokeFraming),
    endpoint=endpoint.of("invoke", "invoke-with-response-stream", _enveloped),
    translation=TRANSLATION,
)
