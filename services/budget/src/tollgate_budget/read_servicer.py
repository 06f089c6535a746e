"""BudgetReadService: accounts and transfers. It changes nothing."""

from typing import Any

from tollgate.budget.v1 import budget_pb2, budget_pb2_grpc
from tollgate_budget import wire
from tollgate_budget.ledger.ledger import State
from tollgate_budget.ledger.month import month_of
from tollgate_budget.ledger.store import LedgerStore, StoreUnavailable
from tollgate_budget.ledger.window import AccountId
from tollgate_kit.clock import Clock
from tollgate_kit.rpc.failure import invalid_field, not_found, store_unavailable

PAGE_DEFAULT = 100


class BudgetReadServicer(budget_pb2_grpc.BudgetReadServiceServicer):
    """What an operator may see of the ledger."""

    def __init__(self, store: LedgerStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def GetAccount(
        self, request: budget_pb2.GetAccountRequest, context: Any
    ) -> budget_pb2.GetAccountResponse:
        del context
        identifier = wire.account_id(request.account_id)
        found = await self._accounts([identifier])
        if not found:
            raise not_found("account", identifier)
        return budget_pb2.GetAccountResponse(account=found[0])

    async def BatchGetAccounts(
        self, request: budget_pb2.BatchGetAccountsRequest, context: Any
    ) -> budget_pb2.BatchGetAccountsResponse:
        del context
        found = await self._accounts(wire.account_ids(request.account_ids))
        return budget_pb2.BatchGetAccountsResponse(accounts=found)

    async def _accounts(self, identifiers: list[AccountId]) -> list[budget_pb2.Account]:
        try:
            found = await self._store.accounts(identifiers, month_of(self._clock.unix_ms()))
        except StoreUnavailable:
            raise store_unavailable("postgres") from None
        return [wire.account(found[each]) for each in identifiers if each in found]

    async def ListTransfers(
        self, request: budget_pb2.ListTransfersRequest, context: Any
    ) -> budget_pb2.ListTransfersResponse:
        del context
        if not 0 <= request.page_size <= wire.PAGE_MAX:
            raise invalid_field("page_size", "at most 1000")
        if request.state not in (0, *State):
            raise invalid_field("state")
        size = request.page_size or PAGE_DEFAULT
        try:
            found = await self._store.transfers(
                wire.account_id(request.account_id),
                state=State(request.state) if request.state else None,
                before=wire.reservation_id(request.page_token) if request.page_token else None,
                limit=size + 1,
            )
        except StoreUnavailable:
            raise store_unavailable("postgres") from None
        page = found[:size]
        return budget_pb2.ListTransfersResponse(
            transfers=[wire.transfer(stored) for stored in page],
            next_page_token=page[-1].id if len(found) > size else "",
        )
