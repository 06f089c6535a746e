"""A key service of the shape of boto3's client of AWS KMS, in this process, for docs/keyring.md."""

import json
import os
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_SYMMETRIC, _ED25519 = "SYMMETRIC_DEFAULT", "ECC_NIST_EDWARDS25519"


class ClientError(Exception):
    """As botocore's: what went wrong is a code in `response`."""

    def __init__(self, code: str) -> None:
        super().__init__(f"An error occurred ({code})")
        self.response = {"Error": {"Code": code}}


class LocalKms:
    """Its keys, by the name that a request calls KeyId."""

    def __init__(self, symmetric: tuple[str, ...], signing: tuple[str, ...]) -> None:
        self._ciphers = {key: AESGCM(os.urandom(32)) for key in symmetric}
        self._signers = {key: Ed25519PrivateKey.generate() for key in signing}
        self.is_away = False

    def describe_key(self, *, KeyId: str) -> Any:  # noqa: N803 - KMS's names
        self._of(KeyId, {**self._ciphers, **self._signers})
        spec = _SYMMETRIC if KeyId in self._ciphers else _ED25519
        return {"KeyMetadata": {"KeySpec": spec, "Enabled": True}}

    def encrypt(self, *, KeyId: str, Plaintext: bytes, EncryptionContext: Mapping[str, str]) -> Any:  # noqa: N803 - KMS's names
        nonce, bound = os.urandom(12), json.dumps(EncryptionContext, sort_keys=True).encode()
        return {
            "CiphertextBlob": nonce
            + self._of(KeyId, self._ciphers).encrypt(nonce, Plaintext, bound)
        }

    def decrypt(
        self,
        *,
        KeyId: str,  # noqa: N803 - KMS's names
        CiphertextBlob: bytes,  # noqa: N803 - KMS's names
        EncryptionContext: Mapping[str, str],  # noqa: N803 - KMS's names
    ) -> Any:
        nonce, bound = CiphertextBlob[:12], json.dumps(EncryptionContext, sort_keys=True).encode()
        try:
            return {
                "Plaintext": self._of(KeyId, self._ciphers).decrypt(
                    nonce, CiphertextBlob[12:], bound
                )
            }
        except (InvalidTag, ValueError):
            raise ClientError("InvalidCiphertextException") from None

    def sign(self, *, KeyId: str, Message: bytes, MessageType: str, SigningAlgorithm: str) -> Any:  # noqa: N803 - KMS's names
        assert (MessageType, SigningAlgorithm) == ("RAW", "ED25519_SHA_512")
        return {"Signature": self._of(KeyId, self._signers).sign(Message)}

    def get_public_key(self, *, KeyId: str) -> Any:  # noqa: N803 - KMS's names
        public = self._of(KeyId, self._signers).public_key()
        return {"PublicKey": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)}

    def _of(self, key: str, keys: Mapping[str, Any]) -> Any:
        if self.is_away:
            raise ConnectionError("no route to host: key material")
        if key not in keys:
            known = key in self._ciphers or key in self._signers
            raise ClientError("InvalidKeyUsageException" if known else "NotFoundException")
        return keys[key]
