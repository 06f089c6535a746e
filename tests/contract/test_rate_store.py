"""The rate store seam: each promise, held by the memory twin and by Redis alike."""

import asyncio
import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import engines
from tollgate_budget.rates.gcra import Rate
from tollgate_budget.rates.store import RateCall, RatesUnavailable
from tollgate_budget.rates.store_memory import MemoryRates
from tollgate_budget.rates.store_redis import RedisRates, open_redis
from tollgate_kit.secret import Secret


@pytest.fixture(params=["memory", "redis"])
async def open_rates(request):
    """Opens one more store over the same buckets on each call."""
    if request.param == "memory":
        memory = MemoryRates(lambda: time.monotonic_ns() // 1000)
        yield lambda: memory
        return
    url = request.getfixturevalue("redis_url")
    opened = []

    def another():
        opened.append(RedisRates(open_redis(Secret(url))))
        return opened[-1]

    yield another
    for rates in opened:
        await rates.close()


@pytest.fixture
def rates(open_rates):
    return open_rates()


def call(*costs, tenant="t1", refund=False):
    return RateCall(tenant, costs, refund)


async def spend(rates, calls):
    """Of each call the refusal, None if it was spent or given back."""
    return [answer.limited for answer in await rates.spend(calls)]


def minute(units, bucket="rpm", cost=1):
    return Rate(bucket, units, units, 60_000).cost(cost)


async def test_the_burst_and_not_one_more(rates):
    """Exactly as many as allowed, in one round trip or in many."""
    answers = await spend(rates, [call(minute(5))] * 4)
    for _ in range(4):
        answers += await spend(rates, [call(minute(5))])
    assert [True] * 5 + [False] * 3 == [a is None for a in answers]
    refused = answers[-1]
    assert ("rpm", 0) == (refused.bucket, refused.remaining)
    assert 11_000_000 < refused.wait_us <= 12_000_000


async def test_two_replicas_share_one_limit(open_rates):
    """The limit is not multiplied by the number of processes."""
    one, two = open_rates(), open_rates()
    answers = await asyncio.gather(
        *(spend(store, [call(minute(50))] * 20) for store in (one, two, one, two))
    )
    assert 50 == sum(a is None for batch in answers for a in batch)


async def test_all_dimensions_or_none(rates):
    """A call that one bucket refuses takes nothing from the others; the strictest is named."""
    tight = Rate("tight", 1, 1, 3_600_000).cost(1)
    first, second = await spend(rates, [call(minute(2), tight)] * 2)
    assert (None, "tight") == (first, second.bucket)
    assert [None] == await spend(rates, [call(minute(2))])
    (third,) = await spend(rates, [call(minute(2), tight)])
    assert ("tight", 0) == (third.bucket, third.remaining)


async def test_a_refund_restores_and_never_more(rates):
    """What is given back may be spent again, once."""
    big = minute(100, "tpm", 60)
    assert [None] == await spend(rates, [call(big)])
    again, refunded, fits = await spend(rates, [call(big), call(big, refund=True), call(big)])
    assert (40, None, None) == (again.remaining, refunded, fits)
    await spend(rates, [call(big, refund=True)] * 3)
    answers = await spend(rates, [call(minute(100, "tpm", 100))] * 2)
    assert [True, False] == [a is None for a in answers]


async def test_tenants_and_buckets_are_apart(rates):
    """Many tenants in one round trip; nobody uses up another's."""
    calls = [call(minute(1), tenant=f"t{n}") for n in range(5)] * 2
    answers = await spend(rates, calls)
    assert [True] * 5 + [False] * 5 == [a is None for a in answers]
    assert [None] == await spend(rates, [call(minute(1, "other"))])


async def test_larger_than_the_burst_is_refused_without_a_wait(rates):
    """Waiting does not help."""
    (answer,) = await spend(rates, [call(minute(10, cost=11))])
    assert (None, 10) == (answer.wait_us, answer.remaining)


async def test_the_stated_wait_is_enough(rates):
    """Who waits as long as was said finds room."""
    quick = Rate("quick", 1, 10, 1000).cost(1)
    _, refused = await spend(rates, [call(quick)] * 2)
    assert 0 < refused.wait_us <= 100_000
    await asyncio.sleep(refused.wait_us / 1e6 + 0.001)
    assert [None] == await spend(rates, [call(quick)])


async def test_each_bucket_says_where_it_stands(rates):
    """After a spend: in the order of its costs; when refused: as it was found; a refund: nothing."""
    rpm, tpm = minute(60), minute(6_000, "tpm", 3_000)
    first, second, back = await rates.spend(
        [call(rpm, tpm), call(tpm, rpm), call(tpm, refund=True)]
    )
    assert (None, (1_000_000, 30_000_000)) == (first.limited, first.ahead_us)
    assert (None, (60_000_000, 2_000_000)) == (second.limited, second.ahead_us)
    assert (None, ()) == (back.limited, back.ahead_us)
    (third,) = await rates.spend([call(rpm, minute(6_000, "tpm", 4_000))])
    assert third.limited.bucket == "tpm"
    assert 3_000 <= third.limited.remaining < 3_100
    asked, tokens = third.ahead_us
    assert 1_000_000 < asked <= 2_000_000
    assert 29_000_000 < tokens <= 30_000_000


SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 1000), st.integers(1, 10**6))
COSTS = st.tuples(st.integers(0, 2), st.integers(0, 6))
BATCHES = st.lists(
    st.tuples(st.lists(COSTS, min_size=1, max_size=3, unique_by=lambda c: c[0]), st.booleans()),
    min_size=1,
    max_size=12,
)


def test_redis_says_what_the_rules_say(redis_url):
    """Any calls of one trip, spends and refunds: the script's answers are those of gcra.py."""
    tenants = (f"t{n}" for n in itertools.count())

    async def both(shapes, batch):
        tenant = next(tenants)
        calls = [
            call(
                *(Rate(f"b{n}", *shapes[n]).cost(cost) for n, cost in costs),
                tenant=tenant,
                refund=refund,
            )
            for costs, refund in batch
        ]
        redis = RedisRates(open_redis(Secret(redis_url)))
        told = await redis.spend(calls)
        await redis.close()
        return told, await MemoryRates(lambda: 10**15).spend(calls)

    @settings(max_examples=150, deadline=None)
    @given(st.tuples(SHAPES, SHAPES, SHAPES), BATCHES)
    def check(shapes, batch):
        told, expected = asyncio.run(both(shapes, batch))
        assert expected == told

    check()


async def test_a_bucket_from_the_future_does_not_lock_out(redis_url):
    """After a failover to a server whose clock is behind, at most one burst is waited."""
    client = open_redis(Secret(redis_url))
    await client.set("tollgate:rate:{t1}:rpm", (time.time_ns() // 1000) + 7200 * 10**6)
    rates = RedisRates(client)
    (refused,) = await spend(rates, [call(minute(5))])
    assert 11_000_000 < refused.wait_us <= 12_000_000
    assert 1 == len(await client.keys())
    # What was spent does not outlive its time: a bucket that is empty again is no row.
    await spend(rates, [call(Rate("quick", 1, 1, 20).cost(1))])
    assert 2 == len(await client.keys())
    await asyncio.sleep(0.04)
    assert 1 == len(await client.keys())
    await rates.close()


async def test_a_restarted_redis_gets_the_script_again():
    """NOSCRIPT is not an error for the caller; a Redis that is away is RatesUnavailable, soon."""
    with engines.redis_server() as server:
        rates = RedisRates(open_redis(Secret(server.url)))
        calls = [call(minute(1)), call(minute(1), tenant="t2")]
        assert [None, None] == await spend(rates, calls)
        client = open_redis(Secret(server.url))
        await client.script_flush()
        await client.flushall()
        await client.aclose()
        assert [None, None] == await spend(rates, calls)
        server.process.stop(timeout_s=10)
        with pytest.raises(RatesUnavailable):
            await asyncio.wait_for(spend(rates, calls), 3)
        server.restart()
        assert [None, None] == await spend(rates, calls)
        await rates.close()


async def test_a_redis_that_hangs_is_unavailable_soon():
    """A store that does not answer is not waited for: fail closed."""

    gone = asyncio.Event()

    async def silence(reader, writer):
        await reader.read()
        writer.close()
        gone.set()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    rates = RedisRates(open_redis(Secret(f"redis://127.0.0.1:{port}/0")))
    with pytest.raises(RatesUnavailable):
        await asyncio.wait_for(spend(rates, [call(minute(1))]), 3)
    await rates.close()
    await gone.wait()
    server.close()
    await server.wait_closed()
