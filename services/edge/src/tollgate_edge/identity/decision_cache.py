"""Allow-decisions of authz, kept for a short time and only while revocations are being heard.

Owns the cache and its staleness rule. Promises: a presented key is kept only as a keyed digest
under a key that dies with the process; a grant is never used after its max_age, after a change
that names it, or when nothing was heard from the revocation stream for the staleness bound.
Denials are never kept. Never reads a clock: the caller says what time it is.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

G = TypeVar("G")

# Three missed heartbeats of the revocation stream.
STALENESS_SECONDS = 1.5
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class _Entry(Generic[G]):
    grant: G
    key_id: str
    tenant_id: str
    expires_at: float


class DecisionCache(Generic[G]):
    """Grants by digest of (presented key, client address), least recently used out first."""

    def __init__(self, *, secret: bytes, entries_max: int) -> None:
        assert entries_max > 0
        self._secret = secret
        self._entries_max = entries_max
        self._entries: OrderedDict[bytes, _Entry[G]] = OrderedDict()
        self._by_key: dict[str, set[bytes]] = {}
        self._by_tenant: dict[str, set[bytes]] = {}
        self._heard_at: float | None = None
        # Decisions read before this revision may have been overtaken by a change.
        self._changed_revision = 0

    def __len__(self) -> int:
        return len(self._entries)

    def digest(self, presented_key: str, client_ip: str) -> bytes:
        """What stands for the key here. The address is part of it: grants depend on it."""
        name = f"{client_ip}\0{presented_key}".encode()
        return hashlib.blake2b(name, digest_size=_DIGEST_BYTES, key=self._secret).digest()

    def fresh(self, now: float) -> bool:
        """True while revocations are being heard."""
        return self._heard_at is not None and now - self._heard_at <= STALENESS_SECONDS

    def get(self, digest: bytes, now: float) -> G | None:
        """The grant, if it may still be used."""
        if not self.fresh(now):
            return None
        entry = self._entries.get(digest)
        if entry is None:
            return None
        if now >= entry.expires_at:
            self._forget(digest)
            return None
        self._entries.move_to_end(digest)
        return entry.grant

    def put(
        self,
        digest: bytes,
        grant: G,
        *,
        key_id: str,
        tenant_id: str,
        revision: int,
        sent_at: float,
        max_age_s: float,
    ) -> None:
        """Keep a grant. `sent_at` is when the question was sent, on the caller's clock.

        An answer read before a change that we have heard of since is not kept: the change may
        have been about it, and will not be announced again.
        """
        if revision < self._changed_revision or max_age_s <= 0:
            return
        if digest in self._entries:
            self._forget(digest)
        while len(self._entries) >= self._entries_max:
            self._forget(next(iter(self._entries)))
        self._entries[digest] = _Entry(grant, key_id, tenant_id, sent_at + max_age_s)
        self._by_key.setdefault(key_id, set()).add(digest)
        self._by_tenant.setdefault(tenant_id, set()).add(digest)

    def heard(self, now: float) -> None:
        """A message of the revocation stream arrived, with changes or without."""
        self._heard_at = now

    def drop(
        self, *, key_ids: Iterable[str], tenant_ids: Iterable[str], through_revision: int
    ) -> None:
        """Forget every grant of these keys and tenants."""
        digests: set[bytes] = set()
        for key_id in key_ids:
            digests |= self._by_key.get(key_id, set())
        for tenant_id in tenant_ids:
            digests |= self._by_tenant.get(tenant_id, set())
        for digest in digests:
            self._forget(digest)
        self._changed_revision = max(self._changed_revision, through_revision)

    def drop_all(self, through_revision: int) -> None:
        """Forget everything: what changed is not known."""
        self._entries.clear()
        self._by_key.clear()
        self._by_tenant.clear()
        self._changed_revision = max(self._changed_revision, through_revision)

    def _forget(self, digest: bytes) -> None:
        entry = self._entries.pop(digest)
        for index, name in ((self._by_key, entry.key_id), (self._by_tenant, entry.tenant_id)):
            digests = index[name]
            digests.discard(digest)
            if not digests:
                del index[name]
