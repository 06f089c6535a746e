"""The per-tenant keys under which entries name people: made on first use, encrypted at rest.

Promises: a key exists only encrypted in Postgres and, for a few minutes, in this process's bounded
cache, so that deleting the row unlinks the tenant's pseudonyms everywhere soon after. Never logs
or returns a key to a caller over the network.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from tollgate_kit.clock import Clock
from tollgate_kit.ids import Ids
from tollgate_kit.keyring.base import Keyring
from tollgate_kit.secret import Secret

KEYRING_KEY = "subject-keys"
_KEY_BYTES = 32
_CACHE_MAX = 10_000
_CACHE_SECONDS = 300.0


class SubjectKeyStore(Protocol):
    """Where the encrypted keys are."""

    async def subject_key(self, tenant_id: str) -> str | None:
        """The encrypted key of a tenant, if it has one."""
        ...

    async def add_subject_key(self, tenant_id: str, encrypted: str) -> str:
        """Keep this encrypted key unless there is one already; the one that is kept."""
        ...


class SubjectKeys:
    """Gives a tenant's subject key."""

    def __init__(self, store: SubjectKeyStore, keyring: Keyring, *, ids: Ids, clock: Clock) -> None:
        self._store = store
        self._keyring = keyring
        self._ids = ids
        self._clock = clock
        self._cache: OrderedDict[str, tuple[float, Secret]] = OrderedDict()

    async def key(self, tenant_id: str) -> bytes:
        """The tenant's key. Raises StoreUnavailable or KeyringFault."""
        now = self._clock.monotonic()
        cached = self._cache.get(tenant_id)
        if cached is not None and cached[0] > now:
            return cached[1].reveal_bytes()
        encrypted = await self._store.subject_key(tenant_id)
        if encrypted is None:
            fresh = Secret(self._ids.random(_KEY_BYTES))
            encrypted = await self._store.add_subject_key(
                tenant_id, await self._keyring.encrypt(KEYRING_KEY, _context(tenant_id), fresh)
            )
        key = await self._keyring.decrypt(KEYRING_KEY, _context(tenant_id), encrypted)
        self._cache[tenant_id] = (now + _CACHE_SECONDS, key)
        self._cache.move_to_end(tenant_id)
        while len(self._cache) > _CACHE_MAX:
            self._cache.popitem(last=False)
        return key.reveal_bytes()


def _context(tenant_id: str) -> str:
    return f"tenant|{tenant_id}"
