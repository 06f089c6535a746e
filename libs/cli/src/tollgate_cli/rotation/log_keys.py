"""Where the keys of the log are, to have one more made and the older ones ended: a file, or Vault.

Promises: what is interrupted anywhere leaves audit a start with the keys that signed so far.
"""

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tollgate_cli import keyrings
from tollgate_cli.chosen_keyring import Chosen
from tollgate_cli.fault import Fault
from tollgate_cli.private_file import secret, write_private
from tollgate_cli.rotation.running import Running
from tollgate_cli.suite import vault_logins
from tollgate_cli.suite.service_configs import ORIGIN
from tollgate_cli.vault import log_key
from tollgate_cli.vault.connection import connected
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.keyring.base import versioned
from tollgate_kit.secret import Secret
from tollgate_tlog.note import VerifierKey

AUDIT, KEY = "audit", "tlog"
_KEY_BYTES = 32


class LogKeys(Protocol):
    """The versions of the log's key. Raises Fault."""

    def versions(self) -> list[int]:
        """Those that sign, newest last."""
        ...

    def add(self) -> int:
        """Make a newer one where there is one; its number."""
        ...

    def line(self, version: int) -> str:
        """What verifiers know one by that is here beside another."""
        ...

    def end(self, older: Sequence[int]) -> None:
        """Let nobody sign with these any more."""
        ...


class FileKeys:
    """Those in audit's keyring."""

    def __init__(self, running: Running) -> None:
        self._directory = running.home.keyrings
        self._path, unlock_file = keyrings.files(self._directory, AUDIT)
        self._unlock = Secret(secret(unlock_file))

    def versions(self) -> list[int]:
        return keyrings.versions(self._directory, AUDIT)[KEY]

    def add(self) -> int:
        version = self.versions()[-1] + 1
        key = Secret(secrets.token_bytes(_KEY_BYTES))
        added = {versioned(KEY, version): ("ed25519", key)}
        keyring_file.change(self._path, self._unlock, add=added)
        return version

    def line(self, version: int) -> str:
        keyring = keyrings.opened(self._directory, AUDIT)
        public = asyncio.run(keyring.public_key(versioned(KEY, version)))
        return str(VerifierKey(ORIGIN, public))

    def end(self, older: Sequence[int]) -> None:
        names = [versioned(KEY, version) for version in older]
        keyring_file.change(self._path, self._unlock, remove=names)


class VaultKeys:
    """Versions at Vault; of each that signs, once there was a rotation, the home has the line."""

    def __init__(self, running: Running, vault: Chosen, token_file: Path | None) -> None:
        self._running = running
        self._directory = running.home.keyrings
        self._mount = vault.mount
        self._place = vault_logins.at_vault(vault, vault_logins.Asked(token_file=token_file)).place

    def versions(self) -> list[int]:
        return keyrings.versions_in_vault(self._directory, AUDIT).get(KEY) or [self._signing()]

    def add(self) -> int:
        (present,) = self.versions()
        # First what signs now gets its number: without, a start would sign with the newest alone.
        self._note(present)
        self._running.configure(AUDIT)
        with connected(self._place) as client:
            if max(log_key.public_keys(client, self._mount)) == present:
                log_key.rotate(client, self._mount)
        newest = max(self._lines())
        self._note(newest)
        return newest

    def line(self, version: int) -> str:
        return keyrings.signing_file(self._directory, KEY, version).read_text("utf-8").strip()

    def end(self, older: Sequence[int]) -> None:
        with connected(self._place) as client:
            log_key.end_before(client, self._mount, self.versions()[-1])
        for version in older:
            keyrings.signing_file(self._directory, KEY, version).unlink(missing_ok=True)

    def _signing(self) -> int:
        """The version whose line audit shows first. Raises Fault."""
        shown = self._running.home.verifier_key
        (first, *_) = shown.read_text("utf-8").split() if shown.exists() else ("",)
        with connected(self._place) as client:
            version = log_key.version_of(client, self._mount, first)
        if version is not None:
            return version
        raise Fault(
            f"no version of {self._mount}/{KEY} at Vault is the key that signs the log",
            f"its line is in {shown}",
        )

    def _lines(self) -> dict[int, str]:
        with connected(self._place) as client:
            found = log_key.public_keys(client, self._mount)
        return {version: str(VerifierKey(ORIGIN, public)) for version, public in found.items()}

    def _note(self, version: int) -> None:
        path = keyrings.signing_file(self._directory, KEY, version)
        write_private(path, self._lines()[version] + "\n")
