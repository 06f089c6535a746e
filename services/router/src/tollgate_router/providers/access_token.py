"""Access tokens of Google's: what a service account signs to get one, and what is got.

Pure. Promises that an assertion names the account, one scope and one hour, and is signed with the
account's own key (RFC 7523, as developers.google.com/identity/protocols/oauth2/service-account says
it); and that an answer that is no token is none.
"""

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlencode

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tollgate_dialects.common.google_account import BadAccountError, ServiceAccount
from tollgate_kit.secret import Secret
from tollgate_router.providers import endpoint

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# The longest that Google allows.
ASSERTION_SECONDS: Final = 3600
KEY_BITS_MIN: Final = 2048
# Shorter ones would not be sought in an answer; more than a day is no such token.
TOKEN_CHARACTERS_MIN: Final = 16
LIFE_SECONDS_MAX: Final = 86_400

Why = Literal["refused", "not_reached", "timeout", "no_token"]


class TokenFault(Exception):  # noqa: N818 - it is what happened
    """There is no token for an account. Holds one word, and nothing of what was answered."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token, and how long it is good from the moment it was asked for."""

    token: Secret
    life_seconds: int


def check(account: ServiceAccount) -> None:
    """Raise BadAccountError unless the account can sign. Takes some tens of milliseconds."""
    _private_key(account, trusted=False)


def request(account: ServiceAccount, *, now_s: int) -> bytes:
    """The form that asks for a token. Raises BadAccountError."""
    header = {"alg": "RS256", "typ": "JWT", "kid": account.key_id}
    claims = {
        "iss": account.email,
        "scope": SCOPE,
        "aud": account.token_uri,
        "iat": now_s,
        "exp": now_s + ASSERTION_SECONDS,
    }
    signed = b"%b.%b" % (_encoded(orjson.dumps(header)), _encoded(orjson.dumps(claims)))
    key = _private_key(account, trusted=True)
    signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    assertion = b"%b.%b" % (signed, _encoded(signature))
    return urlencode({"grant_type": GRANT, "assertion": assertion}).encode()


def read(answer: bytes) -> AccessToken:
    """The token in an answer. Raises TokenFault."""
    try:
        document = orjson.loads(answer)
    except orjson.JSONDecodeError:
        raise TokenFault("no_token") from None
    if not isinstance(document, dict):
        raise TokenFault("no_token")
    token, life = document.get("access_token"), document.get("expires_in")
    kind = document.get("token_type")
    is_token = (
        isinstance(token, str)
        and len(token) >= TOKEN_CHARACTERS_MIN
        and endpoint.is_sendable_key(token)
        and type(life) is int
        and 0 < life <= LIFE_SECONDS_MAX
        and isinstance(kind, str)
        and kind.lower() == "bearer"
    )
    if not is_token:
        raise TokenFault("no_token")
    return AccessToken(Secret(str(token)), int(str(life)))


def _private_key(account: ServiceAccount, *, trusted: bool) -> rsa.RSAPrivateKey:
    """`trusted`: its numbers were checked when it was added."""
    try:
        key = serialization.load_pem_private_key(
            account.private_key.encode(), None, unsafe_skip_rsa_key_validation=trusted
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadAccountError("its private_key cannot be read") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < KEY_BITS_MIN:
        raise BadAccountError(f"its private_key is no RSA key of {KEY_BITS_MIN} bits or more")
    return key


def _encoded(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
