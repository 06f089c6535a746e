"""The ledger store seam: each promise, held by the memory twin and by PostgreSQL alike."""

import asyncio
from functools import partial

import pytest

from tests.contract.ledger_on_postgres import nothing
from tollgate_budget.group_commit import GroupCommit, Limits
from tollgate_budget.ledger.ledger import (
    DenialReason,
    Denied,
    Mismatch,
    Quarantine,
    Quarantined,
    Reserve,
    Reserved,
    Resolution,
    Resolve,
    Resolved,
    Settle,
    Settled,
    Settlement,
    State,
)
from tollgate_budget.ledger.month import month_of, month_start_ms
from tollgate_budget.ledger.postgres_writer import PostgresWriter, connect
from tollgate_budget.ledger.store import AdminRequest, SetLimit
from tollgate_budget.ledger.store_memory import MemoryLedger
from tollgate_budget.ledger.store_postgres import PostgresLedger
from tollgate_budget.ledger.window import NO_LIMIT, AccountId, NanoUsd
from tollgate_budget.measures import Measures
from tollgate_budget.rates.store_memory import MemoryRates
from tollgate_kit.clock import ManualClock, SystemClock
from tollgate_kit.config import PostgresConfig
from tollgate_kit.ids import Ids
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.postgres import pool as pg
from tollgate_kit.rpc.failure import Failure, audit_not_durable
from tollgate_kit.secret import Secret

NOW = month_start_ms(202611) + 86_400_000
NOVEMBER = month_of(NOW)
DECEMBER_MS = month_start_ms(202612)
A, B, C = AccountId("key:a"), AccountId("group:b"), AccountId("tenant:c")
ids = Ids(SystemClock())


@pytest.fixture(params=["memory", "postgres"])
async def open_store(request):
    """Opens one more store over the same rows on each call."""
    if request.param == "memory":
        memory = MemoryLedger()

        async def same():
            return memory

        yield same
        return
    config = PostgresConfig(Secret(request.getfixturevalue("postgres_dsn")()), 1, 4)
    await pg.migrate(config, package="tollgate_budget")
    opened = []

    async def another():
        pool = await pg.open_pool(config, name="test")
        writer = PostgresWriter(partial(connect, config.dsn))
        opened.append((writer, pool))
        return PostgresLedger(writer, pool)

    yield another
    for writer, pool in opened:
        await writer.close()
        await pool.close()


@pytest.fixture
async def store(open_store):
    store = await open_store()
    for account in (A, B, C):
        await limit(store, account, 100)
    yield store
    assert 0 == await store.violations()


async def limit(store, account, value, *, now_ms=NOW, request_id=None):
    change = SetLimit(account, NanoUsd(value))
    request = AdminRequest(request_id or ids.uuid7(), change)
    return await store.administer(request, nothing, now_ms=now_ms)


def reserve(amount, *accounts, name=None, **other):
    step = Reserve(
        name or ids.uuid7(), accounts or (A, B, C), NanoUsd(amount), 60_000, "t1", "tr", "gpt"
    )
    return step._replace(**other)


async def sums(store, account=A, month=NOVEMBER):
    window = (await store.accounts([account], month))[account]
    return (window.posted, window.pending, window.quarantined)


async def test_reserve_settle_release_and_their_repeats(store):
    """All accounts move together; each repeat gets the first answer, in one batch or in many."""
    first, second = reserve(60), reserve(40)
    one, two, three = await store.apply([first, second, reserve(1)], now_ms=NOW)
    assert (40, 0) == (one.left, two.left)
    assert Denied(DenialReason.BUDGET_HELD, A, 0, held=100) == three
    assert (0, 100, 0) == await sums(store, C)
    (again,) = await store.apply([first], now_ms=NOW + 5)
    assert (True, one.transfer) == (again.replayed, again.transfer)
    settles = [Settle(first.id, NanoUsd(25)), Settle(second.id, NanoUsd(0)), Settle(ids.uuid7(), 1)]
    expected = [Settled(Settlement.POSTED), Settled(Settlement.RELEASED)]
    expected.append(Settled(Settlement.NOT_FOUND))
    assert expected == await store.apply(settles, now_ms=NOW)
    assert expected == await store.apply(settles, now_ms=NOW)
    assert [Settled(Settlement.CONFLICT)] == await store.apply([Settle(first.id, 26)], now_ms=NOW)
    assert (25, 0, 0) == await sums(store, B)


async def test_reserve_and_settle_within_one_batch(store):
    """What a batch reserved it may settle; what it settled opens nothing again."""
    step = reserve(60)
    outcomes = await store.apply([step, Settle(step.id, NanoUsd(7)), step], now_ms=NOW)
    assert [Settled(Settlement.POSTED)] == [o for o in outcomes if isinstance(o, Settled)]
    assert [False] == [o.replayed for o in outcomes if isinstance(o, Reserved)]
    assert Denied(DenialReason.RESERVATION_ENDED, A, 0) == outcomes[2]
    assert (7, 0, 0) == await sums(store)


async def test_other_content_under_the_same_id_is_a_mismatch(store):
    """Nothing changes, and the field is named."""
    step = reserve(10)
    await store.apply([step], now_ms=NOW)
    others = [step._replace(amount=11), step._replace(account_ids=(A,)), step._replace(model="x")]
    expected = [Mismatch("amount_nano_usd"), Mismatch("account_ids"), Mismatch("model")]
    assert expected == await store.apply(others, now_ms=NOW)
    assert (0, 10, 0) == await sums(store)


async def test_unknown_accounts_are_refused(store):
    """An account nobody set a limit for: refused, and it does not come into being."""
    outcome = await store.apply([reserve(1, A, AccountId("key:nobody"))], now_ms=NOW)
    assert [Denied(DenialReason.ACCOUNT_UNKNOWN, AccountId("key:nobody"), 0)] == outcome
    assert {} == await store.accounts([AccountId("key:nobody")], NOVEMBER)
    assert (0, 0, 0) == await sums(store)


async def test_any_text_that_a_client_may_send_comes_back(store):
    """Models and trace ids are text, not array syntax or SQL."""
    for text in ('a"b', "a\\", "{a,b}", "NULL", "', ''); --", "模型 ü", "%s $1", " "):
        step = reserve(0, A, model=text, trace_id=text)
        (outcome,) = await store.apply([step], now_ms=NOW)
        (again,) = await store.apply([step], now_ms=NOW)
        assert (text, text, True) == (
            outcome.transfer.model,
            again.transfer.trace_id,
            again.replayed,
        )


async def test_an_overrun_is_posted_and_freezes(store):
    """The truth is never refused; the account opens again under a limit that covers it."""
    step = reserve(60, A)
    await store.apply([step], now_ms=NOW)
    (settled,) = await store.apply([Settle(step.id, NanoUsd(150))], now_ms=NOW)
    assert Settled(Settlement.POSTED, 90) == settled
    window = (await store.accounts([A], NOVEMBER))[A]
    assert (150, 90, True) == (window.posted, window.overrun, window.frozen)
    (denied,) = await store.apply([reserve(0, A)], now_ms=NOW)
    assert DenialReason.ACCOUNT_FROZEN == denied.reason
    await limit(store, A, 151)
    (granted,) = await store.apply([reserve(1, A)], now_ms=NOW)
    assert 0 == granted.left


async def test_a_limit_below_use_freezes_and_settling_goes_on(store):
    """What was spent stays; the constraint does not stand in the way of the truth."""
    step = reserve(80, A)
    await store.apply([step], now_ms=NOW)
    window = await limit(store, A, 50)
    assert (50, 80, True) == (window.limit, window.pending, window.frozen)
    assert (0, 80, 0) == await sums(store)
    assert [Settled(Settlement.POSTED)] == await store.apply([Settle(step.id, 79)], now_ms=NOW)
    assert 79 == (await limit(store, A, 50)).posted
    assert not (await limit(store, A, 79)).frozen


async def test_a_new_month_begins_at_nothing_with_the_limit_in_force(store):
    """The old month's pending is settled where it was reserved; a freeze ends with its month."""
    step = reserve(100)
    await store.apply([step], now_ms=NOW)
    await limit(store, A, 30)
    (outcome,) = await store.apply([reserve(30)], now_ms=DECEMBER_MS)
    assert 0 == outcome.left
    await store.apply([Settle(step.id, NanoUsd(99))], now_ms=DECEMBER_MS)
    assert ((99, 0, 0), (0, 30, 0)) == (await sums(store), await sums(store, A, 202612))
    # One of several accounts may be new in the month, and an untouched one is shown as it will be.
    window = (await store.accounts([A], 202701))[A]
    assert (30, 0, False) == (window.limit, window.posted, window.frozen)


async def test_what_timed_out_is_found_marked_and_still_counted(store):
    """Overdue, oldest first; marked once; the late truth is posted as late."""
    early, late, open_ = reserve(10), reserve(20, timeout_ms=120_000), reserve(30, timeout_ms=9**9)
    await store.apply([late, early, open_], now_ms=NOW)
    assert [] == await store.overdue(now_ms=NOW + 59_999, limit=10)
    later = NOW + 120_000
    assert [early.id, late.id] == await store.overdue(now_ms=later, limit=10)
    assert [early.id] == await store.overdue(now_ms=later, limit=1)
    marks = [Quarantine(early.id), Quarantine(late.id), Quarantine(open_.id), Quarantine(early.id)]
    expected = [Quarantined(changed) for changed in (True, True, False, False)]
    assert expected == await store.apply(marks, now_ms=later)
    assert (0, 60, 30) == await sums(store)
    assert [] == await store.overdue(now_ms=later, limit=10)
    (settled,) = await store.apply([Settle(early.id, NanoUsd(4))], now_ms=later)
    assert Settled(Settlement.POSTED_LATE) == settled
    assert (4, 50, 20) == await sums(store)


async def test_an_operator_resolves_once_per_request(store):
    """Same request, same answer; the id with other content is refused; only what timed out."""
    step = reserve(10)
    await store.apply([step], now_ms=NOW)

    async def resolve(amount, request_id):
        change = Resolve(step.id, NanoUsd(amount))
        return await store.administer(
            AdminRequest(request_id, change), nothing, now_ms=NOW + 60_000
        )

    assert Resolved(Resolution.NOT_QUARANTINED) == await resolve(3, "r1")
    await store.apply([Quarantine(step.id)], now_ms=NOW + 60_000)
    first = await resolve(3, "r1")
    assert (Resolution.RESOLVED, State.POSTED, 3) == (
        first.result,
        first.transfer.state,
        first.transfer.posted,
    )
    assert first == await resolve(3, "r1")
    with pytest.raises(Failure, match="IDEMPOTENCY_MISMATCH"):
        await resolve(4, "r1")
    assert Resolved(Resolution.CONFLICT) == await resolve(4, "r2")
    assert (3, 0, 0) == await sums(store)


async def test_an_account_without_a_limit_counts_and_refuses_nothing(store):
    """The largest amounts fit beside one another; a limit put on later sees all that was spent."""
    await limit(store, A, NO_LIMIT)
    most = NanoUsd(10**17)
    steps = [reserve(most, A) for _ in range(20)]
    outcomes = await store.apply(steps, now_ms=NOW)
    assert all(isinstance(outcome, Reserved) for outcome in outcomes)
    await store.apply([Settle(step.id, most) for step in steps], now_ms=NOW)
    assert (20 * most, 0, 0) == await sums(store)
    assert 0 == await store.violations()
    assert (await limit(store, A, 5)).frozen
    (denied,) = await store.apply([reserve(0, A)], now_ms=NOW)
    assert DenialReason.ACCOUNT_FROZEN == denied.reason
    window = await limit(store, A, NO_LIMIT)
    assert (NO_LIMIT, False) == (window.limit, window.frozen)


async def test_what_only_opens_keeps_the_limit_of_an_account_that_is_open(store):
    """Whoever was first decides: opening answers with the limit in force, and changes nothing."""
    await limit(store, A, 70)
    opens = AdminRequest("open-a", SetLimit(A, NO_LIMIT, open_only=True))
    first = await store.administer(opens, nothing, now_ms=NOW)
    assert 70 == first.limit == (await store.accounts([A], NOVEMBER))[A].limit
    new = AccountId("key:new")
    opens = AdminRequest("open-new", SetLimit(new, NanoUsd(9), open_only=True))
    assert 9 == (await store.administer(opens, nothing, now_ms=NOW)).limit
    await limit(store, new, 5)
    assert 9 == (await store.administer(opens, nothing, now_ms=NOW)).limit
    assert 5 == (await store.accounts([new], NOVEMBER))[new].limit
    changed = AdminRequest("open-new", SetLimit(new, NanoUsd(9)))
    with pytest.raises(Failure, match="IDEMPOTENCY_MISMATCH"):
        await store.administer(changed, nothing, now_ms=NOW)


async def test_a_limit_that_waited_over_the_months_end_binds_the_new_month_too(store):
    """It is answered for the month it was asked in, and nothing is spent above it in the next."""
    await limit(store, A, NO_LIMIT)
    await store.apply([reserve(8, A)], now_ms=DECEMBER_MS)
    assert 10 == (await limit(store, A, 10)).limit  # its time is November's
    december = (await store.accounts([A], 202612))[A]
    assert (10, 8) == (december.limit, december.pending)
    (denied,) = await store.apply([reserve(3, A)], now_ms=DECEMBER_MS)
    assert DenialReason.BUDGET_HELD == denied.reason
    assert 0 == await store.violations()


async def test_accounts_are_read_together_opened_in_the_month_or_not(store):
    """Each that exists, once; one that nothing was spent on this month as it will be."""
    await store.apply([reserve(60, A)], now_ms=DECEMBER_MS)
    found = await store.accounts([A, B, AccountId("key:nobody"), A], 202612)
    assert {A: 60, B: 0} == {account: window.pending for account, window in found.items()}
    assert {} == await store.accounts([], 202612)


async def test_set_limit_is_idempotent_by_request(store):
    """A late repeat does not undo what came after it, and still gets its own answer."""
    first = await limit(store, A, 500, request_id="r1")
    await limit(store, A, 700, request_id="r2")
    assert first == await limit(store, A, 500, request_id="r1")
    assert 700 == (await store.accounts([A], NOVEMBER))[A].limit
    with pytest.raises(Failure, match="IDEMPOTENCY_MISMATCH"):
        await limit(store, B, 500, request_id="r1")
    assert 100 == (await store.accounts([B], NOVEMBER))[B].limit


async def test_a_change_is_made_after_its_evidence_which_is_recorded_once(store):
    """No evidence, no change, and the id stays free; a repeat, or other content, records nothing."""
    step = reserve(10)
    await store.apply([step], now_ms=NOW)
    await store.apply([Quarantine(step.id)], now_ms=NOW + 60_000)
    recorded = []

    async def record():
        recorded.append((await store.accounts([A], NOVEMBER))[A].limit)

    async def fails():
        raise audit_not_durable()

    for change in (SetLimit(A, NanoUsd(500)), Resolve(step.id, NanoUsd(3))):
        request = AdminRequest(type(change).__name__, change)
        with pytest.raises(Failure, match="AUDIT_NOT_DURABLE"):
            await store.administer(request, fails, now_ms=NOW)
        answers = [await store.administer(request, record, now_ms=NOW) for _ in range(2)]
        assert answers[0] == answers[1]
        other = AdminRequest(request.request_id, SetLimit(A, NanoUsd(9)))
        with pytest.raises(Failure, match="IDEMPOTENCY_MISMATCH"):
            await store.administer(other, fails, now_ms=NOW)
    assert [100, 500] == recorded
    assert (3, 0, 0) == await sums(store)


async def test_transfers_are_listed_newest_first_by_account_and_state(store):
    """Pages of an account; other accounts' transfers are not in them."""
    names = sorted(ids.uuid7() for _ in range(5))
    await store.apply([reserve(1, A, name=name) for name in names], now_ms=NOW)
    await store.apply([reserve(1, B), Settle(names[1], NanoUsd(1))], now_ms=NOW)

    async def page(**asked):
        rest = {"state": None, "before": None, "limit": 10, **asked}
        return [t.id for t in await store.transfers(A, **rest)]

    assert names[::-1] == await page()
    assert names[4:2:-1] == await page(limit=2)
    assert names[2::-1] == await page(before=names[3])
    assert [names[1]] == await page(state=State.POSTED)


async def test_promise_01_a_thousand_parallel_reserves_against_a_dollar(open_store):
    """Two processes' worth of stores and queues, 1,000 callers: never a sample above the cap.

    Each reserve is 7 cents over three accounts: exactly 14 fit into the dollar, in any order.
    """
    dollar, seven_cents = 10**9, 7 * 10**7
    stores = [await open_store(), await open_store()]
    for account in (A, B, C):
        await limit(stores[0], account, dollar)
    clock = ManualClock(unix_ms=NOW)
    groups = []
    for store in stores:
        measures = Measures(Metrics("budget"))
        rates = MemoryRates(lambda: 0)
        bounds = Limits(batch_steps_max=32, pace_s=0)
        groups.append(
            GroupCommit(
                store, rates, clock=clock, measures=measures, log=Log("test"), limits=bounds
            )
        )
        groups[-1].start()
    samples = []
    done = asyncio.Event()

    async def sample():
        while not done.is_set():
            samples.extend([sum((await sums(stores[0], a))[:2]) for a in (A, B, C)])
            await asyncio.sleep(0.002)

    async with asyncio.TaskGroup() as tasks:
        sampler = tasks.create_task(sample())
        calls = (groups[n % 2].reserve(reserve(seven_cents), ()) for n in range(1000))
        answered = await asyncio.gather(*calls)
        done.set()
        await sampler
    answers = [outcome for outcome, _ in answered]
    granted = [a for a in answers if isinstance(a, Reserved)]
    assert (14, 986) == (len(granted), sum(isinstance(a, Denied) for a in answers))
    assert max(samples) <= dollar
    settled = [Settle(g.transfer.id, NanoUsd(seven_cents - 1)) for g in granted]
    await asyncio.gather(*(groups[n % 2].apply([s]) for n, s in enumerate(settled)))
    assert (14 * (seven_cents - 1), 0, 0) == await sums(stores[1], C)
    for group in groups:
        await group.close()
    assert 0 == await stores[0].violations()
