"""Which address a call comes from: the right-most hop that is not a trusted proxy.

Owns the reading of X-Forwarded-For. Promises: without trusted proxies the header means nothing
and the socket's peer counts; a hop that cannot be read is never believed, nor is anything to the
left of it. Never resolves a name.
"""

import functools
import ipaddress
from collections.abc import Iterable, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# More hops than any real chain of proxies has; a longer header is not read at all.
HOPS_MAX = 32


def networks(blocks: Iterable[str]) -> tuple[Network, ...]:
    """CIDR blocks as networks. Raises ValueError for a block that is none."""
    return tuple(ipaddress.ip_network(block) for block in blocks)


def resolve(peer: str, forwarded_for: Sequence[bytes], trusted: Sequence[Network]) -> str:
    """The client's address as text.

    `forwarded_for` holds the X-Forwarded-For header lines in the order received. Each proxy
    appends the peer it saw, so the chain is read from the right, starting at the socket.
    """
    nearest = _address(peer)
    if nearest is None or not trusted or not forwarded_for or not _within(nearest, trusted):
        return _written(peer)
    hops = b",".join(forwarded_for).split(b",")
    if len(hops) > HOPS_MAX:
        return str(nearest)
    for hop in reversed(hops):
        address = _hop(hop)
        if address is None:
            return str(nearest)
        nearest = address
        if not _within(nearest, trusted):
            return str(nearest)
    return str(nearest)


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    """True when the peer is a proxy that speaks for others."""
    address = _address(peer) if trusted else None
    return address is not None and _within(address, trusted)


def holder(address: str) -> str:
    """Whose share it is: an IPv6 client has a whole /64 to itself."""
    parsed = _address(address)
    if parsed is None:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _within(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


def _hop(raw: bytes) -> Address | None:
    """One element of the header: an address, which some proxies write with a port."""
    text = raw.decode("latin-1").strip(" \t")
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or (port and not _is_port(port)):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(f":{port}"):
            return None
    return _address(text)


def _is_port(text: str) -> bool:
    return text.startswith(":") and text[1:].isascii() and text[1:].isdecimal()


@functools.lru_cache(maxsize=4096)
def _written(text: str) -> str:
    """An address in its usual form, whatever else as it is."""
    address = _address(text)
    return text if address is None else str(address)


@functools.lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    if "%" in text:  # a zone names an interface of some other machine
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
