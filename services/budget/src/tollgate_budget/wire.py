"""Between the proto's messages and the ledger's terms: reads, checks every field, and writes.

Promises: what gets past here is within the bounds that the ledger, SQL and Lua rely on. A field
that is not is Failure INVALID_FIELD and nothing happens.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tollgate.budget.v1 import budget_pb2
from tollgate_budget.ledger.ledger import Denied, Reserve, Settle, Terms, Transfer, TransferId
from tollgate_budget.ledger.month import month_start_ms
from tollgate_budget.ledger.window import NO_LIMIT, AccountId, NanoUsd, Window
from tollgate_budget.rates.gcra import WINDOW_US_MAX, Cost, Limited, Rate
from tollgate_kit.rpc.failure import Failure, invalid_field

AMOUNT_MAX = 10**17  # $100 million in one call; sums of them stay far within a bigint
# As large as the log can tell exactly (RFC 8785); NO_LIMIT is the way to have more.
LIMIT_MAX = 2**53 - 1
TIMEOUT_MS_MAX = 24 * 3600 * 1000
ACCOUNTS_MAX = 8
RATES_MAX = 8
SETTLEMENTS_MAX = 256
COST_MAX = 10**12
TOKENS_MAX = 10**9
REASON_MAX = 500
PAGE_MAX = 1000
_RATES_REMEMBERED = 16_384
_ACCOUNTS_REMEMBERED = 16_384

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_ACCOUNT = re.compile(r"(?:key|group|tenant):[A-Za-z0-9_.-]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# No braces: they would move a bucket to another hash slot than its tenant's.
_BUCKET = re.compile(r"[!-z|~]{1,160}")
_TRACE = re.compile(r"[!-~]{1,128}")
_MODEL = re.compile(r"[^\x00-\x1f\x7f]{1,256}")


def read_reserve(request: budget_pb2.ReserveRequest) -> tuple[Reserve, tuple[Cost, ...]]:
    """A reserve and its rate costs. Raises Failure INVALID_FIELD."""
    accounts = tuple(request.account_ids)
    if not 1 <= len(accounts) <= ACCOUNTS_MAX or len(set(accounts)) != len(accounts):
        raise invalid_field("account_ids", "1 to 8, each once")
    timeout_ms = request.timeout.seconds * 1000 + request.timeout.nanos // 1_000_000
    _within(timeout_ms, 1, TIMEOUT_MS_MAX, "timeout")
    step = Reserve(
        reservation_id(request.reservation_id),
        tuple(map(account_id, accounts)),
        NanoUsd(_within(request.amount_nano_usd, 0, AMOUNT_MAX, "amount_nano_usd")),
        timeout_ms,
        _match(_NAME, request.tenant_id, "tenant_id"),
        _match(_TRACE, request.trace_id, "trace_id"),
        _match(_MODEL, request.model, "model"),
        Terms(
            _within(request.input_tokens, 0, TOKENS_MAX, "input_tokens"),
            _within(request.max_output_tokens, 0, TOKENS_MAX, "max_output_tokens"),
            _within(request.price_version, 0, COST_MAX, "price_version"),
        ),
    )
    return step, _read_costs(request.rate_costs)


def _read_costs(sent: Any) -> tuple[Cost, ...]:
    if not sent:
        return ()
    costs = tuple(map(_read_cost, sent)) if len(sent) <= RATES_MAX else ()
    if len({cost.rate.bucket for cost in costs}) != len(sent):
        raise invalid_field("rate_costs", "at most 8, each bucket once")
    return costs


def _read_cost(sent: Any) -> Cost:
    units = _within(sent.cost, 0, COST_MAX, "rate_costs.cost")
    cost = _rate(sent.bucket, sent.burst, sent.count, sent.period_ms).cost(units)
    if cost.take_us > WINDOW_US_MAX:
        raise _too_slow()
    return cost


# Three to a call, and the same for every call of a key.
@lru_cache(maxsize=_RATES_REMEMBERED)
def _rate(bucket: str, burst: int, count: int, period_ms: int) -> Rate:
    rate = Rate(
        _match(_BUCKET, bucket, "rate_costs.bucket"),
        _within(burst, 1, COST_MAX, "rate_costs.burst"),
        _within(count, 1, COST_MAX, "rate_costs.count"),
        _within(period_ms, 1, TIMEOUT_MS_MAX, "rate_costs.period_ms"),
    )
    if rate.window_us > WINDOW_US_MAX:
        raise _too_slow()
    return rate


def _too_slow() -> Failure:
    return invalid_field("rate_costs", "cost or burst lasts for centuries")


def read_settle(
    request: budget_pb2.SettleRequest,
) -> tuple[list[Settle], list[tuple[Cost, ...]]]:
    """Settlements in their order, and the rates that each gives back.

    Raises Failure INVALID_FIELD, for all of them.
    """
    if len(request.settlements) > SETTLEMENTS_MAX:
        raise invalid_field("settlements", "at most 256")
    steps = [
        Settle(
            reservation_id(sent.reservation_id),
            settled_amount(sent.amount_nano_usd),
            sent.trace_id,
            sent.quarantine,
        )
        for sent in request.settlements
    ]
    if any(step.quarantine and step.amount for step in steps):
        raise invalid_field("amount_nano_usd", "0 for what is quarantined")
    return steps, [_read_costs(sent.unused_rates) for sent in request.settlements]


def reservation_id(text: str) -> TransferId:
    return TransferId(_match(_UUID7, text, "reservation_id"))


@lru_cache(maxsize=_ACCOUNTS_REMEMBERED)
def account_id(text: str) -> AccountId:
    return AccountId(_match(_ACCOUNT, text, "account_id"))


def settled_amount(value: int) -> NanoUsd:
    return NanoUsd(_within(value, 0, AMOUNT_MAX, "amount_nano_usd"))


def limit(request: budget_pb2.SetLimitRequest) -> NanoUsd:
    """The limit to set, NO_LIMIT for none. Raises Failure INVALID_FIELD."""
    amount = request.monthly_limit_nano_usd
    if not request.no_limit:
        return NanoUsd(_within(amount, 0, LIMIT_MAX, "monthly_limit_nano_usd"))
    if amount:
        raise invalid_field("no_limit", "either this or an amount")
    if request.account_id.startswith("tenant:"):
        raise invalid_field("no_limit", "a tenant always has a limit")
    return NO_LIMIT


def account_ids(sent: Sequence[str]) -> list[AccountId]:
    """The accounts to read. Raises Failure INVALID_FIELD."""
    if len(sent) > PAGE_MAX:
        raise invalid_field("account_ids", f"at most {PAGE_MAX}")
    return [account_id(text) for text in sent]


def reason(text: str) -> str:
    if not text or len(text) > REASON_MAX:
        raise invalid_field("reason", "1 to 500 characters")
    return text


def _match(pattern: re.Pattern[str], text: str, field: str) -> str:
    if pattern.fullmatch(text) is None:
        raise invalid_field(field)
    return text


def _within(value: int, low: int, high: int, field: str) -> int:
    if not low <= value <= high:
        raise invalid_field(field, f"{low} to {high}")
    return value


def denied(outcome: Denied) -> budget_pb2.ReserveResponse:
    """Nobody knows when calls in flight will settle: no retry_after."""
    return budget_pb2.ReserveResponse(
        denial=budget_pb2.Denial(
            reason=int(outcome.reason),  # type: ignore[arg-type]  # the same numbers
            subject=outcome.subject,
            remaining=outcome.left,
            held_nano_usd=outcome.held,
        )
    )


def rates_left(costs: Sequence[Cost], ahead_us: Sequence[int]) -> list[budget_pb2.RateLeft]:
    """What each of the rates has left, and how long until it is full again."""
    # To the millisecond: what each call takes was rounded up, which is not to cost a unit here.
    return [
        budget_pb2.RateLeft(
            remaining=cost.rate.remaining(max(0, ahead - 1000)), full_after_ms=-(-ahead // 1000)
        )
        for cost, ahead in zip(costs, ahead_us, strict=True)
    ]


def limited(outcome: Limited, left: list[budget_pb2.RateLeft]) -> budget_pb2.ReserveResponse:
    """Rounded up to a microsecond: who waits that long finds room."""
    denial = budget_pb2.Denial(
        reason=budget_pb2.DENIAL_REASON_RATE_LIMITED,
        subject=outcome.bucket,
        remaining=outcome.remaining,
    )
    if outcome.wait_us is not None:
        seconds, micros = divmod(outcome.wait_us, 1_000_000)
        denial.retry_after.CopyFrom(Duration(seconds=seconds, nanos=micros * 1000))
    return budget_pb2.ReserveResponse(denial=denial, rates_left=left)


def account(window: Window) -> budget_pb2.Account:
    return budget_pb2.Account(
        account_id=window.account_id,
        window_start=_timestamp(month_start_ms(window.month)),
        limit_nano_usd=0 if window.limit == NO_LIMIT else window.limit,
        posted_nano_usd=window.posted,
        pending_nano_usd=window.pending,
        quarantined_nano_usd=window.quarantined,
        overrun_nano_usd=window.overrun,
        frozen=window.frozen,
        no_limit=window.limit == NO_LIMIT,
    )


def transfer(stored: Transfer) -> budget_pb2.Transfer:
    return budget_pb2.Transfer(
        reservation_id=stored.id,
        trace_id=stored.trace_id,
        state=int(stored.state),  # type: ignore[arg-type]  # the same numbers
        reserved_nano_usd=stored.reserved,
        posted_nano_usd=stored.posted,
        create_time=_timestamp(stored.create_ms),
        account_ids=stored.account_ids,
    )


def _timestamp(unix_ms: int) -> Timestamp:
    return Timestamp(seconds=unix_ms // 1000, nanos=unix_ms % 1000 * 1_000_000)
