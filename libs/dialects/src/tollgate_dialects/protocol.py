"""The wire protocols that a client may speak, and what of their headers bears on price.

Owns the names. Never reads a body: that is `request`.
"""

import enum
from collections.abc import Iterable


class Protocol(enum.Enum):
    """A client protocol; upstreams of the same protocol get the client's bytes."""

    OPENAI_CHAT = "openai.chat"
    ANTHROPIC_MESSAGES = "anthropic.messages"


# Betas that change what a token costs or how many may be read, by header alone: the body that was
# priced would not show it.
_PRICED_BETA_PREFIXES = ("context-1m-", "fast-mode-")


def forwarded_betas(values: Iterable[str]) -> str:
    """The client's `anthropic-beta` as it goes upstream: without those that bear on price."""
    names = (name.strip() for value in values for name in value.split(","))
    return ",".join(
        name for name in names if name and not name.lower().startswith(_PRICED_BETA_PREFIXES)
    )
