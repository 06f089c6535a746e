"""The embedded suite's file keyrings: each service has only its own keys.

Budget and router share one key, by which router knows that budget granted a reservation.
"""

import asyncio
from pathlib import Path

from tollgate_cli.private_file import kept_secret
from tollgate_kit import keyring_file
from tollgate_kit.config import KeyringConfig
from tollgate_kit.keyring_file import FileKeyring
from tollgate_kit.secret import Secret

RESERVATION = "reservation"
KEYS = {
    "authz": {"pepper": "mac"},
    "budget": {RESERVATION: "mac"},
    "router": {RESERVATION: "mac", "upstream-keys": "aes256"},
    "audit": {"tlog": "ed25519", "subject-keys": "aes256"},
}


def ensure(directory: Path) -> None:
    """Makes the keyrings that are missing; never replaces one, for what it sealed would be lost."""
    shared: dict[str, Secret] = {}
    for service, keys in KEYS.items():
        path, unlock_file = _files(directory, service)
        unlock = Secret(kept_secret(unlock_file, mode=0o400))
        if not path.exists():
            # Whole or not at all: a crash half-way must not leave half a keyring.
            fresh = path.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            keyring_file.create(fresh, unlock, keys, given=shared)
            fresh.rename(path)
        if RESERVATION in keys and not shared:
            shared[RESERVATION] = asyncio.run(_open(directory, service).mac_key(RESERVATION))


def _open(directory: Path, service: str) -> FileKeyring:
    path, unlock_file = _files(directory, service)
    return FileKeyring.open(KeyringConfig(path, unlock_file))


def _files(directory: Path, service: str) -> tuple[Path, Path]:
    return directory / f"{service}.json", directory / f"{service}.unlock"
