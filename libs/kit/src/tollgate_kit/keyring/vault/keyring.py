"""Vault as a keyring: its transit engine has the keys, this process has none of them.

A name of a key is the name of a transit key. A context is its derivation context, in base64. A
key for HMAC is 32 bytes that transit wraps: its ciphertext stands in a file, and is unwrapped once,
into memory; "pepper-2" is wrapped by "pepper". What is signed is signed with one version of its key
for as long as the process lives, the one whose public key it gave; "tlog-2" is version 2 of "tlog".
"""

import asyncio
import base64
import contextlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tollgate_kit.clock import Clock
from tollgate_kit.config import VaultConfig, VaultLoginConfig
from tollgate_kit.keyring.base import DecryptFailed, KeyMissing, KeyringFault, Kind
from tollgate_kit.keyring.vault.batches import Batches, Item
from tollgate_kit.keyring.vault.client import VaultClient, VaultRefused, encoded
from tollgate_kit.keyring.vault.measures import VaultMeasures
from tollgate_kit.keyring.vault.server_state import Condition, ServerState
from tollgate_kit.keyring.vault.session import Session
from tollgate_kit.lifecycle import Readiness
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.secret import Secret

TICK_SECONDS = 2.0
WATCH_SECONDS = 1.0
# Without a token for so long, the process says that it cannot work: by then it has dropped what was
# decrypted, at the latest a minute after Vault last knew it.
LOST_SECONDS = 58.0
_PART = "keyring"
_MAC_BYTES = 32
_SIGNATURE = re.compile(r"vault:v(\d+):(.+)")
# The number of a version is not in the name of the key at Vault.
_NUMBER = re.compile(r"-(\d+)$")
_BEGINNING = re.compile(r"vault:v\d+:")
_PROBE = "vault:v1:AAAA"
# A standby passes on what it is asked: it is well.
_HEALTH = "sys/health?standbyok=true&perfstandbyok=true"


class VaultKeyring:
    """A Keyring over one Vault: who decrypts and, if it is another, who encrypts."""

    def __init__(
        self, config: VaultConfig, client: VaultClient, reader: Session, writer: Session | None
    ) -> None:
        self._config = config
        self._client = client
        self._reader = reader
        self._writer = writer
        self._sessions = [reader] if writer is None else [reader, writer]
        self._wrapped = dict(config.wrapped)
        self._batches = Batches(self._decrypted)
        self._macs: dict[str, Secret] = {}
        self._public: dict[str, tuple[int, bytes]] = {}

    @classmethod
    async def open(
        cls,
        config: VaultConfig,
        *,
        clock: Clock,
        metrics: Metrics,
        log: Log,
        chance: Callable[[], float],
    ) -> "VaultKeyring":
        """Log in. Raises KeyringFault: everything that is wrong with the files, or with a login."""
        logins = [config] if config.writer is None else [config, config.writer]
        measures = VaultMeasures(metrics)
        state = ServerState(clock=clock, measures=measures, log=log)
        faults = _unreadable(config, logins)
        client = None
        try:
            client = VaultClient(
                config.address, config.ca_file, clock=clock, measures=measures, state=state
            )
        except KeyringFault as fault:
            faults.append(str(fault))
        if client is None or faults:
            raise KeyringFault("; ".join(faults))
        sessions = [
            Session(login, config.approle, client, clock=clock, log=log, chance=chance)
            for login in logins
        ]
        keyring = cls(config, client, sessions[0], sessions[1] if len(sessions) > 1 else None)
        measures.show_ttl(keyring.ttl_seconds)
        try:
            for session in sessions:
                await session.open()
        except BaseException:
            await keyring.close()
            raise
        return keyring

    async def run(self, readiness: Readiness, log: Log) -> None:
        """See to the tokens, and tell readiness whether there is one. Until cancelled."""
        await asyncio.gather(self._attend(log), self._watch(readiness))

    async def close(self) -> None:
        """Revoke every token: at Vault nobody is left who could use this process's rights."""
        for session in self._sessions:
            await session.close()
        await self._client.close()

    def ttl_seconds(self) -> float:
        """What is left of the token that ends first."""
        return min(session.ttl_seconds() for session in self._sessions)

    async def check(self, name: str, kind: Kind) -> None:
        try:
            match kind:
                case "aes256":
                    await self._check_cipher(name)
                case "mac":
                    await self.mac_key(name)
                case "ed25519":
                    await self.public_key(name)
        except VaultRefused:
            raise KeyMissing(f"Vault does not let {self._reader.role} use {name}") from None

    async def encrypt(self, name: str, context: str, plaintext: Secret) -> str:
        body = {
            "plaintext": encoded(plaintext.reveal_bytes()),
            "context": encoded(context.encode()),
        }
        found = await self._transit(self._writer or self._reader, "encrypt", name, body)
        ciphertext = found.get("ciphertext")
        if not isinstance(ciphertext, str):
            raise KeyMissing(f"Vault cannot encrypt with {name}")
        return ciphertext

    async def decrypt(self, name: str, context: str, ciphertext: str) -> Secret:
        return await self._batches.decrypt(name, context, ciphertext)

    async def newest(self, name: str) -> str:
        found = _BEGINNING.match(await self.encrypt(name, "-", Secret(b"")))
        if found is None:
            raise KeyringFault(f"Vault does not say the version of {name}")
        return found[0]

    async def renewed(self, name: str, context: str, ciphertext: str) -> str:
        """By Vault itself: the plaintext does not leave it."""
        body = {"ciphertext": ciphertext, "context": encoded(context.encode())}
        renewed = (await self._transit(self._reader, "rewrap", name, body)).get("ciphertext")
        if not isinstance(renewed, str):
            raise DecryptFailed(f"cannot decrypt with key {name}")
        return renewed

    async def mac_key(self, name: str) -> Secret:
        key = self._macs.get(name)
        if key is None:
            key = self._macs[name] = await self._unwrapped(name)
        return key

    def read_anew(self, config: VaultConfig) -> None:
        """Believe the authority of the file as it is now, and unwrap keys for HMAC anew.

        Raises KeyringFault, and goes on as before.
        """
        self._client.trust(config.ca_file)
        self._wrapped = dict(config.wrapped)
        self._macs.clear()

    async def sign(self, name: str, message: bytes) -> bytes:
        version, _ = await self._signing(name)
        body, key = {"input": encoded(message), "key_version": version}, _NUMBER.sub("", name)
        path = f"{self._config.transit}/sign/{key}"
        answer = await self._reader.request("sign", "POST", path, body)
        if answer.says("less than the minimum"):
            raise KeyMissing(
                f"Vault signs no more with version {version} of {key}: it is below the key's "
                f"min_encryption_version; vault write {self._config.transit}/keys/{key}/config "
                f"min_encryption_version={version} allows it again; to change the log's key, see "
                "docs/secrets.md"
            )
        signed = _SIGNATURE.fullmatch(str(answer.part("data").get("signature")))
        if signed is None or int(signed[1]) != version:
            raise KeyringFault(f"Vault did not sign with version {version} of {name}")
        return _decoded(signed[2], name).reveal_bytes()

    async def public_key(self, name: str) -> bytes:
        return (await self._signing(name))[1]

    async def _signing(self, name: str) -> tuple[int, bytes]:
        """The version of a key that signs here, and its public half."""
        if name not in self._public:
            path = f"{self._config.transit}/keys/{_NUMBER.sub('', name)}"
            answer = await self._reader.request("read_key", "GET", path)
            found = answer.part("data")
            version = self._config.key_versions.get(name) or found.get("latest_version")
            if number := _NUMBER.search(name):
                version = int(number[1])
            one = answer.part("data", "keys", str(version)).get("public_key")
            if found.get("type") != "ed25519" or not isinstance(version, int) or one is None:
                raise KeyMissing(f"Vault has no ed25519 key named {name} of this version")
            self._public[name] = (version, _decoded(one, name).reveal_bytes())
        return self._public[name]

    async def _unwrapped(self, name: str) -> Secret:
        path = self._wrapped.get(name)
        if path is None:
            raise KeyMissing(f"the configuration names no wrapped key {name}")
        try:
            body = {"ciphertext": path.read_text().strip()}
        except (OSError, UnicodeDecodeError) as error:
            raise KeyringFault(f"{path}: {type(error).__name__}") from None
        found = await self._transit(self._reader, "decrypt", _NUMBER.sub("", name), body)
        if "plaintext" not in found:
            raise KeyMissing(f"{path} does not hold what Vault wrapped for {name}")
        key = _decoded(found["plaintext"], name)
        if len(key.reveal_bytes()) != _MAC_BYTES:
            raise KeyMissing(f"{path} must wrap {_MAC_BYTES} bytes")
        return key

    async def _check_cipher(self, name: str) -> None:
        """By what this identity may do: a text that is no ciphertext is refused for what it is."""
        body = {"ciphertext": _PROBE, "context": encoded(b"-")}
        path = f"{self._config.transit}/decrypt/{name}"
        answer = await self._reader.request("decrypt", "POST", path, body)
        if answer.says("not found"):
            raise KeyMissing(f"Vault has no key named {name}")
        if self._writer is not None:
            await self.encrypt(name, "-", Secret(b""))

    async def _decrypted(self, name: str, items: Sequence[Item]) -> Sequence[Secret | KeyringFault]:
        """What became of each item. Raises KeyringFault where Vault answered none."""
        batch = [
            {"ciphertext": ciphertext, "context": encoded(context.encode())}
            for context, ciphertext in items
        ]
        found = await self._transit(self._reader, "decrypt", name, {"batch_input": batch})
        results = found.get("batch_results")
        if not isinstance(results, list) or len(results) != len(items):
            raise DecryptFailed(f"cannot decrypt with key {name}")
        return [_result(name, result) for result in results]

    async def _transit(
        self, session: Session, operation: str, name: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        path = f"{self._config.transit}/{operation}/{name}"
        return (await session.request(operation, "POST", path, body)).part("data")

    async def _attend(self, log: Log) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self.tick()
            except Exception as error:
                log.exception("vault.tick_failed", error)

    async def tick(self) -> None:
        """What is due now for each token, and a look at Vault if it was not well."""
        for session in self._sessions:
            # What Vault's condition is, the state says.
            with contextlib.suppress(KeyringFault):
                await session.tick()
        state = self._client.state
        if state.condition is not Condition.UP:
            with contextlib.suppress(KeyringFault):
                await self._client.request("health", "GET", _HEALTH)
        state.say()

    async def _watch(self, readiness: Readiness) -> None:
        """Apart from the tokens, for a slow Vault must not keep it from being said."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self.tell(readiness)

    def tell(self, readiness: Readiness) -> None:
        """Say whether there is a token, or was one lately."""
        lost_s = self._reader.lost_seconds()
        if lost_s >= LOST_SECONDS:
            readiness.lacks(_PART)
        elif lost_s <= 0:
            readiness.has(_PART)


def _unreadable(config: VaultConfig, logins: Sequence[VaultLoginConfig]) -> list[str]:
    """What is wrong with the files that must be there at the start."""
    files = [*config.wrapped.values()]
    for login in logins:
        files += [login.role_id_file, login.secret_id_file]
    return [fault for path in files if (fault := _fault(path))]


def _fault(path: Path) -> str:
    try:
        with path.open("rb"):
            return ""
    except OSError as error:
        return f"{path}: {type(error).__name__}"


def _result(name: str, result: object) -> Secret | KeyringFault:
    """One item of a batch."""
    plaintext = result.get("plaintext") if isinstance(result, dict) else None
    # An item that failed has its plaintext, too: an empty one.
    if not isinstance(plaintext, str) or (isinstance(result, dict) and result.get("error")):
        return DecryptFailed(f"cannot decrypt with key {name}")
    return _decoded(plaintext, name)


def _decoded(text: object, name: str) -> Secret:
    try:
        return Secret(base64.b64decode(str(text), validate=True))
    except ValueError:
        raise KeyringFault(f"Vault's answer for {name} is not base64") from None
