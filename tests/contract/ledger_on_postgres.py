"""A migrated ledger database for tests, whose books are checked after each of them."""

import contextlib
from functools import partial

import psycopg

from tollgate_budget.ledger.ledger import Reserve
from tollgate_budget.ledger.month import month_start_ms
from tollgate_budget.ledger.postgres_writer import PostgresWriter, connect
from tollgate_budget.ledger.window import NanoUsd
from tollgate_kit.clock import SystemClock
from tollgate_kit.ids import Ids
from tollgate_kit.secret import Secret

NOW = month_start_ms(202611) + 86_400_000
ids = Ids(SystemClock())


async def nothing():
    """Where a change's evidence would be recorded."""


@contextlib.asynccontextmanager
async def writing(dsn, **options):
    writer = PostgresWriter(partial(connect, Secret(dsn)), **options)
    try:
        yield writer
    finally:
        await writer.close()


def reserve(amount, *accounts, name=None):
    accounts = accounts or ("key:a", "tenant:c")
    return Reserve(name or ids.uuid7(), accounts, NanoUsd(amount), 60_000, "t", "tr", "m")


def row(dsn, sql, *parameters):
    with psycopg.connect(dsn) as connection:
        return connection.execute(sql, parameters).fetchone()
