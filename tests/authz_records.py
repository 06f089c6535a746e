"""Records of authz for tests: each with every field set, to be changed with dataclasses.replace."""

import itertools

from tollgate_authz.tenants.directory import (
    AddGroup,
    AddKey,
    AddTenant,
    Change,
    Effect,
    Group,
    Key,
    KeyMac,
    KeyState,
    Subject,
    Tenant,
)
from tollgate_kit.changes.request import ChangeRequest

NOW = 1_700_000_000_000
_counter = itertools.count(1)


def new_id() -> str:
    """Ids that sort by creation, as UUIDv7 do."""
    return f"{next(_counter):08d}-0000-7000-8000-000000000000"


def tenant(**fields) -> Tenant:
    tenant_id = new_id()
    values = {
        "tenant_id": tenant_id,
        "name": f"tenant {tenant_id}",
        "enabled": True,
        "create_unix_ms": NOW,
    }
    return Tenant(**{**values, **fields})


def group(tenant_id: str, **fields) -> Group:
    group_id = new_id()
    values = {
        "group_id": group_id,
        "tenant_id": tenant_id,
        "name": f"group {group_id}",
        "create_unix_ms": NOW,
    }
    return Group(**{**values, **fields})


def key(tenant_id: str, **fields) -> Key:
    key_id = new_id()
    values = {
        "key_id": key_id,
        "public_id": f"{int(key_id[:8]):012d}",
        "tenant_id": tenant_id,
        "group_id": None,
        "name": "a key",
        "environment": "live",
        "allowed_models": (),
        "ip_allowlist": (),
        "requests_per_minute": 0,
        "tokens_per_minute": 0,
        "state": KeyState.ENABLED,
        "expire_unix_ms": None,
        "create_unix_ms": NOW,
    }
    return Key(**{**values, **fields})


def key_mac() -> KeyMac:
    return KeyMac(mac=bytes(range(32)), pepper_version=1)


def subject(*, tenant_enabled=True, **fields) -> Subject:
    return Subject(
        key=key("T1", **fields),
        key_mac=key_mac(),
        tenant_enabled=tenant_enabled,
    )


def change(effect: Effect, *, request_id: str = "", content: str = "", answer="a") -> Change:
    """A change that is answered with `answer` and the head of the revision log after it."""
    return Change(
        request=ChangeRequest.of(request_id or new_id(), content.encode()),
        effect=effect,
        answer=lambda head: f"{answer} at {head}".encode(),
        create_unix_ms=NOW,
    )


async def nothing() -> None:
    """Nothing to do before the commit."""


async def filled(store, *, with_group: bool = False, **key_fields) -> tuple[Tenant, Key]:
    """A tenant and a key of it, in the store."""
    made = tenant()
    await store.apply(change(AddTenant(made)), nothing)
    if with_group:
        team = group(made.tenant_id)
        await store.apply(change(AddGroup(team)), nothing)
        key_fields["group_id"] = team.group_id
    issued = key(made.tenant_id, **key_fields)
    await store.apply(change(AddKey(issued, key_mac())), nothing)
    return made, issued
