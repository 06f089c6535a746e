"""Provider keys in the clear: decrypted on use, kept for a minute at most, never shown.

Owns every plaintext key of the suite. Promises: a key is in memory only after a call needed it,
for `KEEP_SECONDS` at most or as long as a call that was sent with it runs (references are dropped
then; Python cannot overwrite them), and it leaves only as a header of a request to the origin
that it is bound to, or as the signature of one. A key in use is decrypted anew ahead of that end,
while calls go on with it: they wait for no keyring, nor fail with one that is away for less. Where
a key is a service account, its access token is what leaves; that is kept until `RENEW_SECONDS`
before its end, and got anew once for however many calls wait.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias, TypeVar

from tollgate_dialects.common.google_account import BadAccountError, ServiceAccount
from tollgate_dialects.dialect import Asked, Outgoing, Signer
from tollgate_dialects.registry import UPSTREAM_DIALECTS
from tollgate_kit.clock import Clock
from tollgate_kit.keyring.base import Keyring, KeyringFault
from tollgate_kit.secret import Secret
from tollgate_router.providers import endpoint
from tollgate_router.providers.access_token import AccessToken, TokenFault
from tollgate_router.providers.base_url import BaseUrl
from tollgate_router.providers.catalogue import Candidate, encryption_context
from tollgate_router.providers.key_secrets import KeySecrets
from tollgate_router.providers.request_head import RequestHead

KEYRING_KEY = "upstream-keys"
KEEP_SECONDS = 60.0
# The first call after so long has it decrypted anew: what is left bridges a keyring's restart.
REFRESH_SECONDS = 20.0
REFRESH_RETRY_SECONDS = 1.0
KEYS_MAX = 4096
RENEW_SECONDS = 300.0
# Where the address depends on the call, it is set for each.
_ANY_CALL = Asked(model="", stream=False)


K = TypeVar("K")
# Raises TokenFault.
Exchange: TypeAlias = Callable[[ServiceAccount], Awaitable[AccessToken]]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OpenKey:
    """A key ready for use: its secrets, for scrubbing, and what a request with it looks like."""

    secrets: KeySecrets
    head: RequestHead
    # What signs each request with it; None: its headers are all there is to it.
    signer: Signer | None = None
    # What it vouches with, where it is an account.
    token: Secret | None = None
    # Until when it may be used, by the monotonic clock.
    ends: float = 0.0

    def signed(self, head: RequestHead, body: bytes, clock: Clock) -> RequestHead:
        """The head of one request with what vouches for it at this moment."""
        if self.signer is None:
            return head
        moment = datetime.fromtimestamp(clock.unix_ms() // 1000, UTC)
        now = moment.strftime("%Y%m%dT%H%M%SZ")
        return head.with_headers(self.signer(Outgoing(head.host, head.target, body, now)))


class ProviderKeys:
    """Encrypts new keys and opens stored ones."""

    def __init__(self, keyring: Keyring, *, exchange: Exchange, clock: Clock) -> None:
        self._keyring = keyring
        self._exchange = exchange
        self._clock = clock
        # Context -> (ciphertext it came from, when it is to be decrypted anew, the key).
        self._open: dict[str, tuple[str, float, OpenKey]] = {}
        # Context -> (ciphertext of its account, when it ends, the token).
        self._tokens: dict[str, tuple[str, float, Secret]] = {}
        # The same of the token before: good until its end, though it was renewed or refused.
        self._former: dict[str, tuple[str, float, Secret]] = {}
        self._opening: dict[str, asyncio.Task[OpenKey]] = {}
        # Context -> ciphertext, as the catalogue has it now.
        self._stored: Mapping[str, str] = {}

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
        if found is None or found[0] != self._encrypted(candidate):
            return None
        return None if self._clock.monotonic() >= found[1] else found[2]

    async def open(self, candidate: Candidate) -> OpenKey:
        """The key, decrypted if need be. Raises KeyringFault, TokenFault."""
        if key := self.at_hand(candidate):
            return key
        context = candidate.key_context
        opening = self._opening.get(context)
        if opening is None:
            opening = asyncio.get_running_loop().create_task(self._opened(candidate))
            opening.add_done_callback(_looked_at)
            self._opening[context] = opening
        found = self._open.get(context)
        is_same = found is not None and found[0] == self._encrypted(candidate)
        if found is not None and is_same and self._clock.monotonic() < found[2].ends:
            return found[2]  # the next one is on its way
        # Shared by all who come meanwhile: who leaves does not end it for the others.
        return await asyncio.shield(opening)

    async def _opened(self, candidate: Candidate) -> OpenKey:
        context = candidate.key_context
        try:
            return await self._decrypted(candidate)
        except (KeyringFault, TokenFault):
            self._postpone(context)
            raise
        finally:
            del self._opening[context]

    async def _decrypted(self, candidate: Candidate) -> OpenKey:
        context, encrypted = candidate.key_context, self._encrypted(candidate)
        spoken = UPSTREAM_DIALECTS[candidate.protocol].endpoint
        began = self._clock.monotonic()
        secret = await self._keyring.decrypt(KEYRING_KEY, context, encrypted)
        key, until = secret.reveal(), began + KEEP_SECONDS
        secrets = spoken.secrets_in(key)
        try:
            account = spoken.account(key)
        except BadAccountError:
            raise KeyringFault("the decrypted key is no account") from None
        token: Secret | None = None
        if account is not None:
            ends, token = await self._token(context, encrypted, account)
            until = min(until, ends)
            vouching = {"Authorization": f"Bearer {token.reveal()}"}
            former = self._former.get(context)
            for told in (token, former[2]) if former else (token,):
                # Google fills its tokens up with dots.
                secrets += (told.reveal(), told.reveal().rstrip("."))
        elif endpoint.is_sendable_key(key):
            vouching = dict(spoken.key_headers(key))
        else:
            raise KeyringFault("the decrypted key cannot stand in a header")
        url = endpoint.url(candidate.address, spoken, _ANY_CALL)
        head = RequestHead.post(url, endpoint.headers(vouching))
        opened = OpenKey(KeySecrets(secrets), head, spoken.signer(key), token, until)
        _make_room(self._open)
        self._open[context] = (encrypted, min(until, began + REFRESH_SECONDS), opened)
        return opened

    def _encrypted(self, candidate: Candidate) -> str:
        """Its ciphertext of now: the key may have been encrypted anew since the call began."""
        return self._stored.get(candidate.key_context, candidate.key.encrypted)

    def _postpone(self, context: str) -> None:
        """Go on with a key that could not be decrypted anew, and try again soon."""
        if found := self._open.get(context):
            again = self._clock.monotonic() + REFRESH_RETRY_SECONDS
            self._open[context] = (found[0], min(again, found[2].ends), found[2])

    async def _token(
        self, context: str, encrypted: str, account: ServiceAccount
    ) -> tuple[float, Secret]:
        """When the account's token is to be looked for again, and the token. Raises TokenFault."""
        began = self._clock.monotonic()
        known = self._tokens.get(context)
        if known is not None and known[0] != encrypted:
            known = None
        if known is not None and began < known[1] - RENEW_SECONDS:
            return known[1] - RENEW_SECONDS, known[2]
        try:
            made = await self._exchange(account)
        except TokenFault:
            if known is None or self._clock.monotonic() >= known[1]:
                raise
            return known[1], known[2]  # it is good for minutes yet
        ends = began + made.life_seconds
        self._retire(context)
        _make_room(self._tokens)
        self._tokens[context] = (encrypted, ends, made.token)
        return max(ends - RENEW_SECONDS, began), made.token

    def forget(self, candidate: Candidate, refused: OpenKey) -> bool:
        """Drop a token that was refused: it may have been revoked. False where there is none.

        One that was got in the meantime stays.
        """
        context = candidate.key_context
        if refused.token is None:
            return False
        if context in self._tokens and self._tokens[context][2] is refused.token:
            self._retire(context)
        if context in self._open and self._open[context][2].token is refused.token:
            del self._open[context]
        return True

    def _retire(self, context: str) -> bool:
        """Send a token no more, and seek it in answers as before. False: there was none."""
        retired = self._tokens.pop(context, None)
        if retired is None:
            return False
        _make_room(self._former)
        self._former[context] = retired
        return True

    def follow(self, stored: Mapping[str, str]) -> None:
        """The keys in use as the catalogue has them now: ciphertexts by their contexts."""
        self._stored = stored
        self.sweep(keep=frozenset(stored))

    def sweep(self, *, keep: frozenset[str] | None = None) -> None:
        """Drop keys and tokens whose time is over, and those whose context is not in keep."""
        now = self._clock.monotonic()
        self._open = {
            context: entry
            for context, entry in self._open.items()
            if entry[2].ends > now and (keep is None or context in keep)
        }
        self._tokens = _live(self._tokens, now, keep)
        self._former = _live(self._former, now, keep)

    def ready(self, is_ready: bool) -> None:  # noqa: FBT001 - what readiness calls
        """Without a keyring nothing that it guards stays in memory."""
        if not is_ready:
            self.sweep(keep=frozenset())

    def __len__(self) -> int:
        return len(self._open)


def _live(
    kept: dict[str, tuple[str, float, K]], now: float, keep: frozenset[str] | None
) -> dict[str, tuple[str, float, K]]:
    return {
        context: entry
        for context, entry in kept.items()
        if entry[1] > now and (keep is None or context in keep)
    }


def _make_room(kept: dict[str, tuple[str, float, K]]) -> None:
    while len(kept) >= KEYS_MAX:
        del kept[next(iter(kept))]


def _looked_at(opening: asyncio.Task[OpenKey]) -> None:
    """A fault that nobody waits for any more is not the loop's to report."""
    if not opening.cancelled():
        opening.exception()
