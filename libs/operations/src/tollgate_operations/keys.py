"""Issues keys, each with its account.

Promises: the text of a key is shown as soon as there is a key, whatever comes after. A key that
could not be given its account is refused every call.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tollgate.authz.v1 import authz_pb2
from tollgate_kit.secret import Secret
from tollgate_operations.accounts import open_account
from tollgate_operations.services import Services


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key, and its text, which is shown this once."""

    key: authz_pb2.Key
    secret: Secret


class AccountNotOpenedError(Exception):
    """The key was made and shown, and nothing can be spent with it yet. Its cause says why."""

    def __init__(self, key_id: str) -> None:
        super().__init__(key_id)
        self.key_id = key_id


class TextLostError(Exception):
    """The key was made by an earlier try whose answer was lost: nobody has its text."""

    def __init__(self, key_id: str) -> None:
        super().__init__(key_id)
        self.key_id = key_id


async def issue_key(
    services: Services,
    request: authz_pb2.IssueKeyRequest,
    limit: int | None,
    *,
    show: Callable[[IssuedKey], None],
) -> Any:
    """Makes a key, shows it, opens its account and returns that.

    `limit` in nano-USD a month, None for none of its own. `show` is called before anything else
    can fail or be interrupted. Raises TextLostError, AccountNotOpenedError.
    """
    answer = await services.call(services.authz.IssueKey, request)
    key_id = answer.key.key_id
    if not answer.secret:
        raise TextLostError(key_id)
    show(IssuedKey(answer.key, Secret(answer.secret)))
    try:
        return await open_account(services, f"key:{key_id}", limit, request.request_id)
    except Exception as cause:  # of whatever kind the caller's failures are
        raise AccountNotOpenedError(key_id) from cause
