"""One identity's token at Vault: got by AppRole, renewed, got anew, and revoked at the end.

Promises: a token is renewed at two thirds of its life; a fresh secret-id is taken up at once,
without a restart, so that a token never has to reach its last end; who is refused asks whether its
token is dead, and logs in once more if there is something to do it with; one that only may not be
renewed is used until its end. A token that was refused
is tried again until its end: its policy may come back. All of it is bounded, none ends the process.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

from tollgate_kit.clock import Clock
from tollgate_kit.config import VaultLoginConfig
from tollgate_kit.keyring.base import KeyringAway, KeyringFault
from tollgate_kit.keyring.vault.client import (
    REQUEST_SECONDS,
    Answer,
    VaultAway,
    VaultClient,
    VaultRefused,
)
from tollgate_kit.keyring.vault.secret_ids import SecretIds
from tollgate_kit.logs import Log
from tollgate_kit.secret import Secret

# So often a start tries while Vault is away, and this far apart.
START_ATTEMPTS = 8
START_RETRY_SECONDS = 1.0
# After a login that Vault refused, with a secret-id that is not used up by it.
LOGIN_RETRY_SECONDS = 10.0
# After a renewal that was refused to a token that works.
RENEW_RETRY_SECONDS = 10.0
REVOKE_SECONDS = 2.0
# A request meets so many dead tokens, one after the other, before it is given up.
TOKENS_MAX = 3
RENEW_AT = 2 / 3
# Of a token's life: replicas that began together do not renew together.
JITTER = 0.1
RENEW_SECONDS_MIN = 1.0
# A renewal that gives less than this share of a whole life: the last end is near.
LAST_SHARE = 0.9


@dataclass(frozen=True, slots=True, repr=False)
class _Token:
    value: Secret
    ends: float
    renew_at: float
    # Of a fresh one, in seconds.
    whole_life: float


class Session:
    """Asks Vault as one role."""

    def __init__(
        self,
        config: VaultLoginConfig,
        approle: str,
        client: VaultClient,
        *,
        clock: Clock,
        log: Log,
        chance: Callable[[], float],
    ) -> None:
        """`chance` gives numbers from 0 to 1."""
        self.role = config.role
        self._role_id_file = config.role_id_file
        self._login_path = f"auth/{approle}/login"
        self._client = client
        self._secret_ids = SecretIds(config, approle, client, log=log)
        self._clock = clock
        self._log = log
        self._chance = chance
        self._token: _Token | None = None
        self._is_refused = False
        self._is_last = False
        self._lost_at: float | None = clock.monotonic()
        self._login_at = 0.0
        self._one_login = asyncio.Lock()
        self._said = ""
        self._denied: set[str] = set()

    async def open(self) -> None:
        """Log in. Raises KeyringFault; while Vault is away, after START_ATTEMPTS."""
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                if await self._log_in(is_needed=True):
                    return
            except VaultAway:
                if attempt == START_ATTEMPTS:
                    raise
            else:
                break
            await asyncio.sleep(START_RETRY_SECONDS)
        raise KeyringFault(f"no secret-id of {self.role} was delivered")

    def lost_seconds(self) -> float:
        """For how long there has been no token that works; 0: there is one."""
        now, token = self._clock.monotonic(), self._token
        lost_at = self._lost_at
        if lost_at is None and token is not None and now >= token.ends:
            lost_at = token.ends
        return 0.0 if lost_at is None else max(now - lost_at, 1e-9)

    def ttl_seconds(self) -> float:
        """What is left of the token; 0 where there is none that works."""
        if self._token is None or self._is_refused:
            return 0.0
        return max(0.0, self._token.ends - self._clock.monotonic())

    async def request(
        self, operation: str, method: str, path: str, body: dict[str, Any] | None = None
    ) -> Answer:
        """Ask as this role. Raises KeyringAway, VaultRefused."""
        token = self._token
        if token is not None and self._is_refused and self._one_login.locked():
            # The login that is under way serves this request, too.
            token = await self._anew(token)
        if token is None or self._is_refused or self._clock.monotonic() >= token.ends:
            raise KeyringAway(f"{self.role} has no token at Vault")
        for _ in range(TOKENS_MAX):
            try:
                answer = await self._client.request(
                    operation, method, path, token=token.value, body=body
                )
            except VaultRefused:
                if not await self._is_dead(token):
                    self._deny(path)
                    raise
                token = await self._anew(token)
                continue
            if path in self._denied:
                self._denied.discard(path)
                self._log.info("vault.allowed", role=self.role, path=path)
            return answer
        raise KeyringAway(f"{TOKENS_MAX} tokens of {self.role} were refused, each at once")

    async def tick(self) -> None:
        """See to the token: what is due now. Raises VaultAway."""
        token = self._token
        if token is not None and self._clock.monotonic() >= token.ends:
            self._lose(token.ends)
            self._token = token = None
            self._say("vault.token_expired")
        try:
            is_needed = self._is_last or self.lost_seconds() > 0
            if await self._log_in(is_needed=is_needed):
                return
        except VaultAway:
            raise
        except KeyringFault as fault:
            # What is wrong with a file; the token that there is goes on.
            self._say("vault.not_logged_in", reason=str(fault))
        token = self._token
        if token is None:
            return
        if self._is_refused:
            if not await self._is_dead(token):
                self._is_refused, self._lost_at, self._said = False, None, ""
                self._log.info("vault.token_accepted", role=self.role)
        elif self._clock.monotonic() >= token.renew_at:
            await self._renew(token)

    async def close(self) -> None:
        """Revoke the token."""
        token, self._token = self._token, None
        if token is not None:
            await self._revoke(token)

    async def _revoke(self, token: _Token) -> None:
        with contextlib.suppress(KeyringFault, TimeoutError):
            async with asyncio.timeout(REVOKE_SECONDS):
                await self._client.request(
                    "revoke", "POST", "auth/token/revoke-self", token=token.value
                )

    async def _log_in(self, *, is_needed: bool, dead: _Token | None = None) -> bool:
        """Log in with a fresh secret-id, or with any if it is needed; False: there is none.

        One of many who met the same dead token does it for all. Raises KeyringFault, VaultAway.
        """
        async with self._alone():
            if dead is not None and self._token is not dead:
                return True
            began = self._clock.monotonic()
            secret_id = await self._secret_ids.take(is_needed=is_needed and began >= self._login_at)
            if secret_id is None:
                return False
            body = {"role_id": self._role_id(), "secret_id": secret_id.reveal()}
            try:
                answer = await self._client.request("login", "POST", self._login_path, body=body)
                is_in = answer.is_ok
            except VaultRefused:
                is_in = False
            self._secret_ids.judged()
            if not is_in:
                self._login_at = began + LOGIN_RETRY_SECONDS
                raise KeyringFault(f"Vault refused the secret-id of {self.role}: it was used up?")
            if answer.unix_s is not None:
                self._client.state.saw_clock(answer.unix_s)
            former = self._token
            self._adopt(answer, began)
            self._log.info("vault.logged_in", role=self.role, ttl_s=round(self.ttl_seconds()))
        if former is not None:
            await self._revoke(former)
        return True

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """One login at a time; who waits for many that fail waits no longer than for an answer."""
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                await self._one_login.acquire()
        except TimeoutError:
            raise KeyringAway(f"a login of {self.role} takes too long") from None
        try:
            yield
        finally:
            self._one_login.release()

    def _role_id(self) -> str:
        try:
            return self._role_id_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise KeyringFault(f"{self._role_id_file}: {type(error).__name__}") from None

    def _adopt(self, answer: Answer, began: float) -> None:
        """Use the token of an answer. Raises KeyringFault where there is none."""
        granted = answer.part("auth")
        value, life = granted.get("client_token"), granted.get("lease_duration")
        if not isinstance(value, str) or not isinstance(life, int) or life <= 0:
            raise KeyringFault(f"Vault gave {self.role} no token that ends")
        if not value.isascii() or not value.isprintable():
            raise KeyringFault(f"Vault gave {self.role} a token that cannot stand in a header")
        old = self._token
        is_same = old is not None and old.value == Secret(value)
        whole = old.whole_life if old is not None and is_same else float(life)
        wait = max(RENEW_SECONDS_MIN, life * (RENEW_AT + JITTER * (self._chance() - 0.5)))
        self._token = _Token(Secret(value), began + life, began + wait, whole)
        self._is_refused, self._lost_at = False, None
        if not is_same:
            self._said = ""
        self._is_last = life < LAST_SHARE * whole
        if self._is_last:
            self._say("vault.secret_id_needed", ends_in_s=life)

    async def _renew(self, token: _Token) -> None:
        """Raises VaultAway."""
        began = self._clock.monotonic()
        try:
            answer = await self._client.request(
                "renew", "POST", "auth/token/renew-self", token=token.value, body={}
            )
        except VaultRefused:
            if await self._is_dead(token):
                self._refuse(token)
            elif self._token is token:
                # It works until its end: a fresh secret-id is wanted by then.
                self._token = replace(token, renew_at=began + RENEW_RETRY_SECONDS)
                self._is_last = True
                self._say("vault.renewal_denied", ends_in_s=round(self.ttl_seconds()))
            return
        if self._token is not token:
            return
        if answer.is_ok:
            self._adopt(answer, began)
        else:
            self._say("vault.not_renewed")

    async def _is_dead(self, token: _Token) -> bool:
        """Whether Vault knows the token no more, or lets it do nothing. Raises VaultAway."""
        try:
            answer = await self._client.request(
                "lookup", "GET", "auth/token/lookup-self", token=token.value
            )
        except VaultRefused:
            return True
        return not answer.is_ok

    async def _anew(self, dead: _Token) -> _Token:
        """Another token in the place of a dead one. Raises KeyringAway."""
        current = self._token
        if current is not None and (current is dead or self._is_refused):
            self._refuse(current)
            try:
                await self._log_in(is_needed=True, dead=current)
            except VaultAway:
                raise
            except KeyringFault as fault:
                self._say("vault.not_logged_in", reason=str(fault))
        if self._token is None or self._is_refused:
            raise KeyringAway(f"the token of {self.role} was refused, and no secret-id is there")
        return self._token

    def _refuse(self, token: _Token) -> None:
        if self._token is token and not self._is_refused:
            self._is_refused = True
            self._lose(self._clock.monotonic())
            self._say("vault.token_refused")

    def _lose(self, at: float) -> None:
        if self._lost_at is None:
            self._lost_at = at

    def _deny(self, path: str) -> None:
        if path not in self._denied:
            self._denied.add(path)
            self._log.warning("vault.denied", role=self.role, path=path)

    def _say(self, event: str, **fields: Any) -> None:
        """Once, until something else is said or there is another token."""
        told = f"{event} {fields.get('reason', '')}"
        if told != self._said:
            self._said = told
            self._log.warning(event, role=self.role, **fields)
