"""How a provider of each protocol is spoken to: path, headers, and what may be passed on.

Owns the mapping protocol -> (path, auth header, protocol headers). Promises that nothing of the
client's reaches an upstream header but well-formed protocol headers.
"""

import re
from collections.abc import Mapping

from tollgate_dialects.common.protocol import Protocol, forwarded_betas
from tollgate_router.providers.base_url import BaseUrl

USER_AGENT = "tollgate/0.1"
ANTHROPIC_VERSION = "2023-06-01"
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}")
# What an HTTP header value may hold; a key with a line break would be a second header.
_KEY = re.compile(r"[\x21-\x7e]{1,4096}")


def url(address: BaseUrl, protocol: Protocol) -> str:
    """Where calls of the protocol go. Base URLs are written as each protocol's SDK takes them.

    The OpenAI SDK's base URL includes the version; Anthropic's does not, but may be given with it.
    """
    if protocol is Protocol.OPENAI_CHAT:
        return f"{address}/chat/completions"
    version = "" if address.path.endswith("/v1") else "/v1"
    return f"{address}{version}/messages"


def is_sendable_key(key: str) -> bool:
    """True when the key can stand in a header."""
    return _KEY.fullmatch(key) is not None


def headers(protocol: Protocol, key: str) -> dict[str, str]:
    """The headers of every call with this key."""
    common = {
        "User-Agent": USER_AGENT,
        "Content-Type": "application/json",
        "Accept": "*/*",
        # Encoded answers would have to be decoded before they can be metered: a bomb's way in.
        "Accept-Encoding": "identity",
    }
    if protocol is Protocol.OPENAI_CHAT:
        return common | {"Authorization": f"Bearer {key}"}
    return common | {"x-api-key": key, "anthropic-version": ANTHROPIC_VERSION}


def passed_on(protocol: Protocol, protocol_headers: Mapping[str, str]) -> dict[str, str]:
    """The client's protocol headers that go upstream; malformed ones do not."""
    if protocol is not Protocol.ANTHROPIC_MESSAGES or not protocol_headers:
        return {}
    passed: dict[str, str] = {}
    version = protocol_headers.get("anthropic-version", "")
    if _VERSION.fullmatch(version):
        passed["anthropic-version"] = version
    if betas := forwarded_betas(protocol_headers.get("anthropic-beta", "")).kept:
        passed["anthropic-beta"] = betas
    return passed
