"""What stands around a message at another cloud, and which of a client's betas are known there.

Promises that every member of the client's that goes up goes up byte for byte but for what the cloud
refuses (`extras.py`), and that versions and betas of a body are never the client's own: there a
beta could make tokens cost more.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import orjson

from tollgate_dialects.claude import models
from tollgate_dialects.claude_clouds import extras
from tollgate_dialects.common import members

# Told here, whatever a client wrote there.
_OURS: Final = frozenset(("model", "anthropic_version", "anthropic_beta"))
# How Anthropic itself is to serve a message. A cloud's own ways of serving have other names, and
# other prices.
_SERVING: Final = frozenset(("service_tier", "speed", "inference_geo"))
# Betas that both clouds take, by LiteLLM's table and AWS's own list; others are refused there
# ("invalid beta flag"), and most clients send one.
BETAS: Final = frozenset(
    (
        "compact-2026-01-12",
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "context-management-2025-06-27",
        "dangerous-tool-use-2026-09-03",
        "interleaved-thinking-2025-05-14",
        "thinking-binding-controls-2026-08-01",
        "thinking-display-updates-2026-08-18",
        "tool-search-tool-2025-10-19",
    )
)
# What Anthropic calls otherwise.
_RENAMED: Final = {"advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19"}
# Other models refuse it here, and the newer ones do so unasked.
_INTERLEAVED: Final = "interleaved-thinking-2025-05-14"
_INTERLEAVES_FROM: Final = (4, 0)


# Since this one a version has the same name at Anthropic and at the clouds, which before called
# theirs by names of their own: https://platform.claude.com/docs/en/api/versioning
_COMMON_SINCE: Final = "2026-10-21"


def version(headers: Mapping[str, str], own: str, *, takes_common: bool = True) -> str:
    """The version that a client speaks, by a cloud's name for it; its `own` first one else."""
    asked = headers.get("anthropic-version", "")
    return asked if takes_common and asked >= _COMMON_SINCE else own


class Betas(NamedTuple):
    """`kept` in the client's order; `dropped` by plain words."""

    kept: list[str]
    dropped: frozenset[str]


def betas(headers: Mapping[str, str], known: frozenset[str], model: str) -> Betas:
    """Of the betas that a client asked for, those that a cloud takes for a model."""
    takes = known if _interleaves(model) else known - {_INTERLEAVED}
    asked = [flag for flag in headers.get("anthropic-beta", "").split(",") if flag]
    named = [(flag, _RENAMED.get(flag, flag)) for flag in asked]
    return Betas(
        list(dict.fromkeys(name for _, name in named if name in takes)),
        frozenset(f"betas.{flag}" for flag, name in named if name not in takes),
    )


def _interleaves(model: str) -> bool:
    named = models.named(model)
    return named.generation >= _INTERLEAVES_FROM and not named.is_adaptive


def enveloped(
    body: bytes,
    told: Mapping[str, object],
    model: str,
    betas: list[str],
    leaves: Iterable[str] = (),
) -> tuple[bytes, frozenset[str]]:
    """A message's body with what is told first, without its model and these members.

    And the names of what a cloud is not asked for: with these betas, of such a model.
    """
    whole = body.decode("latin-1")  # a character is a byte
    text, extra = extras.without(whole, models.named(model), betas)
    found = [
        (name, text[start:end].encode("latin-1")) for name, start, _, end in members.scan(text)
    ]
    left_out = _OURS | _SERVING | frozenset(leaves)
    kept = [member for name, member in found if name not in left_out]
    first = [b"%b:%b" % (orjson.dumps(name), orjson.dumps(value)) for name, value in told.items()]
    written = b"{%b}" % b",".join(first + kept)
    return written, extra | (_SERVING & {name for name, _ in found})
