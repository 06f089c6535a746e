"""Signs checkpoints with the log's Ed25519 keys and names them for verifiers.

There is one key, or two while it is rotated: each checkpoint then has both signatures.

Promises: a note it returns was verified with the public key first, by the auditors' own code.
Never decides whether a checkpoint may be signed: publisher.py does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tollgate_kit.keyring.base import Keyring, KeyringFault, versioned
from tollgate_tlog import ed25519, note
from tollgate_tlog.checkpoint import Checkpoint

KEYRING_KEY = "tlog"
_SECRET_OF = b"tollgate audit: the secret that entries are marked under"


class Signer:
    """The log's signature."""

    def __init__(
        self,
        keyring: Keyring,
        keys: Mapping[str, note.VerifierKey],
        former_keys: Iterable[note.VerifierKey] = (),
    ) -> None:
        """`keys` sign, newest first, by their names in the keyring.

        `former_keys` signed earlier checkpoints of this log: they are read, and sign no more.
        """
        self._keyring = keyring
        self._keys = dict(keys)
        # As verifiers get them: what signs now, then what signed before.
        self.known_keys = tuple(dict.fromkeys((*self._keys.values(), *former_keys)))

    @classmethod
    async def open(
        cls,
        keyring: Keyring,
        origin: str,
        former_keys: Iterable[note.VerifierKey] = (),
        *,
        versions: Iterable[int] = (1,),
    ) -> Signer:
        """The signer of the log ``origin``. Raises KeyringFault, NoteError."""
        names = [versioned(KEYRING_KEY, version) for version in sorted(versions, reverse=True)]
        keys = {name: note.VerifierKey(origin, await keyring.public_key(name)) for name in names}
        return cls(keyring, keys, former_keys)

    @property
    def verifier_key(self) -> note.VerifierKey:
        """Of the newest key."""
        return self.known_keys[0]

    @property
    def signing_keys(self) -> tuple[note.VerifierKey, ...]:
        """Of the keys that sign now, newest first."""
        return tuple(self._keys.values())

    def take(self, other: Signer) -> None:
        """Go on with the other's keys."""
        self._keyring, self._keys, self.known_keys = other._keyring, other._keys, other.known_keys

    async def secrets(self) -> list[bytes]:
        """The log's secrets, newest first, that need no key of their own: entries' marks.

        An Ed25519 signature is a function of key and message (RFC 8032); one of this text, which
        is no checkpoint's, leaves the process nowhere. Raises KeyringFault.
        """
        return [await self._keyring.sign(name, _SECRET_OF) for name in self._keys]

    async def sign(self, head: Checkpoint) -> bytes:
        """The signed note. Raises KeyringFault."""
        text = head.text.encode()
        keyring, lines = self._keyring, []
        for name, key in self._keys.items():
            signature = await keyring.sign(name, text)
            if not ed25519.verify(key.public_key, text, signature):
                raise KeyringFault("the log's signature does not verify with its own public key")
            lines.append(note.Signature(key.name, key.key_id, signature))
        return note.encode(head.text, lines)
