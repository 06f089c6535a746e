"""A migrated ledger database, whose books are checked after each test."""

from functools import partial

import pytest

from tests.contract.ledger_on_postgres import NOW, ids, nothing
from tollgate_budget.ledger.postgres_writer import PostgresWriter, connect
from tollgate_budget.ledger.store import AdminRequest, SetLimit
from tollgate_budget.ledger.store_postgres import PostgresLedger
from tollgate_budget.ledger.window import NanoUsd
from tollgate_kit.config import PostgresConfig
from tollgate_kit.postgres import pool as pg
from tollgate_kit.secret import Secret


@pytest.fixture
async def dsn(postgres_dsn):
    dsn = postgres_dsn()
    config = PostgresConfig(Secret(dsn), 1, 2)
    await pg.migrate(config, package="tollgate_budget")
    pool = await pg.open_pool(config, name="test")
    writer = PostgresWriter(partial(connect, config.dsn))
    ledger = PostgresLedger(writer, pool)
    for account in ("key:a", "tenant:c"):
        change = SetLimit(account, NanoUsd(100))
        await ledger.administer(AdminRequest(ids.uuid7(), change), nothing, now_ms=NOW)
    yield dsn
    # Whatever a test did: the sums still follow from the transfers.
    assert 0 == await ledger.violations()
    await writer.close()
    await pool.close()
