"""The per-tenant keys under which entries name people: made on first use, encrypted at rest.

Promises: a key exists only encrypted in Postgres and, for a few minutes, in this process's bounded
cache, so that deleting the row unlinks the tenant's pseudonyms everywhere soon after. Never logs
or returns a key to a caller over the network.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from tollgate_kit.clock import Clock
from tollgate_kit.ids import Ids
from tollgate_kit.keyring.base import Keyring
from tollgate_kit.secret import Secret

KEYRING_KEY = "subject-keys"
_KEY_BYTES = 32
_CACHE_MAX = 10_000
_CACHE_SECONDS = 300.0
# The first use after so long has the key decrypted anew: what is left bridges a keyring's restart.
_REFRESH_SECONDS = 100.0
_RETRY_SECONDS = 1.0


class SubjectKeyStore(Protocol):
    """Where the encrypted keys are."""

    async def subject_key(self, tenant_id: str) -> str | None:
        """The encrypted key of a tenant, if it has one."""
        ...

    async def add_subject_key(self, tenant_id: str, encrypted: str) -> str:
        """Keep this encrypted key unless there is one already; the one that is kept."""
        ...


@dataclass(slots=True, repr=False)
class _Kept:
    key: Secret
    refresh_at: float
    ends: float


class SubjectKeys:
    """Gives a tenant's subject key."""

    def __init__(self, store: SubjectKeyStore, keyring: Keyring, *, ids: Ids, clock: Clock) -> None:
        self._store = store
        self._keyring = keyring
        self._ids = ids
        self._clock = clock
        self._cache: OrderedDict[str, _Kept] = OrderedDict()
        self._refreshing: dict[str, asyncio.Task[None]] = {}
        # One for each key that is encrypted and not stored yet.
        self._adding: set[asyncio.Future[None]] = set()

    async def key(self, tenant_id: str) -> bytes:
        """The tenant's key. Raises StoreUnavailable or KeyringFault."""
        now = self._clock.monotonic()
        kept = self._cache.get(tenant_id)
        if kept is not None and now < kept.ends:
            if now >= kept.refresh_at and tenant_id not in self._refreshing:
                work = self._refresh(tenant_id, kept)
                self._refreshing[tenant_id] = asyncio.get_running_loop().create_task(work)
            return kept.key.reveal_bytes()
        encrypted = await self._store.subject_key(tenant_id)
        if encrypted is None:
            encrypted = await self._added(tenant_id)
        return (await self._opened(tenant_id, encrypted)).reveal_bytes()

    async def settled(self) -> None:
        """Until every key is stored that is encrypted by now."""
        if self._adding:
            await asyncio.wait(set(self._adding))

    async def _added(self, tenant_id: str) -> str:
        ended = asyncio.get_running_loop().create_future()
        self._adding.add(ended)
        try:
            fresh = Secret(self._ids.random(_KEY_BYTES))
            context = encryption_context(tenant_id)
            encrypted = await self._keyring.encrypt(KEYRING_KEY, context, fresh)
            return await self._store.add_subject_key(tenant_id, encrypted)
        finally:
            self._adding.discard(ended)
            ended.set_result(None)

    def ready(self, is_ready: bool) -> None:  # noqa: FBT001 - what readiness calls
        """Without a keyring nothing that it guards stays in memory."""
        if not is_ready:
            self._cache.clear()

    async def _opened(self, tenant_id: str, encrypted: str) -> Secret:
        began = self._clock.monotonic()
        key = await self._keyring.decrypt(KEYRING_KEY, encryption_context(tenant_id), encrypted)
        self._cache[tenant_id] = _Kept(key, began + _REFRESH_SECONDS, began + _CACHE_SECONDS)
        self._cache.move_to_end(tenant_id)
        while len(self._cache) > _CACHE_MAX:
            self._cache.popitem(last=False)
        return key

    async def _refresh(self, tenant_id: str, kept: _Kept) -> None:
        """Decrypt a key in use anew; one that was deleted is used no more."""
        try:
            encrypted = await self._store.subject_key(tenant_id)
            if encrypted is None:
                self._cache.pop(tenant_id, None)
            else:
                await self._opened(tenant_id, encrypted)
        except Exception:  # noqa: BLE001 - whoever needs it after its end is told why
            kept.refresh_at = self._clock.monotonic() + _RETRY_SECONDS
        finally:
            del self._refreshing[tenant_id]


def encryption_context(tenant_id: str) -> str:
    """What a tenant's key is bound to."""
    return f"tenant|{tenant_id}"
