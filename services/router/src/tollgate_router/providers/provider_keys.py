"""Provider keys in the clear: decrypted on use, kept for a minute at most, never shown.

Owns every plaintext key of the suite. Promises: a key is in memory only after a call needed it,
for `KEEP_SECONDS` at most or as long as a call that was sent with it runs (references are dropped
then; Python cannot overwrite them), and it leaves only as a header of a request to the origin
that it is bound to, or as the signature of one.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from tollgate_dialects.dialect import Asked, Outgoing, Signer
from tollgate_dialects.registry import UPSTREAM_DIALECTS
from tollgate_kit.clock import Clock
from tollgate_kit.keyring.base import Keyring, KeyringFault
from tollgate_kit.secret import Secret
from tollgate_router.providers import endpoint
from tollgate_router.providers.base_url import BaseUrl
from tollgate_router.providers.catalogue import Candidate, encryption_context
from tollgate_router.providers.request_head import RequestHead

KEYRING_KEY = "upstream-keys"
KEEP_SECONDS = 60.0
KEYS_MAX = 4096
# Where the address depends on the call, it is set for each.
_ANY_CALL = Asked(model="", stream=False)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OpenKey:
    """A key ready for use: its secrets, for scrubbing, and what a request with it looks like."""

    secrets: tuple[Secret, ...]
    head: RequestHead
    # What signs each request with it; None: its headers are all there is to it.
    signer: Signer | None = None

    def signed(self, head: RequestHead, body: bytes, clock: Clock) -> RequestHead:
        """The head of one request with what vouches for it at this moment."""
        if self.signer is None:
            return head
        moment = datetime.fromtimestamp(clock.unix_ms() // 1000, UTC)
        now = moment.strftime("%Y%m%dT%H%M%SZ")
        return head.with_headers(self.signer(Outgoing(head.host, head.target, body, now)))


class ProviderKeys:
    """Encrypts new keys and opens stored ones."""

    def __init__(self, keyring: Keyring, *, clock: Clock) -> None:
        self._keyring = keyring
        self._clock = clock
        # Context -> (ciphertext it came from, when it was opened, the key).
        self._open: dict[str, tuple[str, float, OpenKey]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def encrypt(self, tenant: str, key_id: str, address: BaseUrl, key: Secret) -> str:
        """Encrypt a key for one origin. Raises KeyringFault."""
        return await self._keyring.encrypt(
            KEYRING_KEY, encryption_context(tenant, key_id, address), key
        )

    async def decrypt(self, tenant: str, key_id: str, address: BaseUrl, encrypted: str) -> Secret:
        """Open a key once, without keeping it. Raises KeyringFault."""
        context = encryption_context(tenant, key_id, address)
        return await self._keyring.decrypt(KEYRING_KEY, context, encrypted)

    def at_hand(self, candidate: Candidate) -> OpenKey | None:
        """The key when it is open already: the hot path, which awaits nothing."""
        found = self._open.get(candidate.key_context)
        if found is None or found[0] != candidate.key.encrypted:
            return None
        return None if self._clock.monotonic() - found[1] >= KEEP_SECONDS else found[2]

    async def open(self, candidate: Candidate) -> OpenKey:
        """The key, decrypted if need be. Raises KeyringFault."""
        if key := self.at_hand(candidate):
            return key
        async with self._one_at_a_time:
            if key := self.at_hand(candidate):
                return key
            context = candidate.key_context
            secret = await self._keyring.decrypt(KEYRING_KEY, context, candidate.key.encrypted)
            if not endpoint.is_sendable_key(secret.reveal()):
                raise KeyringFault("the decrypted key cannot stand in a header")
            spoken = UPSTREAM_DIALECTS[candidate.protocol].endpoint
            head = RequestHead.post(
                endpoint.url(candidate.address, spoken, _ANY_CALL),
                endpoint.headers(candidate.protocol, secret.reveal()),
            )
            secrets = tuple(map(Secret, spoken.secrets_in(secret.reveal())))
            opened = OpenKey(secrets, head, spoken.signer(secret.reveal()))
            while len(self._open) >= KEYS_MAX:
                del self._open[next(iter(self._open))]
            self._open[context] = (candidate.key.encrypted, self._clock.monotonic(), opened)
            return opened

    def sweep(self, *, keep: frozenset[str] | None = None) -> None:
        """Drop keys whose minute is over, and those whose context is not in keep."""
        oldest = self._clock.monotonic() - KEEP_SECONDS
        self._open = {
            context: entry
            for context, entry in self._open.items()
            if entry[1] > oldest and (keep is None or context in keep)
        }

    def __len__(self) -> int:
        return len(self._open)
