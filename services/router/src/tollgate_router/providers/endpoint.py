"""How a provider is spoken to: its address, and the headers of every call with a key.

What differs between protocols is the dialect's. Promises that nothing of the client's reaches an
upstream header but what its dialect passes on.
"""

import re
from collections.abc import Mapping

from tollgate_dialects.dialect import Asked, Enveloped, UpstreamEndpoint
from tollgate_router.providers.base_url import BaseUrl

USER_AGENT = "tollgate/0.1"
# What an HTTP header value may hold; a key with a line break would be a second header.
_KEY = re.compile(r"[\x21-\x7e]{1,4096}")


def url(address: BaseUrl, spoken: UpstreamEndpoint, asked: Asked) -> str:
    """Where a call goes. Base URLs are written as each protocol's SDK takes them."""
    return f"{address}{spoken.path_below(address.path, asked)}"


def target(address: BaseUrl, spoken: UpstreamEndpoint, asked: Asked) -> str:
    """The same without scheme, host and port: what stands in a request's first line."""
    return url(address, spoken, asked).removeprefix(address.origin)


def enveloped(
    spoken: UpstreamEndpoint, body: bytes, headers: Mapping[str, str], model: str
) -> Enveloped:
    """A request with what the cloud wants around it; `model` is the upstream's name."""
    if spoken.envelope is None:
        return Enveloped(body, headers)
    return spoken.envelope(body, headers, model)


def is_sendable_key(key: str) -> bool:
    """True when the key can stand in a header."""
    return _KEY.fullmatch(key) is not None


def headers(vouching: Mapping[str, str]) -> dict[str, str]:
    """The headers of every call with an upstream key, by those that the key makes."""
    return {
        "User-Agent": USER_AGENT,
        "Content-Type": "application/json",
        "Accept": "*/*",
        # Encoded answers would have to be decoded before they can be metered: a bomb's way in.
        "Accept-Encoding": "identity",
        **vouching,
    }
