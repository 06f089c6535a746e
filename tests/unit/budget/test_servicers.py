"""The three services over the memory twins: fields, answers, failures, evidence before effect."""

import asyncio
import hmac
import io

import pytest

from tollgate.budget.v1 import budget_pb2
from tollgate_budget import wire
from tollgate_budget.admin_servicer import BudgetAdminServicer
from tollgate_budget.group_commit import GroupCommit, Limits
from tollgate_budget.keeper import Keeper
from tollgate_budget.ledger.store_memory import MemoryLedger
from tollgate_budget.measures import Measures
from tollgate_budget.rates.store_memory import MemoryRates
from tollgate_budget.read_servicer import BudgetReadServicer
from tollgate_budget.servicer import BudgetServicer
from tollgate_budget.token import TokenMaker
from tollgate_kit.clock import ManualClock
from tollgate_kit.ids import Ids
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc import context as rpc_context
from tollgate_kit.rpc.failure import Failure, audit_not_durable
from tollgate_kit.secret import Secret

KEY = Secret(b"k" * 32)
NOW = 1_795_000_000_000  # November 2026


class Evidence:
    """Takes entries, or does not: the part of the producer that the servicer uses."""

    def __init__(self):
        self.entries = []
        self.down = False

    async def append(self, kind, **entry):
        if self.down:
            raise audit_not_durable()
        self.entries.append((kind, entry))
        return len(self.entries)


class Service:
    def __init__(self):
        self.clock = ManualClock(unix_ms=NOW)
        self.ids = Ids(self.clock)
        self.store = MemoryLedger()
        self.evidence = Evidence()
        log = Log("budget", out=io.StringIO())
        metrics = Metrics("budget")
        measures = Measures(metrics)
        rates = MemoryRates(lambda: self.clock.unix_ms() * 1000)
        self.group = GroupCommit(
            self.store,
            rates,
            clock=self.clock,
            measures=measures,
            log=log,
            limits=Limits(pace_s=0),
        )
        self.budget = BudgetServicer(self.group, TokenMaker({1: KEY}), metrics=metrics, log=log)
        self.read = BudgetReadServicer(self.store, clock=self.clock)
        self.admin = BudgetAdminServicer(self.store, self.evidence, clock=self.clock, log=log)
        self.keeper = Keeper(self.store, self.group, clock=self.clock, measures=measures, log=log)

    async def __aenter__(self):
        self.group.start()
        await self.limit(100)
        self.evidence.entries.clear()
        return self

    async def __aexit__(self, *exc):
        await self.group.close()

    async def limit(self, value, **other):
        sent = {"request_id": self.ids.uuid7(), "account_id": "key:a", **other}
        request = budget_pb2.SetLimitRequest(monthly_limit_nano_usd=value, **sent)
        return (await self.admin.SetLimit(request, None)).account

    def request(self, amount=60, **other):
        request = budget_pb2.ReserveRequest(
            **{
                "reservation_id": self.ids.uuid7(),
                "account_ids": ["key:a"],
                "amount_nano_usd": amount,
                "trace_id": "trace",
                "tenant_id": "t1",
                "model": "gpt",
                "input_tokens": 9,
                "max_output_tokens": 8,
                "price_version": 7,
                **other,
            }
        )
        if "timeout" not in other:
            request.timeout.FromMilliseconds(60_000)
        return request

    async def settle(self, *pairs):
        request = budget_pb2.SettleRequest()
        for name, amount in pairs:
            request.settlements.add(reservation_id=name, amount_nano_usd=amount)
        results = (await self.budget.Settle(request, None)).results
        return [
            (
                budget_pb2.SettlementState.Name(r.state)[len("SETTLEMENT_STATE_") :],
                r.overrun_nano_usd,
            )
            for r in results
        ]

    async def account(self):
        request = budget_pb2.GetAccountRequest(account_id="key:a")
        return (await self.read.GetAccount(request, None)).account


async def test_a_reservation_carries_a_token_that_router_can_verify():
    """MAC over the claims exactly as they stand; a replay carries the same bytes."""
    async with Service() as service:
        request = service.request()
        answer = await service.budget.Reserve(request, None)
        assert 40 == answer.reservation.remaining_nano_usd
        token = budget_pb2.ReservationToken.FromString(answer.reservation.token)
        assert hmac.digest(KEY.reveal_bytes(), token.claims, "sha256") == token.mac
        claims = budget_pb2.ReservationClaims.FromString(token.claims)
        expected = (request.reservation_id, "t1", "gpt", 60, NOW + 60_000)
        assert expected == (
            claims.reservation_id,
            claims.tenant_id,
            claims.model,
            claims.amount_nano_usd,
            claims.expire_unix_ms,
        )
        assert (9, 8, 7) == (
            claims.input_tokens,
            claims.max_output_tokens,
            claims.price_version,
        )
        service.clock.advance(1)
        again = await service.budget.Reserve(request, None)
        assert (True, answer.reservation.token) == (again.replayed, again.reservation.token)


async def test_settlements_are_answered_in_their_order():
    """Each on its own: one that is not found does not disturb the others."""
    async with Service() as service:
        one, two = service.request(60), service.request(40)
        for request in (one, two):
            await service.budget.Reserve(request, None)
        pairs = [(one.reservation_id, 61), (service.ids.uuid7(), 1), (two.reservation_id, 0)]
        expected = [("POSTED", 1), ("NOT_FOUND", 0), ("RELEASED", 0)]
        assert expected == await service.settle(*pairs)
        account = await service.account()
        assert (61, 0, 1, False) == (
            account.posted_nano_usd,
            account.pending_nano_usd,
            account.overrun_nano_usd,
            account.frozen,
        )
        assert [] == await service.settle()


async def test_case_M9_unused_rates_are_given_back_by_the_settlement_that_ends_a_call():
    """Tokens that a call did not use are free again at once, and only once."""
    rate = {"bucket": "key:a:tokens", "burst": 100, "count": 100, "period_ms": 60_000}
    async with Service() as service:
        request = service.request(10, rate_costs=[budget_pb2.RateCost(cost=90, **rate)])
        await service.budget.Reserve(request, None)
        settlement = budget_pb2.Settlement(
            reservation_id=request.reservation_id,
            amount_nano_usd=1,
            unused_rates=[budget_pb2.RateCost(cost=80, **rate)],
        )
        both = budget_pb2.SettleRequest(settlements=[settlement, settlement])
        await service.budget.Settle(both, None)
        await service.budget.Settle(both, None)
        await asyncio.sleep(0.01)
        fits = service.request(10, rate_costs=[budget_pb2.RateCost(cost=90, **rate)])
        assert (await service.budget.Reserve(fits, None)).HasField("reservation")
        more = service.request(10, rate_costs=[budget_pb2.RateCost(cost=1, **rate)])
        assert (await service.budget.Reserve(more, None)).HasField("denial")


async def test_case_M1_an_unknown_end_is_quarantined_by_settle():
    """The amount stays counted and nothing is billed; a cost beside it makes no sense."""
    async with Service() as service:
        request = service.request(60)
        await service.budget.Reserve(request, None)
        unknown = budget_pb2.Settlement(reservation_id=request.reservation_id, quarantine=True)
        answer = await service.budget.Settle(budget_pb2.SettleRequest(settlements=[unknown]), None)
        assert budget_pb2.SETTLEMENT_STATE_QUARANTINED == answer.results[0].state
        account = await service.account()
        assert (0, 60, 60) == (
            account.posted_nano_usd,
            account.pending_nano_usd,
            account.quarantined_nano_usd,
        )
        unknown.amount_nano_usd = 1
        with pytest.raises(Failure, match="INVALID_FIELD"):
            await service.budget.Settle(budget_pb2.SettleRequest(settlements=[unknown]), None)


async def test_denials_are_answers_with_what_would_fit():
    """Money: no retry_after. Rates: the exact wait, and the bucket's name."""
    async with Service() as service:
        answer = await service.budget.Reserve(service.request(101), None)
        assert (budget_pb2.DENIAL_REASON_BUDGET_EXHAUSTED, "key:a", 100, False) == (
            answer.denial.reason,
            answer.denial.subject,
            answer.denial.remaining,
            answer.denial.HasField("retry_after"),
        )
        rate = budget_pb2.RateCost(bucket="key:a:rpm", cost=1, burst=1, count=7, period_ms=60_000)
        await service.budget.Reserve(service.request(1, rate_costs=[rate]), None)
        answer = await service.budget.Reserve(service.request(1, rate_costs=[rate]), None)
        assert budget_pb2.DENIAL_REASON_RATE_LIMITED == answer.denial.reason
        wait = answer.denial.retry_after
        assert ("key:a:rpm", 8, 571_429_000) == (answer.denial.subject, wait.seconds, wait.nanos)


BAD = [
    ("reservation_id", {"reservation_id": "x"}),
    ("reservation_id", {"reservation_id": "0197f000-0000-4000-8000-000000000000"}),
    ("account_ids", {"account_ids": []}),
    ("account_ids", {"account_ids": ["key:a", "key:a"]}),
    ("account_id", {"account_ids": ["key:a b"]}),
    ("account_id", {"account_ids": ["user:a"]}),
    ("amount_nano_usd", {"amount": -1}),
    ("amount_nano_usd", {"amount": wire.AMOUNT_MAX + 1}),
    ("timeout", {"timeout": None}),
    ("tenant_id", {"tenant_id": ""}),
    ("tenant_id", {"tenant_id": "a}b"}),
    ("trace_id", {"trace_id": "a\nb"}),
    ("model", {"model": ""}),
    ("model", {"model": "a\0b"}),
    ("rate_costs.bucket", {"rate_costs": [budget_pb2.RateCost(bucket="a{b}")]}),
    ("rate_costs.burst", {"rate_costs": [budget_pb2.RateCost(bucket="b")]}),
    (
        "rate_costs",
        {"rate_costs": [budget_pb2.RateCost(bucket="b", burst=1, count=1, period_ms=1)] * 2},
    ),
    (
        "rate_costs",
        {
            "rate_costs": [
                budget_pb2.RateCost(bucket="b", cost=10**12, burst=1, count=1, period_ms=10**7)
            ]
        },
    ),
]


@pytest.mark.parametrize(("field", "change"), BAD)
async def test_a_bad_field_is_named_and_nothing_happens(field, change):
    """What SQL, Lua or the ledger could trip over is refused before."""
    async with Service() as service:
        with pytest.raises(Failure) as refused:
            await service.budget.Reserve(service.request(**change), None)
        assert ("INVALID_FIELD", field) == (refused.value.reason, refused.value.metadata["field"])
        assert 0 == (await service.account()).pending_nano_usd


async def test_reusing_an_id_is_refused_loudly():
    """IDEMPOTENCY_MISMATCH with the field's name."""
    async with Service() as service:
        request = service.request()
        await service.budget.Reserve(request, None)
        request.amount_nano_usd = 61
        with pytest.raises(Failure) as refused:
            await service.budget.Reserve(request, None)
        assert ("IDEMPOTENCY_MISMATCH", "amount_nano_usd") == (
            refused.value.reason,
            refused.value.metadata["field"],
        )


async def test_promise_22_evidence_before_effect():
    """Audit down means refused and unchanged; up means the intent is in the log."""
    async with Service() as service:
        service.evidence.down = True
        with pytest.raises(Failure, match="AUDIT_NOT_DURABLE"):
            await service.limit(999)
        assert 100 == (await service.account()).limit_nano_usd
        service.evidence.down = False
        rpc_context.set_caller("operator")
        await service.limit(200, request_id="r1")
        (_, entry) = service.evidence.entries[0]
        assert ("operator", "key:a", "r1") == tuple(
            entry[k] for k in ("tenant_id", "subject", "trace_id")
        )
        assert ("set_limit", "key:a", 200, "r1", "operator") == tuple(
            entry["payload"][k]
            for k in ("action", "account_id", "limit_nano_usd", "request_id", "actor")
        )
        await service.limit(200, account_id="tenant:t1")
        assert "t1" == service.evidence.entries[-1][1]["tenant_id"]
        entries = len(service.evidence.entries)
        with pytest.raises(Failure, match="MISMATCH"):
            await service.limit(300, request_id="r1")
        assert 200 == (await service.limit(200, request_id="r1")).limit_nano_usd
        assert entries == len(service.evidence.entries)


async def test_case_M13_a_limit_is_an_amount_or_none_and_a_tenant_always_has_one():
    """What is not clear is refused and changes nothing; no limit is shown as such, never as 0."""
    async with Service() as service:
        shown = await service.limit(0, no_limit=True)
        assert (0, True, False) == (shown.limit_nano_usd, shown.no_limit, shown.frozen)
        ((_, entry),) = service.evidence.entries
        assert entry["payload"]["limit_nano_usd"] is None
        for value, account in ((5, "key:a"), (0, "tenant:a")):
            with pytest.raises(Failure, match="INVALID_FIELD"):
                await service.limit(value, account_id=account, no_limit=True)
        assert shown == await service.account()
        assert 7 == (await service.limit(7)).limit_nano_usd
        assert not (await service.account()).no_limit


async def test_opening_says_so_in_the_log_and_a_limit_that_the_log_cannot_tell_is_refused():
    """`open_only` keeps the limit of an open account; 2**53 nano-USD are refused before an entry."""
    async with Service() as service:
        with pytest.raises(Failure, match="INVALID_FIELD"):
            await service.limit(2**53)
        assert 100 == (await service.limit(7, open_only=True)).limit_nano_usd
        ((_, entry),) = service.evidence.entries
        assert "open_account" == entry["payload"]["action"]


async def test_accounts_are_read_together():
    """Those that are open, in the order asked for; too many, or one that is none, is refused."""
    async with Service() as service:
        await service.limit(5, account_id="key:b")
        request = budget_pb2.BatchGetAccountsRequest(account_ids=["key:b", "key:none", "key:a"])
        answer = await service.read.BatchGetAccounts(request, None)
        assert ["key:b", "key:a"] == [account.account_id for account in answer.accounts]
        for wrong in (["key:a"] * 1001, ["key:a", "nobody"]):
            request = budget_pb2.BatchGetAccountsRequest(account_ids=wrong)
            with pytest.raises(Failure, match="INVALID_FIELD"):
                await service.read.BatchGetAccounts(request, None)


async def test_what_timed_out_is_quarantined_listed_and_resolved():
    """The edge died: counted, visible, ended by an operator at its true cost."""
    async with Service() as service:
        request = service.request(60)
        await service.budget.Reserve(request, None)
        assert 0 == await service.keeper.sweep()
        service.clock.advance(61)
        assert 1 == await service.keeper.sweep()
        account = await service.account()
        assert (60, 60) == (account.pending_nano_usd, account.quarantined_nano_usd)
        listing = budget_pb2.ListTransfersRequest(
            account_id="key:a", state=budget_pb2.TRANSFER_STATE_QUARANTINED
        )
        (found,) = (await service.read.ListTransfers(listing, None)).transfers
        assert request.reservation_id == found.reservation_id
        resolve = budget_pb2.ResolveQuarantineRequest(
            request_id="r", reservation_id=found.reservation_id, reason="bill"
        )
        resolve.amount_nano_usd = 61
        with pytest.raises(Failure, match="ABOVE_RESERVE"):
            await service.admin.ResolveQuarantine(resolve, None)
        resolve.amount_nano_usd = 9
        answer = await service.admin.ResolveQuarantine(resolve, None)
        ended = answer.transfer
        assert (budget_pb2.TRANSFER_STATE_POSTED, 9) == (ended.state, ended.posted_nano_usd)
        account = await service.account()
        assert (9, 0) == (account.posted_nano_usd, account.quarantined_nano_usd)
        resolve.reservation_id = service.ids.uuid7()
        resolve.request_id = "r2"
        with pytest.raises(Failure, match="NOT_FOUND"):
            await service.admin.ResolveQuarantine(resolve, None)
        assert 0 == await service.keeper.check()


async def test_lists_come_in_pages():
    """The token continues where the page ended; none after the last."""
    async with Service() as service:
        names = []
        for _ in range(5):
            request = service.request(1)
            service.clock.advance(0.01)
            await service.budget.Reserve(request, None)
            names.append(request.reservation_id)
        seen, token = [], ""
        while True:
            request = budget_pb2.ListTransfersRequest(
                account_id="key:a", page_size=2, page_token=token
            )
            page = await service.read.ListTransfers(request, None)
            seen += [t.reservation_id for t in page.transfers]
            if not (token := page.next_page_token):
                break
        assert sorted(names, reverse=True) == seen
        with pytest.raises(Failure, match="NOT_FOUND"):
            nobody = budget_pb2.GetAccountRequest(account_id="key:nobody")
            await service.read.GetAccount(nobody, None)
