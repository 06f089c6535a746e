"""BudgetService: Reserve and Settle, one call at a time or many in a session."""

from typing import Any

from tollgate.budget.v1 import budget_pb2, budget_pb2_grpc
from tollgate_budget import wire
from tollgate_budget.group_commit import GroupCommit
from tollgate_budget.ledger.ledger import Denied, Mismatch, Reserved, Settled
from tollgate_budget.rates.gcra import Limited
from tollgate_budget.token import TokenMaker
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.failure import mismatch
from tollgate_kit.rpc.session_server import SessionServer


class BudgetServicer(budget_pb2_grpc.BudgetServiceServicer):
    """Reserves and settles. A denial is an answer; a Failure says that there is none.

    After a Failure nothing was changed, unless it is OUTCOME_UNKNOWN: the same id is to be sent
    again.
    """

    def __init__(
        self, group: GroupCommit, tokens: TokenMaker, *, metrics: Metrics, log: Log
    ) -> None:
        self._group = group
        self._tokens = tokens
        self.sessions = SessionServer(
            self,
            budget_pb2.DESCRIPTOR.services_by_name["BudgetService"],
            budget_pb2.SessionResponse,
            metrics=metrics,
            log=log,
        )

    async def Reserve(
        self, request: budget_pb2.ReserveRequest, context: Any
    ) -> budget_pb2.ReserveResponse:
        del context
        step, costs = wire.read_reserve(request)
        outcome, ahead_us = await self._group.reserve(step, costs)
        if isinstance(outcome, Reserved):
            return budget_pb2.ReserveResponse(
                reservation=budget_pb2.Reservation(
                    reservation_id=step.id,
                    token=self._tokens.token(outcome.transfer),
                    remaining_nano_usd=outcome.left,
                ),
                replayed=outcome.replayed,
                rates_left=wire.rates_left(costs, ahead_us),
            )
        if isinstance(outcome, Limited):
            return wire.limited(outcome, wire.rates_left(costs, ahead_us))
        if isinstance(outcome, Mismatch):
            raise mismatch(step.id, outcome.field)
        assert isinstance(outcome, Denied)
        return wire.denied(outcome)

    async def Settle(
        self, request: budget_pb2.SettleRequest, context: Any
    ) -> budget_pb2.SettleResponse:
        del context
        steps, unused = wire.read_settle(request)
        outcomes = await self._group.apply(steps)
        response = budget_pb2.SettleResponse()
        for outcome, costs in zip(outcomes, unused, strict=True):
            assert isinstance(outcome, Settled)
            if costs and outcome.ended_for:
                self._group.give_back(outcome.ended_for, costs)
            response.results.add(
                state=int(outcome.state),
                overrun_nano_usd=outcome.overrun,
            )
        return response

    def Session(self, request_iterator: Any, context: Any) -> Any:
        return self.sessions.serve(request_iterator, context)
