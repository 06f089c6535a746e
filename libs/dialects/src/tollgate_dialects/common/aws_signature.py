"""AWS's signature of a request, version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html.

Promises that the secret is in no header, and that what is signed is the request's host, path, time
and body.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SCOPE_END: Final = "aws4_request"
_DATE_CHARACTERS: Final = len("20261127")


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """An access key. `session_token` is empty for one that does not expire."""

    key_id: str
    secret: str
    session_token: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a signature holds: the region's and the service's names in AWS's words."""

    region: str
    service: str


def signed_headers(
    credentials: Credentials, scope: Scope, *, host: str, path: str, body: bytes, now: str
) -> dict[str, str]:
    """The headers that vouch for a POST without a query.

    `path` is percent-encoded as it is sent; `now` is UTC, as in 20261127T150000Z.
    """
    headers = {"host": host, "x-amz-date": now}
    if credentials.session_token:
        headers["x-amz-security-token"] = credentials.session_token
    names = ";".join(headers)
    canonical = "\n".join(
        (
            "POST",
            quote(path, safe="/~"),  # what is encoded is encoded once more
            "",
            *(f"{name}:{value}" for name, value in headers.items()),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    date = now[:_DATE_CHARACTERS]
    within = f"{date}/{scope.region}/{scope.service}/{_SCOPE_END}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{credentials.secret}".encode()
    for step in (date, scope.region, scope.service, _SCOPE_END):
        key = hmac.digest(key, step.encode(), hashlib.sha256)
    stated = f"{_ALGORITHM}\n{now}\n{within}\n{digest}".encode()
    signature = hmac.digest(key, stated, hashlib.sha256).hex()
    made = {
        "X-Amz-Date": now,
        "Authorization": (
            f"{_ALGORITHM} Credential={credentials.key_id}/{within}, "
            f"SignedHeaders={names}, Signature={signature}"
        ),
    }
    if credentials.session_token:
        made["X-Amz-Security-Token"] = credentials.session_token
    return made
