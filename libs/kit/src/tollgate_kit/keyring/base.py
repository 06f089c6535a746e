"""The keyring seam: who can seal, unseal, authenticate and sign, and with which keys.

A service holds a keyring with only its own keys, so that what it cannot do it cannot be made
to do. Two implementations: keyring_file (embedded) and, in a later issue, Vault transit.

KeyringFault            the keyring cannot answer
 ├ SealBroken           the sealed text is not of this keyring, name or context
 └ KeyMissing           this keyring has no such key
"""

from typing import Protocol

from tollgate_kit.secret import Secret


class KeyringFault(Exception):  # noqa: N818 - the base of a tree; its leaves say what happened
    """The keyring cannot answer. Carries no key material and no sealed text."""


class SealBroken(KeyringFault):
    """Unsealing failed: altered, or sealed under another key, name or context."""


class KeyMissing(KeyringFault):
    """There is no such key in this keyring."""


class Keyring(Protocol):
    """What a service may do with its keys. Raises KeyringFault."""

    async def seal(self, name: str, context: str, plaintext: Secret) -> str:
        """Encrypt under the named key, bound to context: it unseals with no other context."""
        ...

    async def unseal(self, name: str, context: str, sealed: str) -> Secret:
        """Decrypt what seal() returned for the same name and context."""
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
