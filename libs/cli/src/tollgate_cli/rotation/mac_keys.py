"""New versions of the keys for HMAC: the pepper, and the key that proves a reservation.

Two versions are in use until nothing stands under the old one; then that one is deleted. They are
in files, or Vault makes each of them and keeps only what wraps it.
"""

import asyncio
from pathlib import Path
from typing import LiteralString

from tollgate_cli import chosen_keyring, keyrings, service_keys
from tollgate_cli.chosen_keyring import Chosen
from tollgate_cli.fault import Fault
from tollgate_cli.rotation.running import Running
from tollgate_cli.suite import vault_logins
from tollgate_kit.clock import Clock
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.keyring.base import versioned
from tollgate_kit.secret import Secret

# Who verifies learns of a version before who signs with it, and forgets it after.
HOLDERS = {service_keys.RESERVATION: ("router", "budget"), service_keys.PEPPER: ("authz",)}


def begin(running: Running, name: str, token_file: Path | None) -> int:
    """Have a new version used beside the one that is there; its number. Raises Fault.

    Interrupted, it may be done again, and goes on where it was. `token_file`: an operator's token,
    for Vault to make the version where the keys are there; else $VAULT_TOKEN.
    """
    vault = chosen_keyring.in_vault(running.home)
    # Who signs has it last.
    *older, version = _versions(running, HOLDERS[name][-1], name)
    if not older:
        version += 1
    for holder in HOLDERS[name]:
        if vault is None:
            _add(running, holder, name, version)
        else:
            _wrap(running, vault, name, version, token_file)
        running.configure(holder)
        running.reload(holder)
    return version


def wait_for_reservations(running: Running, clock: Clock, *, seconds: float) -> None:
    """Until none is pending that the older key may have signed. Raises Fault after that long."""
    # Whoever signs does so with the newest from here on, whatever was interrupted before.
    running.reload("budget")
    query: LiteralString = "select count(*) from transfer where state = 1 and create_unix_ms <= %s"
    now_ms = clock.unix_ms()
    if count := running.wait(
        lambda: running.counted("budget", query, now_ms), clock, seconds=seconds
    ):
        raise Fault(
            f"{count} calls still go on with a reservation that the older key signed",
            f"`tollgate rotate {service_keys.RESERVATION}` once more goes on from here",
        )


def require_no_key_under(running: Running, newest: int) -> None:
    """Raises Fault while a client's key that is not revoked stands under an older pepper."""
    query = "select count(*) from virtual_key where pepper_version < %s and state <> 'revoked'"
    if count := running.counted("authz", query, newest):
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
    *old, newest = versions(running, name)
    # Who signs forgets first.
    for holder in reversed(HOLDERS[name]):
        running.configure(holder, {name: [newest]})
        running.reload(holder)
    # Last: a process that ends meanwhile finds all that its configuration names.
    if chosen_keyring.in_vault(running.home) is not None:
        for one in old:
            keyrings.wrapped_file(running.home.keyrings, name, one).unlink(missing_ok=True)
        return old
    for holder in HOLDERS[name]:
        mine = set(_versions(running, holder, name)) & set(old)
        path, unlock = keyrings.with_unlock(running.home.keyrings, holder)
        if mine:
            keyring_file.change(path, unlock, remove=[versioned(name, one) for one in mine])
    return old


def _versions(running: Running, holder: str, name: str) -> list[int]:
    is_file = chosen_keyring.in_vault(running.home) is None
    look = keyrings.versions if is_file else keyrings.versions_in_vault
    found = look(running.home.keyrings, holder).get(name)
    if not found:
        raise Fault(
            f"there is no file with {holder}'s {name} in {running.home.keyrings}",
            "put it back from a copy",
        )
    return found


def _wrap(
    running: Running, vault: Chosen, name: str, version: int, token_file: Path | None
) -> None:
    """Have Vault make and wrap it, once for all holders; they open the same file."""
    path = keyrings.wrapped_file(running.home.keyrings, name, version)
    if not path.exists():
        asked = vault_logins.Asked(token_file=token_file)
        vault_logins.at_vault(vault, asked).wrap_version(path, name)


def _add(running: Running, holder: str, name: str, version: int) -> None:
    """A key that is there already stays; the first holder's is made, the others have it of that."""
    path, unlock = keyrings.with_unlock(running.home.keyrings, holder)
    written, first = versioned(name, version), HOLDERS[name][0]
    if written not in keyring_file.names(path):
        is_first = holder == first
        key = keyring_file.fresh_key() if is_first else _key(running, first, written)
        keyring_file.change(path, unlock, add={written: ("mac", key)})


def _key(running: Running, holder: str, name: str) -> Secret:
    return asyncio.run(keyrings.opened(running.home.keyrings, holder).mac_key(name))
