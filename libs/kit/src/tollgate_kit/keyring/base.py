"""The keyring seam: who can encrypt, decrypt, authenticate and sign, and with which keys.

A service holds a keyring with only its own keys, so that what it cannot do it cannot be made
to do. Implementations: file.py, vault/; which one a process opens is chosen in open.py.

KeyringFault            the keyring cannot answer
 ├ DecryptFailed        the ciphertext is not of this keyring, name or context
 ├ KeyMissing           this keyring has no such key, or its holder may not use it
 └ KeyringAway          it may answer later: what it stands on is away, or lets nobody in
"""

import re
from typing import Literal, Protocol, runtime_checkable

from tollgate_kit.secret import Secret

# What a key is for: encrypt and decrypt, HMAC-SHA256, or sign. One key serves one of them.
Kind = Literal["aes256", "mac", "ed25519"]
_VERSIONED = re.compile(r"(.+?)(?:-([0-9]+))?")


def versioned(name: str, version: int) -> str:
    """A keyring's name of one version of a key: "pepper", then "pepper-2", and so on."""
    return name if version == 1 else f"{name}-{version}"


def unversioned(name: str) -> tuple[str, int]:
    """The key and the version that a keyring's name is of: what versioned() was given."""
    found = _VERSIONED.fullmatch(name)
    return (name, 1) if found is None else (found[1], int(found[2] or 1))


class KeyringFault(Exception):  # noqa: N818 - the base of a tree; its leaves say what happened
    """The keyring cannot answer. Carries no key material and no ciphertext."""


class DecryptFailed(KeyringFault):
    """Altered, or encrypted under another key, name or context."""


class KeyMissing(KeyringFault):
    """There is no such key in this keyring, or none that its holder may use."""


class KeyringAway(KeyringFault):
    """What the keyring stands on is away, or does not let this process in: no fault of a key."""


class Keyring(Protocol):
    """What a service may do with its keys. Raises KeyringFault."""

    async def check(self, name: str, kind: Kind) -> None:
        """See to it that this key is there and may be used. Raises KeyMissing where not."""
        ...

    async def encrypt(self, name: str, context: str, plaintext: Secret) -> str:
        """Encrypt under the named key, bound to context: no other context decrypts it."""
        ...

    async def decrypt(self, name: str, context: str, ciphertext: str) -> Secret:
        """The plaintext of what encrypt() returned for the same name and context."""
        ...

    async def mac_key(self, name: str) -> Secret:
        """A key for HMAC-SHA256, 32 bytes."""
        ...

    async def sign(self, name: str, message: bytes) -> bytes:
        """An Ed25519 signature (RFC 8032), 64 bytes."""
        ...

    async def public_key(self, name: str) -> bytes:
        """The Ed25519 public key of a signing key, 32 bytes."""
        ...


@runtime_checkable
class Versioned(Keyring, Protocol):
    """A keyring that tells a key's versions apart, so that rows can leave an older one."""

    async def newest(self, name: str) -> str:
        """How each ciphertext of the key's newest version begins, and none of an older one."""
        ...

    async def renewed(self, name: str, context: str, ciphertext: str) -> str:
        """The same plaintext, encrypted under the newest version."""
        ...
