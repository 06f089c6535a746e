"""Signs checkpoints with the log's Ed25519 key and names the key for verifiers.

Promises: a note it returns was verified with the public key first, by the auditors' own code.
Never decides whether a checkpoint may be signed: publisher.py does.
"""

from __future__ import annotations

from collections.abc import Iterable

from tollgate_kit.keyring.base import Keyring, KeyringFault
from tollgate_tlog import ed25519, note
from tollgate_tlog.checkpoint import Checkpoint

KEYRING_KEY = "tlog"
_SECRET_OF = b"tollgate audit: the secret that entries are marked under"


class Signer:
    """The log's signature."""

    def __init__(
        self,
        keyring: Keyring,
        verifier_key: note.VerifierKey,
        former_keys: Iterable[note.VerifierKey] = (),
    ) -> None:
        """`former_keys` signed earlier checkpoints of this log: they are read, and sign no more."""
        self._keyring = keyring
        self.verifier_key = verifier_key
        others = (key for key in former_keys if key != verifier_key)
        self.known_keys = (verifier_key, *others)

    @classmethod
    async def open(
        cls, keyring: Keyring, origin: str, former_keys: Iterable[note.VerifierKey] = ()
    ) -> Signer:
        """The signer of the log ``origin``. Raises KeyringFault, NoteError."""
        public_key = await keyring.public_key(KEYRING_KEY)
        return cls(keyring, note.VerifierKey(origin, public_key), former_keys)

    async def secret(self) -> bytes:
        """A secret of the log that needs no key of its own: what entries are marked under.

        An Ed25519 signature is a function of key and message (RFC 8032); one of this text, which
        is no checkpoint's, leaves the process nowhere. Raises KeyringFault.
        """
        return await self._keyring.sign(KEYRING_KEY, _SECRET_OF)

    async def sign(self, head: Checkpoint) -> bytes:
        """The signed note. Raises KeyringFault."""
        text = head.text.encode()
        signature = await self._keyring.sign(KEYRING_KEY, text)
        key = self.verifier_key
        if not ed25519.verify(key.public_key, text, signature):
            raise KeyringFault("the log's signature does not verify with its own public key")
        return note.encode(head.text, [note.Signature(key.name, key.key_id, signature)])
