"""How an upstream key vouches for a call of Amazon Bedrock, whichever operation is called.

A key is a Bedrock API key, or an access key written as ID:SECRET or ID:SECRET:SESSION-TOKEN, with
which each request is signed.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from tollgate_dialects.common import aws_signature
from tollgate_dialects.dialect import Asked, Envelope, Outgoing, Signer, UpstreamEndpoint

_ACCESS_KEY = re.compile(r"([A-Z0-9]{16,128}):([^:]+)(?::([^:]+))?")
# As in bedrock-runtime.eu-west-1.amazonaws.com, also inside of a network of one's own.
_HOST = re.compile(r"(?:^|\.)bedrock-runtime(?:-fips)?\.(?P<region>[a-z]{2}[a-z0-9-]+)\.")
_SERVICE: Final = "bedrock"
# Where a host does not say its region.
_USUAL_REGION: Final = "us-east-1"


def of(whole: str, stream: str, envelope: Envelope | None = None) -> UpstreamEndpoint:
    """An operation for answers in one piece and one for streams, both of a model in the path.

    A model is called by its id or by the ARN of a profile.
    """

    def path_below(_base_path: str, asked: Asked) -> str:
        return f"/model/{quote(asked.model, safe='')}/{stream if asked.stream else whole}"

    return UpstreamEndpoint(
        path_below=path_below,
        is_one_path=False,
        key_headers=_key_headers,
        secrets_in=_secrets_in,
        signer=_signer,
        envelope=envelope,
    )


def _key_headers(key: str) -> dict[str, str]:
    return {} if _ACCESS_KEY.fullmatch(key) else {"Authorization": f"Bearer {key}"}


def _secrets_in(key: str) -> tuple[str, ...]:
    """Of an access key the secret and the token as well; its id is in every request."""
    found = _ACCESS_KEY.fullmatch(key)
    return (key, *(piece for piece in found.groups()[1:] if piece)) if found else (key,)


def _signer(key: str) -> Signer | None:
    found = _ACCESS_KEY.fullmatch(key)
    if found is None:
        return None
    credentials = aws_signature.Credentials(found[1], found[2], found[3] or "")

    def sign(outgoing: Outgoing) -> Mapping[str, str]:
        return aws_signature.signed_headers(
            credentials,
            aws_signature.Scope(_region(outgoing.host), _SERVICE),
            host=outgoing.host,
            path=outgoing.target,
            body=outgoing.body,
            now=outgoing.now,
        )

    return sign


def _region(host: str) -> str:
    found = _HOST.search(host)
    return found["region"] if found else _USUAL_REGION
