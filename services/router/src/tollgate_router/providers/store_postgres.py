"""The catalogue's store: providers, encrypted keys and price versions in Postgres.

Promises: every change is one transaction that also bumps the revision, and is made once for its
request (tollgate_kit.changes); a price version is never changed. Holds no plaintext key. Not on the
hot path: calls are served from the snapshot.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from google.protobuf.message import Message
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.pricing.price import PRICE_FIELDS, Price
from tollgate_kit.changes.once import Changes
from tollgate_kit.changes.request import Applied, ChangeRequest
from tollgate_kit.clock import Clock
from tollgate_kit.rpc.failure import store_unavailable
from tollgate_router.providers.catalogue import Provider, ProviderKey, ProviderModel
from tollgate_router.providers.change_postgres import CatalogueChange, Connection

# A call in flight, or an edge with an older catalogue, names a price that was newest a while ago.
PRICE_VERSIONS_KEPT = 16


@dataclass(frozen=True, slots=True)
class Rows:
    """All of the catalogue at one revision."""

    revision: int
    providers: tuple[Provider, ...]
    prices: tuple[Price, ...]


class PostgresStore:
    """The catalogue in Postgres. Raises Failure STORE_UNAVAILABLE when it cannot answer."""

    def __init__(self, pool: AsyncConnectionPool, *, clock: Clock) -> None:
        self._pool = pool
        self._changes = Changes(pool)
        self._clock = clock

    async def revision(self) -> int:
        """The newest revision."""
        async with lent(self._pool) as connection:
            cursor = await connection.execute("select revision from catalogue_revision")
            row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    async def load(self) -> Rows:
        """The whole catalogue, as of one moment."""
        async with lent(self._pool) as connection, connection.transaction():
            await connection.execute("set transaction isolation level repeatable read, read only")
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute("select revision from catalogue_revision")
            (revision,) = await cursor.fetchall()
            await cursor.execute(
                "select name, protocol, base_url, enabled, create_unix_ms, without_include_usage"
                " from provider order by create_revision"
            )
            providers = await cursor.fetchall()
            await cursor.execute(
                "select provider, model, upstream_model from provider_model order by place"
            )
            models = await cursor.fetchall()
            # The column's name is an older word for encrypted.
            await cursor.execute(
                "select provider, key_id, tenant, sealed as encrypted from provider_key"
                " order by create_revision"
            )
            keys = await cursor.fetchall()
            prices = await _prices(cursor, PRICE_VERSIONS_KEPT)
        return Rows(int(revision["revision"]), _providers(providers, models, keys), prices)

    async def newest_prices(self, model: str = "") -> tuple[Price, ...]:
        """The newest version of each price, or of one model's."""
        async with lent(self._pool) as connection:
            cursor = connection.cursor(row_factory=dict_row)
            return await _prices(cursor, 1, model=model)

    async def change(
        self, request: ChangeRequest, make: Callable[[CatalogueChange], Awaitable[Message]]
    ) -> Applied:
        """Carry a request out at most once; `make` says what is changed, and the answer.

        Raises what Changes.once() raises.
        """

        async def carried_out(connection: Connection) -> bytes:
            change = await CatalogueChange.begin(connection, now_ms=now_ms)
            return (await make(change)).SerializeToString()

        now_ms = self._clock.unix_ms()
        return await self._changes.once(request, carried_out, now_ms=now_ms)

    async def seed_prices(self, seed: Iterable[Price]) -> int:
        """Install shipped prices; how many versions were made.

        A model whose newest price is the operator's keeps it; an unchanged seed makes no version.
        """
        made = 0
        async with lent(self._pool) as connection, connection.transaction():
            change = await CatalogueChange.begin(connection, now_ms=self._clock.unix_ms())
            cursor = connection.cursor(row_factory=dict_row)
            newest = {price.model: price for price in await _prices(cursor, 1)}
            for price in seed:
                old = newest.get(price.model)
                if old is not None and old.source == "operator":
                    continue
                version = old.version + 1 if old else 1
                wanted = replace(price, version=version, source="seed")
                if old is not None and replace(wanted, version=old.version) == old:
                    continue
                await change.add_price(wanted)
                made += 1
            if not made:
                raise psycopg.Rollback
        return made


@asynccontextmanager
async def lent(pool: AsyncConnectionPool) -> AsyncIterator[psycopg.AsyncConnection]:
    """A connection of the pool. Raises Failure STORE_UNAVAILABLE if there is none, or it broke."""
    try:
        async with pool.connection() as connection:
            yield connection
    except (psycopg.OperationalError, PoolTimeout):
        raise store_unavailable("postgres") from None


async def _prices(
    cursor: psycopg.AsyncCursor[dict[str, Any]], versions: int, *, model: str = ""
) -> tuple[Price, ...]:
    names = ", ".join(PRICE_FIELDS)
    await cursor.execute(
        # The names are this program's own.
        f"select {names} from (select *, row_number() over (partition by model"  # noqa: S608
        " order by version desc) as age from price where %s::text in ('', model)) as aged"
        " where age <= %s order by model, version",
        (model, versions),
    )
    return tuple(Price.of(**row) for row in await cursor.fetchall())


def _providers(
    providers: Sequence[dict[str, Any]],
    models: Sequence[dict[str, Any]],
    keys: Sequence[dict[str, Any]],
) -> tuple[Provider, ...]:
    return tuple(
        Provider(
            name=row["name"],
            protocol=Protocol(row["protocol"]),
            base_url=row["base_url"],
            models=tuple(
                ProviderModel(m["model"], m["upstream_model"])
                for m in models
                if m["provider"] == row["name"]
            ),
            keys=tuple(
                ProviderKey(k["key_id"], k["tenant"], k["encrypted"])
                for k in keys
                if k["provider"] == row["name"]
            ),
            enabled=row["enabled"],
            create_unix_ms=row["create_unix_ms"],
            without_include_usage=row["without_include_usage"],
        )
        for row in providers
    )
