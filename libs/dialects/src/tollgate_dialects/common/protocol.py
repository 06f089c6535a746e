"""The wire protocols that a client may speak, and what of their headers bears on price.

Owns the names. Never reads a body: that is `request`.
"""

import enum
import re
from typing import Final, NamedTuple


class Protocol(enum.Enum):
    """A client protocol; upstreams of the same protocol get the client's bytes."""

    OPENAI_CHAT = "openai.chat"
    ANTHROPIC_MESSAGES = "anthropic.messages"

    # Members are singletons: their identity is a hash, and Enum's own runs in Python.
    __hash__ = object.__hash__


# Betas that change what a token costs or how many may be read, by header alone: the body that was
# priced would not show it.
_PRICED_BETA_PREFIXES = ("context-1m-", "fast-mode-")


_BETA = re.compile(r"[A-Za-z0-9._-]{1,100}")
_BETAS_MAX: Final = 64


class Betas(NamedTuple):
    """`kept` is the header that goes upstream, empty for none; `dropped` may be any text."""

    kept: str
    dropped: tuple[str, ...]


def forwarded_betas(value: str) -> Betas:
    """The client's `anthropic-beta` as it goes upstream.

    Dropped, each alone: flags that bear on price, malformed ones, and those after the 64th.
    """
    kept: dict[str, None] = {}
    dropped: dict[str, None] = {}
    for name in filter(None, map(str.strip, value.split(","))):
        if name in kept:
            continue
        is_fit = _BETA.fullmatch(name) and not name.lower().startswith(_PRICED_BETA_PREFIXES)
        (kept if is_fit and len(kept) < _BETAS_MAX else dropped)[name] = None
    return Betas(",".join(kept), tuple(dropped))
