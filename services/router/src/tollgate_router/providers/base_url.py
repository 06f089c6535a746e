"""What may be the address of a provider.

Owns the rule: https (http only to this machine), a plain host, no user, no query, no fragment,
and nothing inside the operator's network unless the deployment says so. The table of addresses
is our own: the standard library calls NAT64, 6to4 and IPv4-compatible forms of 127.0.0.1 global.
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LENGTH_MAX = 512
_PLAIN = re.compile(r"[!#$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]+")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")
_HOST_MAX = 253
_PORTS = {"https": 443, "http": 80}

# Never a provider, whatever the deployment allows: metadata services, nobody, everybody.
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "fe80::/10",
        "ff00::/8",
        "fd00:ec2::/32",
        # Forms that hide an IPv4 address inside an IPv6 one.
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
    )
)
_PRIVATE_V4 = tuple(
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
    )
)
# Of IPv6 only global unicast is public, without the ranges set apart inside it.
_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
_PRIVATE_V6 = tuple(
    ipaddress.ip_network(text) for text in ("2001::/23", "2001:db8::/32", "3fff::/20")
)
_PRIVATE_NAMES = ("localhost", "local", "internal", "lan", "home", "corp", "private", "home.arpa")


class BadBaseUrl(ValueError):  # noqa: N818 - the sentence reads "is a bad base URL"
    """The address is not allowed. `why` names the rule and never repeats the address."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """A checked address, in its one spelling."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """scheme://host:port, always with the port: what an encrypted key is bound to."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def __str__(self) -> str:
        return self.origin + self.path


def parse(text: str, *, allow_private: bool) -> BaseUrl:
    """The address of a provider. Raises BadBaseUrl."""
    if len(text) > LENGTH_MAX:
        raise BadBaseUrl("too long")
    if not _PLAIN.fullmatch(text):
        raise BadBaseUrl("not plain ASCII without spaces")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadBaseUrl("not a URL") from None
    if parts.scheme not in _PORTS:
        raise BadBaseUrl("neither https nor http")
    if "@" in parts.netloc:
        raise BadBaseUrl("has a user")
    if "?" in text or "#" in text:
        raise BadBaseUrl("has a query or a fragment")
    if port == 0 or parts.netloc.endswith(":"):
        raise BadBaseUrl("has no usable port")
    if not _PATH.fullmatch(parts.path) or any(p in (".", "..") for p in parts.path.split("/")):
        raise BadBaseUrl("has an unusual path")
    host = (parts.hostname or "").lower()
    _check_host(host, scheme=parts.scheme, allow_private=allow_private)
    return BaseUrl(parts.scheme, host, port or _PORTS[parts.scheme], parts.path.rstrip("/"))


def _check_host(host: str, *, scheme: str, allow_private: bool) -> None:
    address = _literal(host)
    if address is not None:
        if not may_connect(address, allow_private=allow_private):
            raise BadBaseUrl("an address inside the network")
    elif not allow_private and ("." not in host or _is_private_name(host)):
        raise BadBaseUrl("a name inside the network")
    if scheme == "http" and not is_loopback(host):
        raise BadBaseUrl("http to another machine")


def _literal(host: str) -> Address | None:
    """The address that host spells; None for a name. Odd spellings of addresses are refused."""
    if ":" in host:
        try:
            return ipaddress.IPv6Address(host)
        except ValueError:
            raise BadBaseUrl("not an IPv6 address") from None
    labels = host.split(".")
    last = labels[-1]
    # Resolvers read 2130706433, 0x7f.1 and 0177.0.0.1 as addresses; so they are no names here.
    if last.isdecimal() or last.startswith("0x"):
        try:
            return ipaddress.IPv4Address(host)
        except ValueError:
            raise BadBaseUrl("an unusual spelling of an address") from None
    if len(host) > _HOST_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadBaseUrl("not a host name")
    return None


def _is_private_name(host: str) -> bool:
    return any(host == name or host.endswith("." + name) for name in _PRIVATE_NAMES)


def is_loopback(host: str) -> bool:
    """True when host spells this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def may_connect(address: Address, *, allow_private: bool) -> bool:
    """Whether a provider may be at this address. Asked of literals and of every resolved name."""
    if any(address in network for network in _NEVER):
        return False
    if allow_private:
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _PRIVATE_V4)
    return address in _PUBLIC_V6 and not any(address in network for network in _PRIVATE_V6)
