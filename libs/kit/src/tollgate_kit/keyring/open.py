"""Opens a service's keyring at its start, and sees to it that every key is there.

A service that lacks a key fails before it listens, not in the call that first needs it.
"""

from collections.abc import Mapping

from tollgate_kit.config import KeyringConfig
from tollgate_kit.keyring.base import KeyMissing, Keyring, Kind
from tollgate_kit.keyring.file import FileKeyring
from tollgate_kit.secret import Secret


async def open_keyring(config: KeyringConfig, keys: Mapping[str, Kind]) -> Keyring:
    """The keyring of the configuration, which has these keys, by name.

    Raises KeyringFault: everything that is wrong with its files, or every key that it lacks.
    """
    keyring = _configured(config)
    faults = [
        str(fault)
        for name, kind in keys.items()
        if (fault := await _fault(keyring, name, kind)) is not None
    ]
    if faults:
        raise KeyMissing("; ".join(faults))
    return keyring


def _configured(config: KeyringConfig) -> Keyring:
    """The implementation that the configuration names: here is where one more is chosen."""
    return FileKeyring.open(config)


async def _fault(keyring: Keyring, name: str, kind: Kind) -> KeyMissing | None:
    """What is wrong with one key: found by using it, as every implementation can."""
    try:
        match kind:
            case "aes256":
                await keyring.encrypt(name, "", Secret(b""))
            case "mac":
                await keyring.mac_key(name)
            case "ed25519":
                await keyring.public_key(name)
    except KeyMissing as missing:
        return missing
    return None
