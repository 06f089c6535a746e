"""BudgetReadService: accounts and transfers. It changes nothing."""

from typing import Any

from tollgate.budget.v1 import budget_pb2, budget_pb2_grpc
from tollgate_budget import wire
from tollgate_budget.ledger import State
from tollgate_budget.month import month_of
from tollgate_budget.store import LedgerStore, StoreUnavailable
from tollgate_kit.clock import Clock
from tollgate_kit.failure import invalid_field, not_found, store_unavailable

PAGE_MAX = 1000
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
        try:
            window = await self._store.account(identifier, month_of(self._clock.unix_ms()))
        except StoreUnavailable:
            raise store_unavailable("postgres") from None
        if window is None:
            raise not_found("account", identifier)
        return budget_pb2.GetAccountResponse(account=wire.account(window))

    async def ListTransfers(
        self, request: budget_pb2.ListTransfersRequest, context: Any
    ) -> budget_pb2.ListTransfersResponse:
        del context
        if not 0 <= request.page_size <= PAGE_MAX:
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
