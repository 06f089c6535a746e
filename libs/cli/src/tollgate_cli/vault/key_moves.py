"""Keys that come into a Vault from a file keyring, or out of it again: as an operator.

Promises: a key is in this process's memory alone, and on its way to Vault encrypted for Vault's own
import; what is in Vault already is not replaced, unless it is asked for. What can come out is what
Vault only wraps: the log's key cannot.
"""

import base64
import os
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from hvac import exceptions

from tollgate_cli.fault import Fault
from tollgate_cli.service_keys import LOG_KEY
from tollgate_kit.secret import Secret


def wrapped(client: Any, mount: str, name: str, key: Secret) -> str:
    """What Vault makes of a key for HMAC: says nothing without Vault."""
    text = base64.b64encode(key.reveal_bytes()).decode()
    answer = client.secrets.transit.encrypt_data(name, plaintext=text, mount_point=mount)
    return str(answer["data"]["ciphertext"])


def unwrapped(client: Any, mount: str, name: str, ciphertext: str) -> Secret:
    """The key for HMAC that Vault wrapped."""
    answer = client.secrets.transit.decrypt_data(name, ciphertext, mount_point=mount)
    return Secret(base64.b64decode(answer["data"]["plaintext"]))


def import_log_key(client: Any, mount: str, key: Secret, *, replace: bool) -> None:
    """Make Vault sign with the log's present key. Raises Fault.

    `replace`: Vault has another that has signed nothing. One that was imported stays as a former
    version of the key.
    """
    signing = Ed25519PrivateKey.from_private_bytes(key.reveal_bytes())
    path = f"/v1/{mount}/keys/{LOG_KEY}"
    try:
        found = client.secrets.transit.read_key(LOG_KEY, mount_point=mount)["data"]
    except exceptions.InvalidPath:
        found = None
    if found is not None:
        newest = found["keys"][str(found["latest_version"])]["public_key"]
        public = signing.public_key().public_bytes_raw()
        if base64.b64decode(newest) == public:
            return
        if found.get("imported_key") and replace:
            _import(client, mount, f"{path}/import_version", signing, {})
            return
        if not replace:
            raise Fault(
                f"Vault has another log key, {mount}/{LOG_KEY}, which would not sign any more",
                "if it has signed nothing (`tollgate vault init` made it, or it was imported for a "
                "suite that is gone): --replace-log-key",
            )
        client.adapter.post(f"{path}/config", json={"deletion_allowed": True})
        client.adapter.delete(path)
    terms = {"type": "ed25519", "exportable": False, "allow_rotation": True}
    _import(client, mount, f"{path}/import", signing, terms)


def _import(
    client: Any, mount: str, path: str, signing: Ed25519PrivateKey, terms: dict[str, object]
) -> None:
    """As Vault wants it: under a key of this one import, that one under Vault's wrapping key."""
    pem = client.adapter.get(f"/v1/{mount}/wrapping_key")["data"]["public_key"]
    public = serialization.load_pem_public_key(pem.encode())
    if not isinstance(public, rsa.RSAPublicKey):
        raise Fault("Vault's wrapping key is of a kind that is not known")
    der = signing.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    once = os.urandom(32)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    blob = public.encrypt(once, oaep) + aes_key_wrap_with_padding(once, der)
    body = {"ciphertext": base64.b64encode(blob).decode(), "hash_function": "SHA256", **terms}
    client.adapter.post(path, json=body)
