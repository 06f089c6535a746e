"""A service account of Google's, as its JSON file has it: who it is, and where it gets tokens.

Promises that a file that is no such account is refused in words that repeat nothing of it.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

_TYPE: Final = "service_account"
_WORD = re.compile(r"[\x21-\x7e]{1,512}")
_PEM = re.compile(
    r"-----BEGIN (?:RSA )?PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]{64,})"
    r"-----END (?:RSA )?PRIVATE KEY-----"
)


class BadAccountError(ValueError):
    """A file that is no service account. `why` names the rule and repeats nothing."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True, repr=False)
class ServiceAccount:
    """Who signs, with which key, and where what was signed is exchanged for a token."""

    email: str
    key_id: str
    # PEM.
    private_key: str
    token_uri: str


def parse(key: str) -> ServiceAccount | None:
    """The account that an upstream key is; None: it is none. Raises BadAccountError."""
    if not key.startswith("{"):
        return None
    try:
        document = orjson.loads(key)
    except orjson.JSONDecodeError:
        raise BadAccountError("not JSON") from None
    if document.get("type") != _TYPE:
        raise BadAccountError(f'its type is not "{_TYPE}"')
    private_key = document.get("private_key")
    if not isinstance(private_key, str) or not _PEM.search(private_key):
        raise BadAccountError("without a private_key in PEM")
    return ServiceAccount(
        _word(document, "client_email"),
        _word(document, "private_key_id"),
        private_key,
        _word(document, "token_uri"),
    )


def _word(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise BadAccountError(f"without a {name}")
    return value


def secrets_in(key: str) -> tuple[str, ...]:
    """What of an upstream key nobody may see: of an account also its private key, line by line."""
    try:
        account = parse(key)
    except BadAccountError:
        account = None
    if account is None:
        return (key,)
    found = _PEM.search(account.private_key)
    assert found, "parse() looked at it"
    lines = found[1].split()
    return (key, account.private_key, "".join(lines), *lines)
