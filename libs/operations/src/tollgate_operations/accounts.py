"""Accounts in budget, the one owner of what a tenant, a group or a key may spend.

Promises: an account that was opened keeps its limit until `set_limit` changes it. Amounts are
nano-USD a calendar month; None is no limit, which only groups and keys may have.
"""

from collections.abc import Sequence
from typing import Any

from tollgate.budget.v1 import budget_pb2
from tollgate_operations.request_ids import derived_request_id
from tollgate_operations.services import Services

# As many as budget answers at once.
_BATCH = 1000


async def set_limit(services: Services, account_id: str, limit: int | None, request_id: str) -> Any:
    """Opens an account, or changes its limit; as it stands then."""
    return await _set(services, account_id, limit, request_id, open_only=False)


async def _set(
    services: Services, account_id: str, limit: int | None, request_id: str, *, open_only: bool
) -> Any:
    request = budget_pb2.SetLimitRequest(
        request_id=request_id,
        account_id=account_id,
        monthly_limit_nano_usd=limit or 0,
        no_limit=limit is None,
        open_only=open_only,
    )
    answer = await services.call(services.budget.SetLimit, request)
    return answer.account


async def open_account(
    services: Services, account_id: str, limit: int | None, owner_request_id: str
) -> Any:
    """Gives an account its first limit; one that is open is returned as it is.

    A limit that somebody sets meanwhile stays. `owner_request_id` is that of the change which
    made the owner: whoever repeats that change opens the account once.
    """
    found = await accounts(services, [account_id])
    if found:  # nothing to change, so nothing to write into the log
        return found[account_id]
    request_id = derived_request_id(owner_request_id, "open")
    return await _set(services, account_id, limit, request_id, open_only=True)


async def accounts(services: Services, account_ids: Sequence[str]) -> dict[str, Any]:
    """The accounts that are open, by id. One that is not is refused every call."""
    found: dict[str, Any] = {}
    for start in range(0, len(account_ids), _BATCH):
        request = budget_pb2.BatchGetAccountsRequest(
            account_ids=account_ids[start : start + _BATCH]
        )
        answer = await services.call(services.budget_read.BatchGetAccounts, request)
        found.update((account.account_id, account) for account in answer.accounts)
    return found


def limit_of(account: Any) -> int | None:
    """The account's limit in nano-USD; None for none."""
    limit: int = account.limit_nano_usd
    return None if account.no_limit else limit
