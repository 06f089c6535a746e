"""Where messages are made, and which of a client's versions and betas go there."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from tollgate_dialects.dialect import Asked, Endpoint, PassedHeaders

# What is spoken where a client names no version.
VERSION: Final = "2023-06-01"
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}")
# Betas that change what a token costs or how many may be read, by header alone: the body that was
# priced would not show it. Fast mode's is none of them: `speed` in the body asks for it.
_PRICED_BETA_PREFIXES = ("context-1m-",)
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


def _passed_on(headers: Mapping[str, str]) -> PassedHeaders:
    """Versions and betas that are well formed and change no price."""
    passed: dict[str, str] = {}
    version = headers.get("anthropic-version", "")
    if _VERSION.fullmatch(version):
        passed["anthropic-version"] = version
    betas = forwarded_betas(headers.get("anthropic-beta", ""))
    if betas.kept:
        passed["anthropic-beta"] = betas.kept
    return PassedHeaders(passed, betas.dropped)


def _path_below(base_path: str, _asked: Asked) -> str:
    """The base URL of Anthropic's SDK has no version, but may be given with it."""
    return "/messages" if base_path.endswith("/v1") else "/v1/messages"


ENDPOINT: Final = Endpoint(
    path="/v1/messages",
    path_below=_path_below,
    key_headers=lambda key: {"x-api-key": key, "anthropic-version": VERSION},
    told_by=b"anthropic-version",
    passed_on=_passed_on,
)
