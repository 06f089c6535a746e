"""What authz keeps: tenants, groups, virtual keys, and the changes an operator may make to them.

Owns the records that stores read and write. Never holds a key's secret: only its MAC.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NewType

from tollgate_kit.changes.request import Applied, ChangeRequest

UnixMs = NewType("UnixMs", int)
Revision = NewType("Revision", int)


class KeyState(Enum):
    """Where a key stands. REVOKED is for good."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A customer: the owner of keys and of a wallet."""

    tenant_id: str
    name: str
    enabled: bool
    create_unix_ms: UnixMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A project or an environment of a tenant."""

    group_id: str
    tenant_id: str
    name: str
    create_unix_ms: UnixMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A virtual key, without its secret. Empty sets mean any; 0 means no limit."""

    key_id: str
    public_id: str
    tenant_id: str
    group_id: str | None
    name: str
    environment: str
    allowed_models: tuple[str, ...]
    ip_allowlist: tuple[str, ...]
    requests_per_minute: int
    tokens_per_minute: int
    state: KeyState
    expire_unix_ms: UnixMs | None
    create_unix_ms: UnixMs


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMac:
    """What proves a presented key: the MAC of its text, and which pepper it is under."""

    mac: bytes
    pepper_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """All that a decision needs, read in one go."""

    key: Key
    key_mac: KeyMac
    tenant_enabled: bool


@dataclass(frozen=True, slots=True)
class AddTenant:
    tenant: Tenant


@dataclass(frozen=True, slots=True)
class AddGroup:
    group: Group


@dataclass(frozen=True, slots=True)
class AddKey:
    key: Key
    key_mac: KeyMac


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTenantEnabled:
    tenant_id: str
    enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetKeyState:
    key_id: str
    state: KeyState
    # The operator's words, kept beside the revision; empty when none were given.
    reason: str


Effect = AddTenant | AddGroup | AddKey | SetTenantEnabled | SetKeyState


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One operator's change. The same request is carried out at most once."""

    request: ChangeRequest
    effect: Effect
    # What the request is answered with, given the head of the revision log after the change; never
    # the secret.
    answer: Callable[[Revision], bytes]
    create_unix_ms: UnixMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """The tenant, group or key that the change is about does not exist."""

    kind: str
    identifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The name is another's. `kind` is "tenant" or "group"."""

    kind: str


@dataclass(frozen=True, slots=True)
class RevokedForGood:
    """The key is revoked and can be neither enabled nor disabled."""


ChangeDenied = Missing | Taken | RevokedForGood
ChangeOutcome = Applied | ChangeDenied


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocations:
    """What the revision log holds after a cursor. Grants to these keys and tenants must go."""

    key_ids: Sequence[str]
    tenant_ids: Sequence[str]
    # Everything up to and including this revision is in this answer or before it.
    through_revision: Revision
    # False when the cursor is older than the log or not of it: drop everything.
    resumable: bool


def takes_away(effect: Effect) -> bool:
    """Whether the effect can turn an allow into a deny, and so must reach the revision log."""
    match effect:
        case SetTenantEnabled(enabled=enabled):
            return not enabled
        case SetKeyState(state=state):
            return state is not KeyState.ENABLED
        case AddTenant() | AddGroup() | AddKey():
            return False
