"""May this key make this call? The decision, from facts that were read and an instant.

Owns the order of the rules and what a grant carries. Promises that a key proven bad is told apart
from a good key that may not do this; a decision is never good for longer than the key is.
Never reads a clock or a store.
"""

import functools
import ipaddress
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tollgate_authz.tenants.directory import Key, KeyState, Subject, UnixMs

MAX_AGE_MS: Final = 30_000
_PERIOD_MS: Final = 60_000
_MAPPED_BITS: Final = 96  # ::ffff:0:0/96 holds IPv4

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Reason(Enum):
    """Why a key was refused."""

    UNKNOWN_KEY = "unknown_key"
    REVOKED = "revoked"
    EXPIRED = "expired"
    DISABLED = "disabled"
    TENANT_SUSPENDED = "tenant_suspended"
    IP_NOT_ALLOWED = "ip_not_allowed"
    MODEL_NOT_ALLOWED = "model_not_allowed"


# An operator can turn these back into an allow, and nothing is pushed when one does.
_MAY_END_SOON: Final = frozenset({Reason.DISABLED, Reason.TENANT_SUSPENDED})


class RateUnit(Enum):
    """What a bucket counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """`count` per `period_ms`, at most `burst` at once."""

    bucket: str
    unit: RateUnit
    burst: int
    count: int
    period_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The call may be made, under these accounts and limits."""

    tenant_id: str
    key_id: str
    budget_account_ids: tuple[str, ...]  # narrowest first
    rate_limits: tuple[RateLimit, ...]
    allowed_models: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A grant or a reason, and how long it may be reused."""

    outcome: Grant | Reason
    max_age_ms: int


def decide(
    subject: Subject | None, *, model: str, client_ip: Address | None, now: UnixMs
) -> Decision:
    """The decision. `subject` is None unless the presented key was proven to be its key."""
    reason = _refusal(subject, model, client_ip, now)
    if reason is not None:
        return Decision(outcome=reason, max_age_ms=0 if reason in _MAY_END_SOON else MAX_AGE_MS)
    assert subject is not None, "a key that is not proven is refused"
    key = subject.key
    left = MAX_AGE_MS if key.expire_unix_ms is None else key.expire_unix_ms - now
    assert left > 0, "an expired key is refused"
    return Decision(outcome=_grant(subject), max_age_ms=min(MAX_AGE_MS, left))


def _refusal(
    subject: Subject | None, model: str, client_ip: Address | None, now: UnixMs
) -> Reason | None:
    """The first rule that refuses: the key itself, then its tenant, then this call."""
    if subject is None:
        return Reason.UNKNOWN_KEY
    key = subject.key
    rules = (
        (key.state is KeyState.REVOKED, Reason.REVOKED),
        (key.expire_unix_ms is not None and key.expire_unix_ms <= now, Reason.EXPIRED),
        (key.state is KeyState.DISABLED, Reason.DISABLED),
        (not subject.tenant_enabled, Reason.TENANT_SUSPENDED),
        (not address_allowed(client_ip, key.ip_allowlist), Reason.IP_NOT_ALLOWED),
        (not model_allowed(model, key.allowed_models), Reason.MODEL_NOT_ALLOWED),
    )
    return next((reason for broken, reason in rules if broken), None)


def _grant(subject: Subject) -> Grant:
    """Whether an account has a limit is budget's to know: each call is counted on all of them."""
    key = subject.key
    accounts = [f"key:{key.key_id}"]
    if key.group_id is not None:
        accounts.append(f"group:{key.group_id}")
    accounts.append(f"tenant:{key.tenant_id}")
    return Grant(
        tenant_id=key.tenant_id,
        key_id=key.key_id,
        budget_account_ids=tuple(accounts),
        rate_limits=rate_limits(key),
        allowed_models=key.allowed_models,
    )


def rate_limits(key: Key) -> tuple[RateLimit, ...]:
    """The key's buckets, by name; budget puts a tenant's buckets in one slot of a Redis cluster."""
    wanted = (
        (RateUnit.REQUESTS, key.requests_per_minute),
        (RateUnit.TOKENS, key.tokens_per_minute),
    )
    return tuple(
        RateLimit(
            bucket=f"key:{key.key_id}:{unit.value}",
            unit=unit,
            burst=per_minute,
            count=per_minute,
            period_ms=_PERIOD_MS,
        )
        for unit, per_minute in wanted
        if per_minute
    )


def model_allowed(model: str, allowed: tuple[str, ...]) -> bool:
    """Whether the key may call the model. No list: any. No model: a call that names none."""
    return not model or not allowed or model in allowed


def address_allowed(address: Address | None, allowlist: tuple[str, ...]) -> bool:
    """Whether the address lies in a block of the list. No list: any. No address: none."""
    if not allowlist:
        return True
    if address is None:
        return False
    return any(address in read_network(block) for block in allowlist)


def read_address(text: str) -> Address:
    """An address; IPv4 mapped into IPv6 is the IPv4 address. Raises ValueError."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@functools.lru_cache(maxsize=4096)
def read_network(text: str) -> Network:
    """A CIDR block, mapped blocks as IPv4. Raises ValueError, also when host bits are set."""
    network = ipaddress.ip_network(text)
    if not isinstance(network, ipaddress.IPv6Network):
        return network
    mapped = network.network_address.ipv4_mapped
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
