"""BudgetAdminService: limits, and what timed out. Every change is evidence before it is made.

Promises: the intent is durable in audit, or nothing happens (AUDIT_NOT_DURABLE). The same
request gets its first answer again, and makes no further entry.
"""

from typing import Any

import grpc

from tollgate.audit.v1 import audit_pb2
from tollgate.budget.v1 import budget_pb2, budget_pb2_grpc
from tollgate_budget import wire
from tollgate_budget.ledger.ledger import Resolution, Resolve, Resolved
from tollgate_budget.ledger.store import AdminRequest, LedgerStore, OutcomeUnknown, SetLimit
from tollgate_budget.ledger.store import StoreUnavailable as Unavailable
from tollgate_budget.ledger.window import NO_LIMIT, Window
from tollgate_kit.changes.intent import record_intent
from tollgate_kit.clock import Clock
from tollgate_kit.evidence import OPERATOR_TENANT, EvidenceProducer
from tollgate_kit.logs import Log
from tollgate_kit.rpc.failure import (
    Failure,
    invalid_field,
    mismatch,
    not_found,
    outcome_unknown,
    store_unavailable,
)


class BudgetAdminServicer(budget_pb2_grpc.BudgetAdminServiceServicer):
    """What an operator may change in the ledger."""

    def __init__(
        self, store: LedgerStore, evidence: EvidenceProducer, *, clock: Clock, log: Log
    ) -> None:
        self._store = store
        self._evidence = evidence
        self._clock = clock
        self._log = log

    async def SetLimit(
        self, request: budget_pb2.SetLimitRequest, context: Any
    ) -> budget_pb2.SetLimitResponse:
        del context
        change = SetLimit(
            wire.account_id(request.account_id), wire.limit(request), open_only=request.open_only
        )
        answer = await self._change(
            AdminRequest(request.request_id, change),
            change.account_id,
            {
                "action": "open_account" if change.open_only else "set_limit",
                "account_id": change.account_id,
                "limit_nano_usd": None if change.limit == NO_LIMIT else change.limit,
            },
        )
        assert isinstance(answer, Window)
        return budget_pb2.SetLimitResponse(account=wire.account(answer))

    async def ResolveQuarantine(
        self, request: budget_pb2.ResolveQuarantineRequest, context: Any
    ) -> budget_pb2.ResolveQuarantineResponse:
        del context
        change = Resolve(
            wire.reservation_id(request.reservation_id),
            wire.settled_amount(request.amount_nano_usd),
            request.above_reserve,
        )
        answer = await self._change(
            AdminRequest(request.request_id, change),
            f"reservation:{change.id}",
            {
                "action": "resolve_quarantine",
                "reservation_id": change.id,
                "amount_nano_usd": change.amount,
                "reason": wire.reason(request.reason),
            },
        )
        assert isinstance(answer, Resolved)
        if answer.result is Resolution.NOT_FOUND:
            raise not_found("reservation", change.id)
        if answer.result is Resolution.NOT_QUARANTINED:
            raise invalid_field("reservation_id", "it did not time out")
        if answer.result is Resolution.CONFLICT:
            raise mismatch(change.id, "amount_nano_usd")
        if answer.result is Resolution.ABOVE_RESERVE:
            assert answer.transfer is not None
            raise Failure(
                grpc.StatusCode.FAILED_PRECONDITION,
                "ABOVE_RESERVE",
                id=change.id,
                reserved_nano_usd=str(answer.transfer.reserved),
            )
        assert answer.transfer is not None
        return budget_pb2.ResolveQuarantineResponse(transfer=wire.transfer(answer.transfer))

    async def _change(
        self, request: AdminRequest, subject: str, intent: dict[str, Any]
    ) -> Window | Resolved:
        """Evidence, then effect."""
        kind, _, owner = subject.partition(":")
        now_ms = self._clock.unix_ms()

        async def record() -> None:
            await record_intent(
                self._evidence,
                audit_pb2.ENTRY_KIND_BUDGET_CHANGED,
                intent,
                # Whose a key, a group or a reservation is, authz and the entries of its calls say.
                tenant_id=owner if kind == "tenant" else OPERATOR_TENANT,
                subject=subject,
                request_id=request.request_id,
                time_unix_ms=now_ms,
            )

        try:
            answer = await self._store.administer(request, record, now_ms=now_ms)
        except Unavailable:
            raise store_unavailable("postgres") from None
        except OutcomeUnknown:
            raise outcome_unknown() from None
        self._log.info("budget.changed", action=intent["action"], request_id=request.request_id)
        return answer
