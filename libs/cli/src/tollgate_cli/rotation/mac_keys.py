"""New versions of the keys for HMAC: the pepper, and the key that proves a reservation.

Two versions are in use until nothing stands under the old one; then that one is deleted.
"""

import asyncio
import secrets
import time
from pathlib import Path
from typing import LiteralString

import psycopg

from tollgate_cli import chosen_keyring, keyrings, service_keys
from tollgate_cli.chosen_keyring import FILE
from tollgate_cli.fault import Fault
from tollgate_cli.home import Home
from tollgate_cli.private_file import secret
from tollgate_cli.rotation.running import Running
from tollgate_kit.clock import Clock
from tollgate_kit.config import KeyringConfig
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.keyring.file import FileKeyring
from tollgate_kit.keyring.open import versioned
from tollgate_kit.secret import Secret

# Who verifies learns of a version before who signs with it, and forgets it after.
HOLDERS = {service_keys.RESERVATION: ("router", "budget"), service_keys.PEPPER: ("authz",)}
_KEY_BYTES = 32
_POLL_S = 0.2


def require_files(home: Home) -> None:
    """Raises Fault where the keys are in Vault: former files may still be there, and are not it."""
    found = chosen_keyring.remembered(home)
    if found is not None and found.kind != FILE:
        raise Fault("the keys of this suite are in Vault", "docs/secrets.md says the steps")


def begin(running: Running, name: str) -> int:
    """Have a new version used beside the one that is there; its number. Raises Fault.

    Interrupted, it may be done again, and goes on where it was.
    """
    require_files(running.home)
    first, *others = HOLDERS[name]
    # Who signs has it last.
    *older, version = _versions(running, (first, *others)[-1], name)
    if not older:
        version += 1
    written = versioned(name, version)
    _add(running, first, written, Secret(secrets.token_bytes(_KEY_BYTES)))
    running.configure(first)
    running.reload(first)
    for holder in others:
        _add(running, holder, written, _key(running, first, written))
        running.configure(holder)
        running.reload(holder)
    return version


def wait_for_reservations(running: Running, clock: Clock, *, seconds: float) -> None:
    """Until none is pending that the older key may have signed. Raises Fault after that long."""
    # Whoever signs does so with the newest from here on, whatever was interrupted before.
    running.reload("budget")
    now_ms, until = clock.unix_ms(), clock.monotonic() + seconds
    query = "select count(*) from transfer where state = 1 and create_unix_ms <= %s"
    while count := _counted(running, "budget", query, now_ms):
        if clock.monotonic() > until:
            raise Fault(
                f"{count} calls still go on with a reservation that the older key signed",
                f"`tollgate rotate {service_keys.RESERVATION}` once more goes on from here",
            )
        time.sleep(_POLL_S)


def require_no_key_under(running: Running, newest: int) -> None:
    """Raises Fault while a client's key that is not revoked stands under an older pepper."""
    query = "select count(*) from virtual_key where pepper_version < %s and state <> 'revoked'"
    if count := _counted(running, "authz", query, newest):
        raise Fault(
            f"{count} keys of clients are stored under an older pepper",
            "issue each anew and revoke it (`tollgate key`), then do it again",
        )


def versions(running: Running, name: str) -> list[int]:
    """Which versions there are, newest last, in whichever holder."""
    found = {v for holder in HOLDERS[name] for v in _versions(running, holder, name)}
    return sorted(found)


def delete_old(running: Running, name: str) -> list[int]:
    """Delete all versions but the newest; their numbers. Raises Fault."""
    require_files(running.home)
    old = versions(running, name)[:-1]
    # Who signs forgets first.
    for holder in reversed(HOLDERS[name]):
        mine = set(_versions(running, holder, name)) & set(old)
        path, unlock = _files(running, holder)
        if mine:
            keyring_file.change(path, unlock, remove=[versioned(name, one) for one in mine])
        running.configure(holder)
        running.reload(holder)
    return old


def _counted(running: Running, database: str, query: LiteralString, given: int) -> int:
    with psycopg.connect(running.postgres().dsn(database)) as connection:
        row = connection.execute(query, (given,)).fetchone()
    assert row is not None
    return int(row[0])


def _versions(running: Running, holder: str, name: str) -> list[int]:
    found = keyrings.versions(running.home.keyrings, holder).get(name)
    if not found:
        raise Fault(
            f"there is no file with {holder}'s keys in {running.home.keyrings}",
            "if they are in Vault, docs/secrets.md says the steps",
        )
    return found


def _add(running: Running, holder: str, name: str, key: Secret) -> None:
    """A key that is there already stays."""
    path, unlock = _files(running, holder)
    if name not in keyring_file.names(path):
        keyring_file.change(path, unlock, add={name: ("mac", key)})


def _key(running: Running, holder: str, name: str) -> Secret:
    path, unlock_file = keyrings.files(running.home.keyrings, holder)
    keyring = FileKeyring.open(KeyringConfig(path, unlock_file))
    return asyncio.run(keyring.mac_key(name))


def _files(running: Running, holder: str) -> tuple[Path, Secret]:
    path, unlock_file = keyrings.files(running.home.keyrings, holder)
    return path, Secret(secret(unlock_file))
