"""A store that is away closes its service; it never opens it, and is never told as a bad key.

One database is taken away at a time: no new connection to it, those that are there are ended.
"""

import contextlib
import signal
from collections.abc import Iterator

import grpc
import httpx
import psycopg
import pytest
from psycopg import sql

from tests import observe
from tests.live import Key, Live, own_suite, wait_until
from tollgate_cli.suite.engines import postgres as embedded_postgres


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A suite of its own: this module takes its stores away."""
    with own_suite(tmp_path_factory.mktemp("stores")) as live:
        yield live


@pytest.fixture(scope="module")
def model(own: Live) -> str:
    return own.model("demo-gpt")


@contextlib.contextmanager
def superuser(live: Live) -> Iterator[psycopg.Connection]:
    password = (live.suite.home.secrets / "postgres-superuser").read_text().strip()
    host, _, port = live.suite.address("postgres").rpartition(":")
    with psycopg.connect(
        host=host, port=int(port), user=embedded_postgres.SUPERUSER, password=password, dbname="postgres",
        autocommit=True,
    ) as connection:  # fmt: skip
        yield connection


@contextlib.contextmanager
def without_database(live: Live, name: str) -> Iterator[None]:
    """One service's database is gone for the length of the block."""
    with superuser(live) as connection:
        allow = sql.SQL("alter database {} allow_connections {}")
        database = sql.Identifier(name)
        connection.execute(allow.format(database, sql.SQL("false")))
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,)
        )
        try:
            yield
        finally:
            connection.execute(allow.format(database, sql.SQL("true")))


def forget_dead_connections(live: Live) -> None:
    """A pooled connection that died is noticed at its next use, with UNAVAILABLE, once each."""
    streak = 0

    def steady() -> bool:
        nonlocal streak
        try:
            live.account(f"tenant:{live.tenant()}")
        except grpc.RpcError as error:
            assert grpc.StatusCode.UNAVAILABLE == error.code()  # noqa: PT017
            streak = 0
        else:
            streak += 1
        return streak == 10

    wait_until(steady, 30)


def statuses(live: Live, key: Key, model: str, times: int = 4) -> list[int]:
    found = []
    for stream in [False, True] * (times // 2):
        answer = live.call(key, model, stream=stream, timeout=30)
        if answer.status_code != 200:
            error = observe.error_of(answer)
            assert "true" == answer.headers["x-should-retry"]
            assert error["code"] in ("service_unavailable", "service_timeout", "overloaded")
        found.append(answer.status_code)
    return found


def test_promise_03_without_redis_keys_with_rates_are_closed(own: Live, model: str):
    """Redis killed: 503 for a key with rates, nothing held, no upstream; then it recovers."""
    limited = own.key(own.tenant(), requests_per_minute=1000)
    free = own.key(own.tenant())
    assert [200] * 4 == statuses(own, limited, model)
    before = observe.stats(own)["requests"]
    own.suite.kill("redis")
    try:
        assert [503] * 4 == statuses(own, limited, model)
        assert before == observe.stats(own)["requests"]
        # A key without rates does not need Redis.
        assert [200] * 4 == statuses(own, free, model)
    finally:
        own.suite.start_one("redis")
    wait_until(lambda: own.call(limited, model).status_code == 200, 15)
    account = own.settled(f"tenant:{limited.tenant_id}")
    assert 0 == account.pending_nano_usd


def test_promise_03_a_silent_redis_is_as_one_that_is_gone(own: Live, model: str):
    """Redis under SIGSTOP: 503 within the RPC's time, not a wait and not an open door."""
    limited = own.key(own.tenant(), requests_per_minute=1000)
    assert [200] * 2 == statuses(own, limited, model, 2)
    own.suite.signal("redis", signal.SIGSTOP)
    try:
        assert [503] * 2 == statuses(own, limited, model, 2)
    finally:
        own.suite.signal("redis", signal.SIGCONT)
    wait_until(lambda: own.call(limited, model).status_code == 200, 15)
    assert 0 == own.settled(f"tenant:{limited.tenant_id}").pending_nano_usd


def test_promise_03_without_the_ledger_nothing_is_called(own: Live, model: str):
    """Budget's Postgres gone: 503, never 401 or 200, no upstream; then it recovers."""
    key = own.key(own.tenant())
    assert [200] * 4 == statuses(own, key, model)
    before = observe.stats(own)["requests"]
    with without_database(own, "budget"):
        assert {503} == set(statuses(own, key, model))
        assert before == observe.stats(own)["requests"]
    wait_until(lambda: own.call(key, model).status_code == 200, 15)
    forget_dead_connections(own)
    account = own.settled(f"tenant:{key.tenant_id}", 20)
    posted = sum(t.posted_nano_usd for t in own.transfers(f"tenant:{key.tenant_id}"))
    assert (posted, 0) == (account.posted_nano_usd, account.pending_nano_usd)


def test_promise_12_without_its_store_authz_never_says_401(own: Live, model: str):
    """Authz's Postgres gone: a known key is served or 503, a fresh one 503; never 401."""
    known, fresh = own.key(own.tenant()), own.key(own.tenant())
    assert [200] * 2 == statuses(own, known, model, 2)
    with without_database(own, "authz"):
        # Longer than a cached decision may be used without a heartbeat.
        seen: set[int] = set()
        wait_until(lambda: seen.add(one := own.call(known, model).status_code) or one == 503, 20)
        seen |= set(statuses(own, known, model))
        assert seen <= {200, 503}
        assert {503} == set(statuses(own, fresh, model, 2))
        listing = httpx.get(
            f"{own.api_urls[0]}/v1/models",
            headers={"authorization": f"Bearer {fresh.text}"},
            timeout=20,
        )
        assert 503 == listing.status_code
        # A key that is proven bad without asking anybody is still 401.
        assert 401 == own.call(fresh.text[:-1] + "!", model).status_code
    # Soon, however long the store was away.
    wait_until(lambda: own.call(known, model).status_code == 200, 6)
    wait_until(lambda: own.call(fresh, model).status_code == 200, 6)
    forget_dead_connections(own)


def test_promise_12_authz_recovers_from_a_restarted_postgres(own: Live, model: str):
    """The whole Postgres killed and started again: 503 or 200, never 401, then all well."""
    key = own.key(own.tenant())
    assert [200] * 2 == statuses(own, key, model, 2)
    own.suite.kill("postgres")
    try:
        seen = {own.call(key, model, timeout=30).status_code for _ in range(3)}
        assert seen == {503}
    finally:
        own.suite.start_one("postgres")
    seen = set()
    wait_until(lambda: seen.add(one := own.call(key, model).status_code) or one == 200, 40)
    assert seen <= {200, 503}
    forget_dead_connections(own)
    own.settled(f"tenant:{key.tenant_id}", 30)
    wait_until(lambda: own.cli("audit", "verify").returncode == 0, 15)
