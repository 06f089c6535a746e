"""Issues keys, each with its account.

Promises: a key that cannot be given its account is not lost, and is refused every call.
"""

from dataclasses import dataclass

from tollgate.authz.v1 import authz_pb2
from tollgate.budget.v1 import budget_pb2
from tollgate_kit.secret import Secret
from tollgate_operations.accounts import open_account
from tollgate_operations.services import Services


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key, its text, which is shown this once, and its account, None while it is not open."""

    key: authz_pb2.Key
    secret: Secret
    account: budget_pb2.Account | None


class AccountNotOpenedError(Exception):
    """The key was made, and nothing can be spent with it yet. Its cause says why."""

    def __init__(self, issued: IssuedKey) -> None:
        super().__init__(issued.key.key_id)
        self.issued = issued


async def issue_key(
    services: Services, request: authz_pb2.IssueKeyRequest, limit: int | None
) -> IssuedKey:
    """Makes a key; `limit` in nano-USD a month, None for none of its own.

    Raises AccountNotOpenedError.
    """
    answer = await services.call(services.authz.IssueKey, request)
    secret = Secret(answer.secret)
    try:
        account = await open_account(
            services, f"key:{answer.key.key_id}", limit, request.request_id
        )
    except Exception as cause:  # whatever it is, the key's text is not lost
        raise AccountNotOpenedError(IssuedKey(answer.key, secret, None)) from cause
    return IssuedKey(answer.key, secret, account)
