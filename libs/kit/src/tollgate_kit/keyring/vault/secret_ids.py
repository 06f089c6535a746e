"""Where a login's secret-ids come from: a file that an orchestrator writes anew for each.

A wrapped one is good once, and for minutes. Promises: it is unwrapped only if Vault says that it
was made by this role's own path, and lately; that it was unwrapped by somebody else is a fault that
says so. Its file is removed, whoever used it up: who starts services sees that one is needed. What
was unwrapped is kept only until Vault has judged a login by it.
"""

import contextlib
from datetime import datetime
from typing import Any

from tollgate_kit.config import VaultLoginConfig
from tollgate_kit.keyring.base import KeyringFault
from tollgate_kit.keyring.private_file import read_private
from tollgate_kit.keyring.vault.client import Answer, VaultClient, VaultRefused
from tollgate_kit.logs import Log
from tollgate_kit.secret import Secret

# The policy of who delivers allows no longer wrapping (deploy/vault/policies).
WRAP_SECONDS_MAX = 300


class SecretIdTaken(KeyringFault):
    """The wrapped secret-id was used before, came late, or is not of this role."""


class SecretIds:
    """The secret-ids of one role."""

    def __init__(
        self, config: VaultLoginConfig, approle: str, client: VaultClient, *, log: Log
    ) -> None:
        self._file = config.secret_id_file
        self._is_wrapped = config.is_wrapped
        self._made_by = f"auth/{approle}/role/{config.role}/secret-id"
        self._client = client
        self._log = log
        # The wrapping token that is done with: its file may not be ours to remove.
        self._used: Secret | None = None
        self._held: Secret | None = None

    async def take(self, *, is_needed: bool) -> Secret | None:
        """A secret-id that no login was tried with; None: there is none.

        One that is not wrapped serves again and again: it is taken only if it is needed.
        Raises KeyringFault, SecretIdTaken, VaultAway.
        """
        if self._held is not None:
            return self._held
        if not self._is_wrapped:
            return self._read() if is_needed else None
        try:
            if not self._file.exists():
                return None
        except OSError as error:
            raise KeyringFault(f"{self._file}: {type(error).__name__}") from None
        wrapping = self._read()
        if wrapping == self._used:
            return None
        try:
            await self._check(wrapping)
            self._held = await self._unwrap(wrapping)
        except SecretIdTaken:
            self._used_up(wrapping)
            raise
        self._used_up(wrapping)
        return self._held

    def _read(self) -> Secret:
        """What stands in the file, which goes into a header. Raises KeyringFault."""
        found = read_private(self._file)
        if not found.reveal_bytes().isascii():
            raise KeyringFault(f"{self._file} holds no secret-id")
        return found

    def judged(self) -> None:
        """Vault has answered a login with what was taken."""
        self._held = None

    async def _check(self, wrapping: Secret) -> None:
        """See to it that this role's secret-id is in it, made lately. Raises SecretIdTaken."""
        body = {"token": wrapping.reveal()}
        answer = await self._asked("wrapping_lookup", "sys/wrapping/lookup", body=body)
        found = answer.part("data")
        if found.get("creation_path") != self._made_by:
            raise SecretIdTaken(f"{self._file} was not made by {self._made_by}")
        age_s = _age_s(found.get("creation_time"), answer.unix_s)
        life_s = found.get("creation_ttl")
        if not isinstance(life_s, int) or max(life_s, age_s) > WRAP_SECONDS_MAX:
            raise SecretIdTaken(f"{self._file} is good for longer than {WRAP_SECONDS_MAX} seconds")

    async def _unwrap(self, wrapping: Secret) -> Secret:
        answer = await self._asked("unwrap", "sys/wrapping/unwrap", token=wrapping)
        secret_id = answer.part("data").get("secret_id")
        if not isinstance(secret_id, str):
            raise SecretIdTaken(f"{self._file} wraps no secret-id")
        return Secret(secret_id)

    async def _asked(
        self,
        operation: str,
        path: str,
        *,
        token: Secret | None = None,
        body: dict[str, Any] | None = None,
    ) -> Answer:
        with contextlib.suppress(VaultRefused):
            answer = await self._client.request(operation, "POST", path, token=token, body=body)
            if answer.is_ok:
                return answer
        raise SecretIdTaken(
            f"{self._file} is good no more: somebody else has unwrapped it, or it came too late"
        )

    def _used_up(self, wrapping: Secret) -> None:
        self._used = wrapping
        try:
            # The next one may have been delivered meanwhile.
            with contextlib.suppress(KeyringFault):
                if read_private(self._file) == wrapping:
                    self._file.unlink(missing_ok=True)
        except OSError as error:
            # A read-only mount: what stands in it is used up.
            self._log.warning("vault.secret_id_file_stays", error=type(error).__name__)


def _age_s(made: object, now_unix_s: float | None) -> float:
    """By Vault's own clock alone; 0 where it does not say."""
    if not isinstance(made, str) or now_unix_s is None:
        return 0.0
    try:
        return now_unix_s - datetime.fromisoformat(made).timestamp()
    except ValueError:
        return 0.0
