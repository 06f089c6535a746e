"""Makes and ends versions of the log's signing key, in audit's keyring file or at Vault.

Promises: what is interrupted anywhere leaves audit a start with the keys that signed so far.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tollgate_cli import keyrings, service_keys
from tollgate_cli.chosen_keyring import Chosen
from tollgate_cli.fault import Fault
from tollgate_cli.private_file import write_private
from tollgate_cli.rotation.running import Running
from tollgate_cli.suite import vault_logins
from tollgate_cli.suite.service_configs import ORIGIN
from tollgate_cli.vault import log_key
from tollgate_cli.vault.connection import connected
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.keyring.base import versioned
from tollgate_tlog.note import VerifierKey

AUDIT, KEY = "audit", service_keys.LOG_KEY


class LogKeys(Protocol):
    """The versions of the log's key. Raises Fault."""

    def versions(self) -> list[int]:
        """Those that sign, newest last."""
        ...

    def add(self) -> int:
        """Make a newer one where there is one; its number."""
        ...

    def line(self, version: int) -> str:
        """Return the line by which verifiers know a version."""
        ...

    def end(self, older: Sequence[int]) -> None:
        """Let nobody sign with these any more."""
        ...


class FileKeys:
    """Those in audit's keyring."""

    def __init__(self, running: Running) -> None:
        self._directory = running.home.keyrings
        self._path, self._unlock = keyrings.with_unlock(self._directory, AUDIT)

    def versions(self) -> list[int]:
        return keyrings.versions(self._directory, AUDIT)[KEY]

    def add(self) -> int:
        version = self.versions()[-1] + 1
        added = {versioned(KEY, version): ("ed25519", keyring_file.fresh_key())}
        keyring_file.change(self._path, self._unlock, add=added)
        return version

    def line(self, version: int) -> str:
        return keyrings.log_line(self._directory, ORIGIN, version)

    def end(self, older: Sequence[int]) -> None:
        names = [versioned(KEY, version) for version in older]
        keyring_file.change(self._path, self._unlock, remove=names)


class VaultKeys:
    """Versions at Vault; of each that signs, once there was a rotation, the home has the line."""

    def __init__(self, running: Running, vault: Chosen, token_file: Path | None) -> None:
        self._running = running
        self._directory = running.home.keyrings
        self._mount = vault.mount
        self._logins = vault_logins.at_vault(vault, vault_logins.Asked(token_file=token_file))

    def versions(self) -> list[int]:
        return keyrings.versions_in_vault(self._directory, AUDIT).get(KEY) or [self._signing()]

    def add(self) -> int:
        (present,) = self.versions()
        lines = self._lines()
        # First what signs now gets its number: without, a start would sign with the newest alone.
        self._note(present, lines)
        self._running.configure(AUDIT)
        if max(lines) == present:
            with connected(self._logins.place) as client:
                log_key.rotate(client, self._mount)
            lines = self._lines()
        newest = max(lines)
        self._note(newest, lines)
        return newest

    def line(self, version: int) -> str:
        return keyrings.signing_file(self._directory, KEY, version).read_text("utf-8").strip()

    def end(self, older: Sequence[int]) -> None:
        with connected(self._logins.place) as client:
            log_key.end_before(client, self._mount, self.versions()[-1])
        for version in older:
            keyrings.signing_file(self._directory, KEY, version).unlink(missing_ok=True)

    def _signing(self) -> int:
        """The version whose line audit shows first. Raises Fault."""
        home = self._running.home
        if (version := self._logins.signed(home).get(KEY)) is not None:
            return version
        raise Fault(
            f"no version of {self._mount}/{KEY} at Vault is the key that signs the log",
            f"its line is in {home.verifier_key}",
        )

    def _lines(self) -> dict[int, str]:
        with connected(self._logins.place) as client:
            found = log_key.public_keys(client, self._mount)
        return {version: str(VerifierKey(ORIGIN, public)) for version, public in found.items()}

    def _note(self, version: int, lines: Mapping[int, str]) -> None:
        path = keyrings.signing_file(self._directory, KEY, version)
        write_private(path, lines[version] + "\n")
