"""A service account of Google's, made for tests, and its assertions as Google checks them."""

import base64
import functools
import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

EMAIL = "caller@project.iam.gserviceaccount.com"
KEY_ID = "8b1d6f0c2a"
TOKEN_URI = "https://oauth2.googleapis.com/token"
TOKEN = "ya29.c.c0AYnqX-minted-canary-4c1f7e" + "." * 40


@functools.cache
def private_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def pem(key: object) -> str:
    kind = serialization.PrivateFormat.PKCS8
    none = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, kind, none).decode()


def account(token_uri: str = TOKEN_URI, **changes: object) -> dict[str, object]:
    """The members of the JSON file."""
    return {
        "type": "service_account",
        "project_id": "project",
        "private_key_id": KEY_ID,
        "private_key": pem(private_key()),
        "client_email": EMAIL,
        "client_id": "1",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    } | changes


def file(token_uri: str = TOKEN_URI, **changes: object) -> str:
    """The file, as Google's console writes it."""
    return json.dumps(account(token_uri, **changes), indent=2)


def pieces() -> list[str]:
    """What nobody may see of it: the private key, line by line."""
    return [line for line in pem(private_key()).splitlines() if not line.startswith("-")]


def claims(assertion: str) -> dict[str, object]:
    """What an assertion says; raises where it is not signed with the account's key."""
    header, told, signature = assertion.split(".")
    key = private_key().public_key()
    signed = f"{header}.{told}".encode()
    key.verify(_decoded(signature), signed, padding.PKCS1v15(), hashes.SHA256())
    assert {"alg": "RS256", "typ": "JWT", "kid": KEY_ID} == json.loads(_decoded(header))
    return json.loads(_decoded(told))


def _decoded(text: str) -> bytes:
    assert "=" not in text
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
