"""What only a real database can show: constraints, lost commits, kill -9, refused settings."""

import asyncio
import contextlib
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.contract.ledger_on_postgres import NOW, ids, reserve, row, writing
from tollgate_budget.ledger.ledger import (
    DenialReason,
    Mismatch,
    Reserve,
    Reserved,
    Settle,
    Settled,
    Settlement,
)
from tollgate_budget.ledger.postgres_writer import connect
from tollgate_budget.ledger.store import OutcomeUnknown, StoreUnavailable, WriteRefused
from tollgate_budget.ledger.window import NanoUsd
from tollgate_kit.postgres.durability import NotDurable
from tollgate_kit.secret import Secret

WRONG = {
    "hard_cap": "UPDATE account_window SET pending_nano_usd = limit_nano_usd + 1",
    "ceiling_is_limit": "UPDATE account_window SET ceiling_nano_usd = ceiling_nano_usd + 1",
    "quarantined_is_pending": "UPDATE account_window SET quarantined_nano_usd = 11",
    "overrun_is_posted": "UPDATE account_window SET overrun_nano_usd = 1",
    "posted_nano_usd_check": "UPDATE account_window SET posted_nano_usd = -1",
    "only_posted_has_cost": "UPDATE transfer SET state = 3, posted_nano_usd = 5, end_unix_ms = 1",
    "only_ended_has_end": "UPDATE transfer SET state = 2, posted_nano_usd = 5",
    "quarantined_is_late": "UPDATE transfer SET state = 4",
    "history does not change": "UPDATE transfer SET reserved_nano_usd = 0, state = 4, late = true",
}
FORBIDDEN = (
    "DELETE FROM transfer",
    "DELETE FROM account_window",
    "TRUNCATE transfer",
    "DELETE FROM change_request",
    "UPDATE change_request SET answer = ''",
)


async def test_a_wrong_program_fails_instead_of_overspending(dsn):
    """Each constraint bites by its name; history cannot be deleted, not even by the role's own."""
    async with writing(dsn) as writer:
        await writer.apply([reserve(10)], now_ms=NOW)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for constraint, sql in WRONG.items():
            with pytest.raises(psycopg.errors.IntegrityError, match=constraint):
                connection.execute(sql)
        for sql in FORBIDDEN:
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.IntegrityError)):
                connection.execute(sql)


async def test_not_even_a_superuser_rewrites_history_by_mistake(dsn, postgres):
    """The triggers hold where rights do not; an ended transfer does not move again."""
    first = reserve(10)
    async with writing(dsn) as writer:
        await writer.apply([first, Settle(first.id, NanoUsd(3)), reserve(1)], now_ms=NOW)
    database = urlsplit(dsn).path[1:]
    with psycopg.connect(postgres.engine.dsn(database), autocommit=True) as connection:
        for sql in (
            *FORBIDDEN[:4],
            "UPDATE transfer SET posted_nano_usd = 4 WHERE state = 2",
            "UPDATE transfer SET state = 1, posted_nano_usd = 0, end_unix_ms = 0 WHERE state = 2",
            "UPDATE transfer SET account_ids = '{key:x}', state = 3, end_unix_ms = 1 WHERE state=1",
        ):
            with pytest.raises(psycopg.errors.IntegrityError, match="history does not change"):
                connection.execute(sql)


async def test_a_refused_batch_changes_nothing_and_the_writer_goes_on(dsn):
    """A constraint that refuses is a bug; it is said so, and the next batch is carried out."""
    bad = Reserve(ids.uuid7(), ("key:a",), NanoUsd(1), 0, "t", "tr", "m")  # expires at its creation
    async with writing(dsn) as writer:
        with pytest.raises(WriteRefused):
            await writer.apply([reserve(10), bad], now_ms=NOW)
        (outcome,) = await writer.apply([reserve(100)], now_ms=NOW)
        assert 0 == outcome.left


class Proxy:
    """Between a writer and PostgreSQL; breaks the link when COMMIT passes, before or after."""

    def __init__(self, dsn):
        self.target = urlsplit(dsn)
        self.cut = None  # "before", "after", or a coroutine function to await in between
        self.cuts = 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        t = self.target
        self.dsn = f"postgresql://{t.username}:{t.password}@127.0.0.1:{port}{t.path}"
        return self

    async def __aexit__(self, *exc):
        self.server.close()
        await self.server.wait_closed()

    async def _link(self, reader, writer):
        up_reader, up_writer = await asyncio.open_connection(self.target.hostname, self.target.port)
        down = asyncio.ensure_future(self._down(up_reader, writer))
        try:
            while data := await reader.read(65536):
                # The prepared statement's name in a Bind message.
                if self.cut and b"\0commit\0" in data:
                    self.cuts += 1
                    how, self.cut = self.cut, None
                    if how == "before":
                        break
                    down.cancel()
                    up_writer.write(data)
                    await up_reader.read(1)  # the server has answered: it is committed
                    break
                up_writer.write(data)
                await up_writer.drain()
        except ConnectionError:
            pass
        finally:
            down.cancel()
            writer.transport.abort()
            up_writer.transport.abort()

    async def _down(self, reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_lost_commit_is_read_back(dsn, cut):
    """Whether it had happened or not: carried out exactly once, answered as the first time."""
    unknown = []
    async with Proxy(dsn) as proxy, writing(proxy.dsn, on_unknown=lambda: unknown.append(1)) as w:
        first = reserve(60)
        (granted,) = await w.apply([first], now_ms=NOW)
        proxy.cut = cut
        second = reserve(30)
        steps = [second, Settle(first.id, NanoUsd(50)), first]
        outcomes = await w.apply(steps, now_ms=NOW)
    assert (1, [1]) == (proxy.cuts, unknown)
    assert (False, Settled(Settlement.POSTED), DenialReason.RESERVATION_ENDED) == (
        outcomes[0].replayed,
        outcomes[1],
        outcomes[2].reason,
    )
    sums = row(dsn, "SELECT posted_nano_usd, pending_nano_usd FROM account_window LIMIT 1")
    assert (50, 30) == sums
    assert (2,) == row(dsn, "SELECT count(*) FROM transfer")
    assert granted.left == 40


async def test_a_commit_that_cannot_be_read_back_is_said_to_be_unknown(dsn):
    """The database is gone after COMMIT was sent: neither granted nor refused, and bounded."""
    async with Proxy(dsn) as proxy, writing(proxy.dsn) as writer:
        await writer.apply([reserve(1)], now_ms=NOW)
        proxy.cut = "after"
        step = reserve(2)
        apply = asyncio.ensure_future(writer.apply([step], now_ms=NOW))
        while not proxy.cuts:
            await asyncio.sleep(0)
        proxy.server.close()
        with pytest.raises(OutcomeUnknown):
            await apply
    async with writing(dsn) as writer:
        (outcome,) = await writer.apply([step], now_ms=NOW)
        assert outcome.replayed


async def test_a_backend_that_is_terminated_at_commit(dsn, postgres_admin):
    """pg_terminate_backend while COMMIT runs: resolved by reading back, nothing twice."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            """CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$"""
        )
        connection.execute(
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON transfer DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW WHEN (NEW.model = 'slow') EXECUTE FUNCTION slow()"
        )
    async with writing(dsn) as writer:
        step = reserve(5)
        slow = Reserve(step.id, step.account_ids, step.amount, step.timeout_ms, "t", "tr", "slow")
        apply = asyncio.ensure_future(writer.apply([slow], now_ms=NOW))
        killed = 0
        while not killed:
            await asyncio.sleep(0.01)
            killed = postgres_admin.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'tollgate_budget_writer' AND datname = %s"
                " AND query = 'COMMIT' AND state = 'active'",
                (urlsplit(dsn).path[1:],),
            ).fetchone()[0]
        (outcome,) = await apply
    assert isinstance(outcome, Reserved)
    assert not outcome.replayed
    assert (1, 5) == row(dsn, "SELECT count(*), sum(reserved_nano_usd) FROM transfer")


async def test_a_commit_that_hangs_is_cut_and_waited_for_by_row_locks(dsn):
    """The watchdog breaks the link, never cancels; the first commit is not overlooked."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            """CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$"""
        )
        connection.execute(
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON transfer DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION slow()"
        )
    unknown = []
    async with writing(dsn, watchdog_s=0.5, on_unknown=lambda: unknown.append(1)) as writer:
        with contextlib.suppress(OutcomeUnknown):
            await writer.apply([reserve(60)], now_ms=NOW)
    assert unknown
    await asyncio.sleep(1.2)
    assert (1, 60) == row(dsn, "SELECT count(*), sum(reserved_nano_usd) FROM transfer")


async def test_the_same_id_at_once_on_different_accounts(dsn):
    """Another program inserts the id between our read and our write: a mismatch, for it alone."""
    name = ids.uuid7()
    async with writing(dsn) as writer:
        await writer.apply([reserve(0)], now_ms=NOW)
        with psycopg.connect(dsn) as other:
            other.execute(
                "INSERT INTO transfer (id, tenant_id, trace_id, model, account_ids, month,"
                " reserved_nano_usd, create_unix_ms, expire_unix_ms, state)"
                " VALUES (%s, 't', 'tr', 'm', '{tenant:c}', 202611, 0, 1, 2, 1)",
                (name,),
            )
            steps = [reserve(7, "key:a", name=name), reserve(3, "key:a")]
            apply = asyncio.ensure_future(writer.apply(steps, now_ms=NOW))
            while not row(dsn, "SELECT count(*) FROM pg_locks WHERE NOT granted")[0]:
                await asyncio.sleep(0.01)
            other.commit()
        outcomes = await apply
    assert Mismatch("account_ids") == outcomes[0]
    assert 97 == outcomes[1].left


async def test_two_writers_in_opposite_order_do_not_deadlock(dsn):
    """Rows are locked in the order of their ids, whatever the order of the request."""
    async with writing(dsn) as one, writing(dsn) as two:

        async def many(writer, *accounts):
            for _ in range(50):
                step = reserve(1, *accounts)
                await writer.apply([step], now_ms=NOW)
                await writer.apply([Settle(step.id, NanoUsd(0))], now_ms=NOW)

        await asyncio.gather(many(one, "key:a", "tenant:c"), many(two, "tenant:c", "key:a"))


async def test_a_database_that_became_read_only_is_unavailable(dsn):
    """As after a failover: not a bug of the batch; carried out when there is a primary again."""
    async with writing(dsn) as writer:
        await writer.apply([reserve(1)], now_ms=NOW)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("ALTER ROLE CURRENT_USER SET default_transaction_read_only = on")
            try:
                await writer._drop()
                with pytest.raises(StoreUnavailable):
                    await writer.apply([reserve(1)], now_ms=NOW)
            finally:
                connection.execute("ALTER ROLE CURRENT_USER RESET ALL")
        assert 98 == (await writer.apply([reserve(1)], now_ms=NOW))[0].left


async def test_a_warning_at_commit_is_not_an_acknowledgement(dsn):
    """SQLSTATE 01000 at COMMIT, as from a cancelled wait for a standby: read back."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            """CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE WARNING 'committed locally'; RETURN NULL; END $$"""
        )
        connection.execute(
            "CREATE CONSTRAINT TRIGGER warn AFTER INSERT ON transfer DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION warn()"
        )
    unknown = []
    async with writing(dsn, on_unknown=lambda: unknown.append(1)) as writer:
        (outcome,) = await writer.apply([reserve(7)], now_ms=NOW)
    assert ([1], 93, False) == (unknown, outcome.left, outcome.replayed)
    assert (1, 7) == row(dsn, "SELECT count(*), sum(reserved_nano_usd) FROM transfer")


async def test_no_database_is_unavailable_soon(postgres_dsn):
    """Fail closed, within the bounded tries."""
    parts = urlsplit(postgres_dsn())
    gone = f"postgresql://{parts.username}:x@127.0.0.1:1/x"
    async with writing(gone) as writer:
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(writer.apply([reserve(1)], now_ms=NOW), 5)


async def test_unsafe_settings_are_refused_all_at_once(dsn):
    """A role whose commits are not durable may not count money, not even on one connection."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ALTER ROLE CURRENT_USER SET synchronous_commit = off")
        connection.execute("ALTER ROLE CURRENT_USER SET default_transaction_read_only = on")
    with pytest.raises(NotDurable) as refused:
        await connect(Secret(dsn), standby_required=True)
    faults = " ".join(refused.value.faults)
    assert all(
        name in faults for name in ("synchronous_commit", "read-only", "synchronous_standby_names")
    )
    async with writing(dsn) as writer:
        with pytest.raises(StoreUnavailable):
            await writer.apply([reserve(1)], now_ms=NOW)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("ALTER ROLE CURRENT_USER RESET ALL")
