"""Opens a service's keyring at its start, and sees to it that every key is there.

A service that lacks a key fails before it listens, not in the call that first needs it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tollgate_kit.clock import Clock
from tollgate_kit.config import KeyringConfig
from tollgate_kit.keyring.base import KeyMissing, Keyring, Kind, versioned
from tollgate_kit.keyring.file import FileKeyring
from tollgate_kit.keyring.vault.keyring import VaultKeyring
from tollgate_kit.lifecycle import Lifecycle, core_task
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.secret import Secret


async def open_keyring(
    config: KeyringConfig,
    keys: Mapping[str, Kind],
    *,
    clock: Clock,
    metrics: Metrics,
    log: Log,
    life: Lifecycle,
) -> Keyring:
    """The keyring of the configuration, which has these keys, by name; closed at the stop.

    Raises KeyringFault: everything that is wrong with its files, or every key that it lacks.
    """
    keyring = await _configured(config, clock, metrics, log, life)
    faults = [
        str(fault)
        for name, kind in keys.items()
        if (fault := await _fault(keyring, name, kind)) is not None
    ]
    if faults:
        raise KeyMissing("; ".join(faults))
    return keyring


def names_of(config: KeyringConfig, name: str, kind: Kind) -> dict[str, Kind]:
    """Return the keyring's names of those versions of a key that are in use, with their kind."""
    return {versioned(name, version): kind for version in config.versions_of(name)}


async def mac_keys(keyring: Keyring, config: KeyringConfig, name: str) -> dict[int, Secret]:
    """The versions of a key for HMAC that are in use. Raises KeyringFault."""
    versions = config.versions_of(name)
    return {version: await keyring.mac_key(versioned(name, version)) for version in versions}


def _anew(keyring: Keyring, config: KeyringConfig) -> Keyring:
    """The keyring as its files are now: other keys, but no other kind of keyring nor another login.

    Raises KeyringFault.
    """
    if isinstance(keyring, FileKeyring):
        return keyring.anew(config)
    if isinstance(keyring, VaultKeyring) and config.vault is not None:
        keyring.read_anew(config.vault)
    return keyring


def take_at_reload(
    keyring: Keyring,
    name: str,
    take: Callable[[Mapping[int, Secret]], None],
    *,
    life: Lifecycle,
    metrics: Metrics,
) -> None:
    """At each SIGHUP, read the versions of a key for HMAC anew and give them to `take`. Counted."""

    async def taken(found: Keyring, anew: Any) -> None:
        take(await mac_keys(found, anew.keyring, name))

    at_reload(keyring, taken, life=life, metrics=metrics)


def at_reload(
    keyring: Keyring,
    take: Callable[[Keyring, Any], Awaitable[None]],
    *,
    life: Lifecycle,
    metrics: Metrics,
    settle: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """At each SIGHUP, give `take` the keyring and the configuration as they are now. Counted.

    `settle` waits for what began with the keys before; it is done when that has ended.
    """
    total = metrics.counter(
        "reloads_total", "Times that the configuration was read anew.", ("result",)
    )

    async def taken(anew: Any) -> None:
        found = _anew(keyring, anew.keyring)
        await take(found, anew)
        # Last: what could not be taken over changes nothing for who encrypts and decrypts.
        if isinstance(keyring, FileKeyring) and isinstance(found, FileKeyring):
            keyring.take_over(found)
        if settle is not None:
            await settle()

    life.on_reload(taken, lambda result: total.labels(result).inc())


async def _configured(
    config: KeyringConfig, clock: Clock, metrics: Metrics, log: Log, life: Lifecycle
) -> Keyring:
    """The implementation that the configuration names: here is where one more is chosen."""
    if config.vault is None:
        return FileKeyring.open(config)
    chance = random.SystemRandom().random
    keyring = await VaultKeyring.open(
        config.vault, clock=clock, metrics=metrics, log=log, chance=chance
    )
    # Registered before the task: it is cancelled first.
    life.on_stop("keyring", keyring.close)
    attending = core_task("keyring", keyring.run(life.readiness, log))

    async def attended() -> None:
        attending.cancel()
        await asyncio.gather(attending, return_exceptions=True)

    life.on_stop("keyring tokens", attended)
    return keyring


async def _fault(keyring: Keyring, name: str, kind: Kind) -> KeyMissing | None:
    try:
        await keyring.check(name, kind)
    except KeyMissing as missing:
        return missing
    return None
