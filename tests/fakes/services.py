"""authz, budget, router and audit as real gRPC servers that do what a test scripts.

Each keeps what it was asked, so that a test can say what must have been true of it.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable

from tests.mesh import quiet_log
from tollgate.audit.v1 import audit_pb2, audit_pb2_grpc
from tollgate.authz.v1 import authz_pb2, authz_pb2_grpc
from tollgate.budget.v1 import budget_pb2, budget_pb2_grpc
from tollgate.router.v1 import router_pb2, router_pb2_grpc
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.rpc.session_server import SessionServer

ANY_CALLER = ("edge-api",)


class FakeAuthz(authz_pb2_grpc.AuthzServiceServicer):
    """Grants by key text; pushes what a test puts into `changes`, and heartbeats."""

    def __init__(self) -> None:
        self.decisions: dict[str, authz_pb2.Decision] = {}
        self.checks: list[authz_pb2.CheckRequest] = []
        self.changes: asyncio.Queue[authz_pb2.WatchRevocationsResponse] = asyncio.Queue()
        self.revision = 1
        self.gate = asyncio.Event()
        self.gate.set()

    def grant(self, key: str, **fields: object) -> None:
        values = {
            "tenant_id": "t1",
            "key_id": "k1",
            "budget_account_ids": ["key:k1", "tenant:t1"],
            **fields,
        }
        self.decisions[key] = authz_pb2.Decision(grant=authz_pb2.Grant(**values))

    def deny(self, key: str, reason: int) -> None:
        self.decisions[key] = authz_pb2.Decision(denial=authz_pb2.Denial(reason=reason))

    async def Check(self, request, context):
        self.checks.append(request)
        await self.gate.wait()
        unknown = authz_pb2.Denial(reason=authz_pb2.DENIAL_REASON_UNKNOWN_KEY)
        decision = self.decisions.get(request.presented_key, authz_pb2.Decision(denial=unknown))
        answer = authz_pb2.CheckResponse(decision=decision, revision=self.revision)
        answer.max_age.seconds = 30
        return answer

    async def WatchRevocations(self, request, context):
        while True:
            yield authz_pb2.WatchRevocationsResponse(through_revision=self.revision)
            try:
                async with asyncio.timeout(0.1):
                    change = await self.changes.get()
            except TimeoutError:
                continue
            self.revision = change.through_revision
            yield change


class FakeBudget(budget_pb2_grpc.BudgetServiceServicer):
    """Grants every reservation unless scripted; remembers what became of each."""

    def __init__(self) -> None:
        self.sessions = SessionServer(
            self,
            budget_pb2.DESCRIPTOR.services_by_name["BudgetService"],
            budget_pb2.SessionResponse,
            metrics=Metrics("test"),
            log=quiet_log(),
        )
        self.asked: list[str] = []
        self.reserved: dict[str, budget_pb2.ReserveRequest] = {}
        self.settled: dict[str, list[int | str]] = {}
        self.unused: list[budget_pb2.RateCost] = []
        self.batches: list[int] = []
        self.denial: budget_pb2.Denial | None = None
        # What it says of the rates, whatever was asked for.
        self.rates_left: list[budget_pb2.RateLeft] = []
        # The tenant whose calls it meets; empty: all.
        self.denied = ""
        self.failures: list[Failure] = []
        self.settle_failures: list[Failure] = []

    async def Reserve(self, request, context):
        self.asked.append(request.reservation_id)
        if self.failures:
            raise self.failures.pop()
        if self.denial is not None and self.denied in ("", request.tenant_id):
            return budget_pb2.ReserveResponse(denial=self.denial, rates_left=self.rates_left)
        self.reserved[request.reservation_id] = request
        return budget_pb2.ReserveResponse(
            reservation=budget_pb2.Reservation(
                reservation_id=request.reservation_id,
                token=b"token of " + request.reservation_id.encode(),
                remaining_nano_usd=5_000_000_000 - request.amount_nano_usd,
            ),
            rates_left=self.rates_left,
        )

    async def Settle(self, request, context):
        if self.settle_failures:
            raise self.settle_failures.pop()
        self.batches.append(len(request.settlements))
        results = []
        for settlement in request.settlements:
            known = settlement.reservation_id in self.reserved
            self.unused += settlement.unused_rates
            self.settled.setdefault(settlement.reservation_id, []).append(
                "quarantined" if settlement.quarantine else settlement.amount_nano_usd
            )
            posted = settlement.amount_nano_usd > 0
            state = budget_pb2.SETTLEMENT_STATE_NOT_FOUND
            if known:
                state = (
                    budget_pb2.SETTLEMENT_STATE_POSTED
                    if posted
                    else budget_pb2.SETTLEMENT_STATE_RELEASED
                )
            results.append(budget_pb2.SettlementResult(state=state))
        return budget_pb2.SettleResponse(results=results)

    def Session(self, requests, context):
        return self.sessions.serve(requests, context)

    def charges(self) -> list[list[int]]:
        """For each reservation, the amounts it was settled with: exactly one each, if all is well."""
        return [self.settled.get(reservation_id, []) for reservation_id in self.reserved]


Script = Callable[[router_pb2.ExecuteRequest], AsyncIterator[router_pb2.ExecuteResponse]]


class FakeRouter(router_pb2_grpc.RouterServiceServicer):
    """Plays `script` for each Execute."""

    def __init__(self, script: Script) -> None:
        self.sessions = SessionServer(
            self,
            router_pb2.DESCRIPTOR.services_by_name["RouterService"],
            router_pb2.SessionResponse,
            metrics=Metrics("test"),
            log=quiet_log(),
        )
        self.script = script
        self.requests: list[router_pb2.ExecuteRequest] = []
        self.cancelled = 0
        self.ended = 0
        self.revision = 1
        # What it knows of stored responses, and what it was asked about them.
        self.found = router_pb2.FindStoredResponse(denial=router_pb2.STORED_DENIAL_NOT_FOUND)
        self.told = router_pb2.AskStoredResponse(denial=router_pb2.STORED_DENIAL_NOT_FOUND)
        self.asked: list[router_pb2.AskStoredRequest | router_pb2.FindStoredRequest] = []
        self.models = [
            model("m-openai", 1),
            model("m-anthropic", 2),
            model("m-both", 1, 2),
            model("m-gemini", router_pb2.CLIENT_PROTOCOL_GEMINI),
            model("m-responses", router_pb2.CLIENT_PROTOCOL_OPENAI_RESPONSES),
        ]

    async def Execute(self, request, context):
        self.requests.append(request)
        try:
            async for message in self.script(request):
                yield message
            self.ended += 1
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise

    async def FindStored(self, request, context):
        self.asked.append(request)
        return self.found

    async def AskStored(self, request, context):
        self.asked.append(request)
        return self.told

    async def ListModels(self, request, context):
        if request.if_newer_than_revision == self.revision:
            return router_pb2.ListModelsResponse(revision=self.revision)
        return router_pb2.ListModelsResponse(models=self.models, revision=self.revision)

    def Session(self, requests, context):
        return self.sessions.serve(requests, context)


def model(name: str, *protocols: int) -> router_pb2.Model:
    """A model at $1 a million tokens in, $2 out."""
    return router_pb2.Model(
        model=name,
        protocols=protocols,
        display_name=name.upper(),
        owned_by="demo",
        price=router_pb2.Price(
            model=name,
            version=3,
            input_pico_usd=1_000_000,
            output_pico_usd=2_000_000,
            cache_read_pico_usd=100_000,
            cache_write_5m_pico_usd=1_250_000,
            cache_write_1h_pico_usd=2_000_000,
            max_input_tokens=100_000,
            max_output_tokens=1000,
            source="seed",
        ),
    )


class FakeAudit(
    audit_pb2_grpc.AuditServiceServicer,
    audit_pb2_grpc.AuditReceiptServiceServicer,
):
    """Keeps entries; `hold` names the kinds that are not acknowledged until it is cleared."""

    def __init__(self) -> None:
        self.sessions = SessionServer(
            self,
            audit_pb2.DESCRIPTOR.services_by_name["AuditService"],
            audit_pb2.SessionResponse,
            metrics=Metrics("test"),
            log=quiet_log(),
        )
        self.entries: list[audit_pb2.Entry] = []
        self._sequences: Counter[str] = Counter()
        self.hold: set[int] = set()
        self.released = asyncio.Event()

    def release(self) -> None:
        self.hold.clear()
        self.released.set()

    async def Append(self, request, context):
        if any(entry.kind in self.hold for entry in request.entries):
            self.released.clear()
            await self.released.wait()
        indices = []
        for entry in request.entries:
            if entry.sequence == self._sequences[request.producer_id] + 1:
                self._sequences[request.producer_id] = entry.sequence
                self.entries.append(entry)
            indices.append(len(self.entries) - 1)
        return audit_pb2.AppendResponse(indices=indices)

    async def GetCall(self, request, context):
        found = [
            audit_pb2.StoredEntry(index=index, leaf=leaf(entry))
            for index, entry in enumerate(self.entries)
            if (entry.tenant_id, entry.trace_id) == (request.tenant_id, request.trace_id)
        ]
        return audit_pb2.GetCallResponse(entries=found)

    def Session(self, requests, context):
        return self.sessions.serve(requests, context)

    def of(self, kind: int) -> list[dict]:
        """Payloads of the durable entries of a kind."""
        return [json.loads(entry.payload) for entry in self.entries if entry.kind == kind]


def leaf(entry: audit_pb2.Entry) -> bytes:
    """As audit stores it."""
    kind = audit_pb2.EntryKind.Name(entry.kind).removeprefix("ENTRY_KIND_")
    document = {
        "kind": kind,
        "payload": json.loads(entry.payload),
        "tenant": entry.tenant_id,
        "trace_id": entry.trace_id,
    }
    return json.dumps(document).encode()
