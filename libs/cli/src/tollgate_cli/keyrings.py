"""The embedded suite's file keyrings: each service has only its own keys."""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

from tollgate_cli import state_file
from tollgate_cli.fault import Fault
from tollgate_cli.private_file import begin_anew, kept_secret, secret
from tollgate_cli.service_keys import KEYS, LOG_KEY, RESERVATION
from tollgate_kit.config import KeyringConfig
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.keyring.base import KeyringFault, unversioned, versioned
from tollgate_kit.keyring.file import FileKeyring
from tollgate_kit.secret import Secret
from tollgate_tlog.note import VerifierKey


def versions(directory: Path, service: str) -> dict[str, list[int]]:
    """The versions of each key that has some in a service's keyring: two while it is rotated."""
    path, _ = files(directory, service)
    return _numbers(service, keyring_file.names(path) if path.exists() else ())


def encryption_versions(directory: Path, service: str, name: str) -> list[int]:
    """The versions of a key that encrypts: the newest does so, all decrypt. Raises Fault."""
    path, unlock_file = files(directory, service)
    opened(directory, service)
    found = map(unversioned, keyring_file.names(path))
    there = sorted(version for key, version in found if key == name)
    if not there:
        raise Fault(f"the keyring {path} has no key {name}", _remedy(path, unlock_file))
    return there


def versions_in_vault(directory: Path, service: str) -> dict[str, list[int]]:
    """The same where the keys are in Vault: of each version there is a file.

    It is what Vault wrapped, or the public line of one that signs. Of a log's key that was never
    rotated there is none.
    """
    paths = (*directory.glob("*.wrapped"), *directory.glob("*.vkey"))
    return _numbers(service, (path.stem for path in paths))


def wrapped_file(directory: Path, name: str, version: int) -> Path:
    """Return the path of the file with one version of a key, as Vault wrapped it."""
    return directory / f"{versioned(name, version)}.wrapped"


def signing_file(directory: Path, name: str, version: int) -> Path:
    """Return the path of the file with the public line of one version that signs in Vault."""
    return directory / f"{versioned(name, version)}.vkey"


def _numbers(service: str, names: Iterable[str]) -> dict[str, list[int]]:
    found = [unversioned(name) for name in names]
    there = {
        name: sorted(version for key, version in found if key == name)
        for name, kind in KEYS[service].items()
        if kind in {"mac", "ed25519"}
    }
    return {name: numbers for name, numbers in there.items() if numbers}


def ensure(directory: Path) -> None:
    """Makes the keyrings that are missing; never replaces one, for what it encrypted would be lost.

    Raises Fault for one that does not open, or that is gone while what it encrypted is there.
    """
    has_data = (directory.parent / "postgres" / "data").exists()
    shared: dict[str, Secret] = {}
    for service, keys in KEYS.items():
        path, unlock_file = files(directory, service)
        was_there = has_data and os.path.lexists(unlock_file)
        if was_there and not os.path.lexists(path):
            raise Fault(f"the keyring {path} is missing", _remedy(path, unlock_file))
        unlock = Secret(kept_secret(unlock_file, mode=0o400))
        if not os.path.lexists(path):
            # Whole or not at all: a crash half-way must not leave half a keyring.
            fresh = path.with_suffix(".new")
            state_file.discard(fresh)
            keyring_file.create(fresh, unlock, keys, given=shared)
            fresh.rename(path)
        keyring = opened(directory, service)
        if RESERVATION in keyring_file.names(path) and not shared:
            shared[RESERVATION] = asyncio.run(keyring.mac_key(RESERVATION))


def opened(directory: Path, service: str) -> FileKeyring:
    """Open a service's keyring. Raises Fault for one that is spoilt or missing."""
    path, unlock_file = files(directory, service)
    remedy = _remedy(path, unlock_file)
    try:
        state_file.read_text(path, remedy)
        return FileKeyring.open(KeyringConfig(path, unlock_file))
    except FileNotFoundError:
        raise Fault(f"{path} is a link that leads nowhere", remedy) from None
    except KeyringFault as fault:
        loose = [f"chmod 0400 '{file}'" for file in (path, unlock_file) if _is_loose(file)]
        remedy = "; ".join(loose) or remedy
        what = f"the keyring does not open: {fault} (what unlocks it is in {unlock_file})"
        raise Fault(what, remedy) from fault


def _is_loose(file: Path) -> bool:
    return file.is_file() and bool(file.stat().st_mode & 0o077)


def _remedy(path: Path, unlock_file: Path) -> str:
    return (
        f"put {path.name} and {unlock_file.name} back from a copy; without one, begin anew: "
        + begin_anew(path.parent.parent)
    )


def log_line(directory: Path, origin: str, version: int = 1) -> str:
    """Return the line by which verifiers know a version of the log's key in audit's keyring."""
    keyring = opened(directory, "audit")
    public = asyncio.run(keyring.public_key(versioned(LOG_KEY, version)))
    return str(VerifierKey(origin, public))


def with_unlock(directory: Path, service: str) -> tuple[Path, Secret]:
    """Return a service's keyring and the text that unlocks it. Raises Fault."""
    path, unlock_file = files(directory, service)
    return path, Secret(secret(unlock_file))


def files(directory: Path, service: str) -> tuple[Path, Path]:
    """A service's keyring, and what unlocks it."""
    return directory / f"{service}.json", directory / f"{service}.unlock"
