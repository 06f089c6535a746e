"""The store in memory: the twin that tests of what stands on a store use. Keeps nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tollgate_authz.tenants.directory import (
    AddGroup,
    AddKey,
    AddTenant,
    Change,
    ChangeDenied,
    ChangeOutcome,
    Effect,
    Group,
    Key,
    KeyMac,
    KeyState,
    Missing,
    Revision,
    Revocations,
    RevokedForGood,
    SetKeyState,
    SetTenantEnabled,
    Subject,
    Taken,
    Tenant,
    takes_away,
)
from tollgate_authz.tenants.store import (
    FIRST_REVISION,
    LIST_MAX,
    REVISIONS_KEPT,
    BeforeCommit,
    Found,
)
from tollgate_kit.changes.request import Applied, replay


@dataclass(frozen=True)
class _Revoked:
    revision: Revision
    key_id: str | None
    tenant_id: str | None


class MemoryStore:
    """tollgate_authz.tenants.store.Store over dictionaries."""

    def __init__(self, *, revisions_kept: int = REVISIONS_KEPT) -> None:
        self._revisions_kept = revisions_kept
        self._tenants: dict[str, Tenant] = {}
        self._groups: dict[str, Group] = {}
        self._keys: dict[str, Key] = {}
        self._macs: dict[str, KeyMac] = {}
        self._requests: dict[str, tuple[bytes, bytes]] = {}
        self._log: list[_Revoked] = []
        self._head = FIRST_REVISION
        self._changing = asyncio.Lock()

    async def find(self, public_id: str) -> Found:
        key = next((k for k in self._keys.values() if k.public_id == public_id), None)
        subject = None
        if key is not None:
            subject = Subject(
                key=key,
                key_mac=self._macs[key.key_id],
                tenant_enabled=self._tenants[key.tenant_id].enabled,
            )
        return Found(subject=subject, revision=self._head)

    async def apply(self, change: Change, before_commit: BeforeCommit) -> ChangeOutcome:
        async with self._changing:
            request = change.request
            if known := replay(request, self._requests.get(request.request_id)):
                return known
            refusal = self._refusal(change.effect)
            if refusal is not None:
                return refusal
            await before_commit()
            self._carry_out(change.effect)
            answer = change.answer(self._head)
            self._requests[request.request_id] = (request.content_sha256, answer)
            return Applied(answer, replayed=False)

    def _refusal(self, effect: Effect) -> ChangeDenied | None:
        match effect:
            case AddTenant(tenant):
                taken = any(t.name == tenant.name for t in self._tenants.values())
                return Taken(kind="tenant") if taken else None
            case AddGroup(group):
                return self._group_refusal(group)
            case AddKey(key):
                return self._missing_owner(key.tenant_id, key.group_id)
            case SetTenantEnabled(tenant_id=tenant_id):
                return self._missing_owner(tenant_id, None)
            case SetKeyState(key_id=key_id, state=state):
                kept = self._keys.get(key_id)
                if kept is None:
                    return Missing(kind="key", identifier=key_id)
                final = kept.state is KeyState.REVOKED and state is not KeyState.REVOKED
                return RevokedForGood() if final else None

    def _group_refusal(self, group: Group) -> ChangeDenied | None:
        taken = any(
            (g.tenant_id, g.name) == (group.tenant_id, group.name) for g in self._groups.values()
        )
        return self._missing_owner(group.tenant_id, None) or (
            Taken(kind="group") if taken else None
        )

    def _missing_owner(self, tenant_id: str, group_id: str | None) -> Missing | None:
        if tenant_id not in self._tenants:
            return Missing(kind="tenant", identifier=tenant_id)
        if group_id is None:
            return None
        group = self._groups.get(group_id)
        if group is None or group.tenant_id != tenant_id:
            return Missing(kind="group", identifier=group_id)
        return None

    def _carry_out(self, effect: Effect) -> None:
        """After this point the change must succeed."""
        key_id = tenant_id = None
        match effect:
            case AddTenant(tenant):
                self._tenants[tenant.tenant_id] = tenant
            case AddGroup(group):
                self._groups[group.group_id] = group
            case AddKey(key, key_mac):
                self._keys[key.key_id] = key
                self._macs[key.key_id] = key_mac
            case SetTenantEnabled():
                tenant_id = effect.tenant_id
                tenant_before = self._tenants[effect.tenant_id]
                self._tenants[effect.tenant_id] = replace(tenant_before, enabled=effect.enabled)
            case SetKeyState():
                key_id = effect.key_id
                kept = self._keys[effect.key_id]
                self._keys[effect.key_id] = replace(kept, state=effect.state)
        if takes_away(effect):
            self._head = Revision(self._head + 1)
            self._log.append(_Revoked(self._head, key_id, tenant_id))
            del self._log[: -self._revisions_kept]

    async def tenants(self) -> Sequence[Tenant]:
        return list(self._tenants.values())[: LIST_MAX + 1]

    async def groups(self, tenant_id: str) -> Sequence[Group]:
        return [g for g in self._groups.values() if g.tenant_id == tenant_id][: LIST_MAX + 1]

    async def keys(self, tenant_id: str) -> Sequence[Key]:
        return [k for k in self._keys.values() if k.tenant_id == tenant_id][: LIST_MAX + 1]

    async def key(self, key_id: str) -> Key | None:
        return self._keys.get(key_id)

    async def revocations(self, *, after: int, limit: int) -> Revocations:
        oldest = self._log[0].revision if self._log else self._head + 1
        resumable = after == 0 or oldest - 1 <= after <= self._head
        later = [r for r in self._log if after != 0 and r.revision > after] if resumable else []
        found = later[:limit]
        return Revocations(
            key_ids=[r.key_id for r in found if r.key_id is not None],
            tenant_ids=[r.tenant_id for r in found if r.tenant_id is not None],
            through_revision=found[-1].revision if len(later) > limit else self._head,
            resumable=resumable,
        )
