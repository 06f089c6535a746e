"""Another version of a key that encrypts rows: they are encrypted anew, then the old one goes.

The service's own `renew-keys` does that to the rows, beside the one that serves. Where keys are in
files the new version is made here; else Vault makes it, and newer ones by itself every 30 days.
"""

import asyncio
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

from tollgate_cli import chosen_keyring, keyrings, service_keys
from tollgate_cli.deployment import toml_text
from tollgate_cli.fault import Fault
from tollgate_cli.private_file import write_private
from tollgate_cli.rotation.running import Running
from tollgate_cli.suite import vault_logins
from tollgate_cli.vault.connection import connected
from tollgate_kit.clock import Clock
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.keyring.base import versioned
from tollgate_kit.secret import Secret

_RENEW_TIMEOUT_S = 24 * 3600.0
# Routers look once in half a second.
_READ_S = 15.0
_SETTLE_S = 1.0


@dataclass(frozen=True)
class Rows:
    """The rows that one key encrypts, and the query that counts those of an older version."""

    name: str
    service: str
    # Takes how a ciphertext of the newest version begins.
    older: LiteralString


UPSTREAM_KEYS = Rows(
    "upstream-keys",
    "router",
    "select count(*) from provider_key where not starts_with(sealed, %s)",
)
SUBJECT_KEYS = Rows(
    "subject-keys",
    "audit",
    "select count(*) from subject_key where not starts_with(sealed, %s)",
)


class EncryptionKey:
    """One rotation. Interrupted, it may be done again, and goes on where it was."""

    def __init__(self, running: Running, rows: Rows, token_file: Path | None) -> None:
        """`token_file`: an operator's, where the keys are in Vault; else $VAULT_TOKEN."""
        self._running = running
        self._rows = rows
        vault = chosen_keyring.in_vault(running.home)
        asked = vault_logins.Asked(token_file=token_file)
        self._vault = None if vault is None else vault_logins.at_vault(vault, asked)
        # Nobody who is started here needs it.
        os.environ.pop("VAULT_TOKEN", None)

    def begin(self) -> int:
        """Have a new version encrypt, beside those that are there; its number. Raises Fault."""
        *older, version = self._versions()
        if not older:
            version += 1
            if self._vault is None:
                written = versioned(self._rows.name, version)
                added = {written: ("aes256", keyring_file.fresh_key())}
                keyring_file.change(*self._file(), add=added)
            else:
                with connected(self._vault.place) as client:
                    client.secrets.transit.rotate_key(
                        self._rows.name, mount_point=self._vault.chosen.mount
                    )
        self._running.reload(self._rows.service)
        return version

    def renew(self) -> None:
        """Have the service encrypt every row under the newest version. Raises Fault."""
        running, service = self._running, self._rows.service
        place = running.home.run / f"{service}-renew"
        if self._vault is not None:
            place.mkdir(mode=0o700, exist_ok=True)
            self._vault.deliver_to(place, service_keys.logins(service))
        path = running.home.run / f"{service}-renew.toml"
        write_private(path, toml_text.render(running.document(service, logins=place)))
        log = running.home.log(f"{service}-renew")
        argv = [sys.executable, "-m", f"tollgate_{service}", "--config", str(path), "renew-keys"]
        with log.open("wb") as output:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                check=False,
                timeout=_RENEW_TIMEOUT_S,
            )
        if done.returncode:
            raise Fault(
                f"not all that {service} stores could be encrypted anew, and no version is gone",
                f"if {service}'s keyring is an older copy, put the newest back; else mend or remove"
                f" the rows that are named. Then run this again; log: {log}",
            )

    def wait_until_read(self, clock: Clock) -> None:
        """Until calls open what is stored now, those that began before too. Raises Fault."""
        running = self._running
        if self._rows is not UPSTREAM_KEYS:
            # Read anew whenever one is decrypted: what was read before is decrypted at once.
            time.sleep(_SETTLE_S)
            return
        revision = running.counted("router", "select revision from catalogue_revision")

        def unread() -> int:
            return int(running.metric("router", "tollgate_catalogue_revision") < revision)

        if running.wait(unread, clock, seconds=_READ_S):
            raise Fault(
                "router does not read what was changed", f"log: {running.home.log('router')}"
            )

    def delete_old(self, newest: int) -> list[int]:
        """Have no older version decrypt; their numbers. Raises Fault while a row needs one."""
        running, name = self._running, self._rows.name
        if count := running.counted(self._rows.service, self._rows.older, self._begins(newest)):
            raise Fault(
                f"{count} rows are not encrypted with version {newest} of {name}",
                f"`tollgate rotate {name}` once more goes on from here",
            )
        old = [version for version in self._versions() if version < newest]
        if self._vault is None:
            keyring_file.change(*self._file(), remove=[versioned(name, one) for one in old])
            running.reload(self._rows.service)
        else:
            with connected(self._vault.place) as client:
                client.secrets.transit.update_key_configuration(
                    name, min_decryption_version=newest, mount_point=self._vault.chosen.mount
                )
        return old

    def _versions(self) -> list[int]:
        """Those that decrypt, newest last."""
        if self._vault is None:
            home = self._running.home
            return keyrings.encryption_versions(home.keyrings, self._rows.service, self._rows.name)
        with connected(self._vault.place) as client:
            found = client.secrets.transit.read_key(
                self._rows.name, mount_point=self._vault.chosen.mount
            )["data"]
        return list(range(max(1, found["min_decryption_version"]), found["latest_version"] + 1))

    def _begins(self, version: int) -> str:
        if self._vault is not None:
            return f"vault:v{version}:"
        keyring = keyrings.opened(self._running.home.keyrings, self._rows.service)
        return asyncio.run(keyring.newest(self._rows.name))

    def _file(self) -> tuple[Path, Secret]:
        return keyrings.with_unlock(self._running.home.keyrings, self._rows.service)
