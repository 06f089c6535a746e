"""The catalogue's store: providers, encrypted keys, price versions and admin answers in Postgres.

Promises: every change is one transaction that also bumps the revision and keeps the answer under
its request id; a price version is never changed; a repeat of a request changes nothing. Holds no
plaintext key. Not on the hot path: calls are served from the snapshot.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.pricing.price import Price
from tollgate_kit.clock import Clock
from tollgate_kit.rpc.failure import already_exists, store_unavailable
from tollgate_router.providers.catalogue import Provider, ProviderKey, ProviderModel

_PRICE_FIELDS = tuple(field.name for field in fields(Price))
# A call in flight, or an edge with an older catalogue, names a price that was newest a while ago.
PRICE_VERSIONS_KEPT = 16


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What an admin request was answered before."""

    method: str
    content_sha256: bytes
    answer: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """An admin request, as far as it is remembered."""

    request_id: str
    method: str
    content_sha256: bytes


@dataclass(frozen=True, slots=True)
class Rows:
    """All of the catalogue at one revision."""

    revision: int
    providers: tuple[Provider, ...]
    prices: tuple[Price, ...]


class Repeated(Exception):  # noqa: N818 - it is what happened
    """The request id was taken in the meantime; nothing was changed. Look its answer up."""


class PostgresStore:
    """The catalogue in Postgres. Raises Failure STORE_UNAVAILABLE when it cannot answer."""

    def __init__(self, pool: AsyncConnectionPool, *, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def revision(self) -> int:
        """The newest revision."""
        async with self._connection() as connection:
            cursor = await connection.execute("select revision from catalogue_revision")
            row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    async def load(self) -> Rows:
        """The whole catalogue, as of one moment."""
        async with self._connection() as connection, connection.transaction():
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
        async with self._connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            return await _prices(cursor, 1, model=model)

    async def answered(self, request_id: str) -> StoredAnswer | None:
        """What this request was answered, if it was."""
        async with self._connection() as connection:
            cursor = await connection.execute(
                "select method, content_sha256, answer from admin_request where request_id = %s",
                (request_id,),
            )
            row = await cursor.fetchone()
        return None if row is None else StoredAnswer(*row)

    async def add_provider(self, request: Request, provider: Provider, *, answer: bytes) -> None:
        """Register a provider without keys. Raises Repeated, or Failure ALREADY_EXISTS."""
        async with self._change(request, answer) as (connection, revision):
            cursor = await connection.execute(
                "insert into provider (name, protocol, base_url, enabled, create_revision,"
                " create_unix_ms, without_include_usage) values (%s, %s, %s, %s, %s, %s, %s)"
                " on conflict do nothing returning name",
                (
                    provider.name,
                    provider.protocol.value,
                    provider.base_url,
                    provider.enabled,
                    revision,
                    provider.create_unix_ms,
                    provider.without_include_usage,
                ),
            )
            if await cursor.fetchone() is None:
                raise already_exists("provider", provider.name)
            await cursor.executemany(
                "insert into provider_model (provider, place, model, upstream_model)"
                " values (%s, %s, %s, %s)",
                [
                    (provider.name, place, served.model, served.upstream_model)
                    for place, served in enumerate(provider.models)
                ],
            )

    async def add_key(
        self, request: Request, provider: str, key: ProviderKey, *, answer: bytes
    ) -> None:
        """Keep an encrypted key. Raises Repeated."""
        async with self._change(request, answer) as (connection, revision):
            await connection.execute(
                "insert into provider_key (key_id, provider, tenant, sealed, create_revision,"
                " create_unix_ms) values (%s, %s, %s, %s, %s, %s)",
                (key.key_id, provider, key.tenant, key.encrypted, revision, self._clock.unix_ms()),
            )

    async def set_enabled(
        self, request: Request, provider: str, *, enabled: bool, answer: bytes
    ) -> None:
        """Take a provider out of the routes, or back in. Raises Repeated."""
        async with self._change(request, answer) as (connection, _):
            await connection.execute(
                "update provider set enabled = %s where name = %s", (enabled, provider)
            )

    async def set_price(self, request: Request, price: Price, *, answer: bytes) -> None:
        """Keep a new version, numbered by the caller. Raises Repeated when it is taken."""
        async with self._change(request, answer) as (connection, _):
            if not await self._insert_price(connection, price):
                raise Repeated

    async def seed_prices(self, seed: Iterable[Price]) -> int:
        """Install shipped prices; how many versions were made.

        A model whose newest price is the operator's keeps it; an unchanged seed makes no version.
        """
        made = 0
        async with self._connection() as connection, connection.transaction():
            await _next_revision(connection)
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
                made += await self._insert_price(connection, wanted)
            if not made:
                raise psycopg.Rollback
        return made

    async def _insert_price(self, connection: psycopg.AsyncConnection, price: Price) -> bool:
        names = (*_PRICE_FIELDS, "create_unix_ms")
        values = [getattr(price, name) for name in _PRICE_FIELDS]
        cursor = await connection.execute(
            # The names are this program's own.
            f"insert into price ({', '.join(names)})"  # noqa: S608
            f" values ({', '.join(['%s'] * len(names))})"
            " on conflict do nothing returning version",
            [*values, self._clock.unix_ms()],
        )
        return await cursor.fetchone() is not None

    @asynccontextmanager
    async def _change(
        self, request: Request, answer: bytes
    ) -> AsyncIterator[tuple[psycopg.AsyncConnection, int]]:
        async with self._connection() as connection, connection.transaction():
            revision = await _next_revision(connection)
            cursor = await connection.execute(
                "insert into admin_request (request_id, method, content_sha256, answer,"
                " create_unix_ms) values (%s, %s, %s, %s, %s)"
                " on conflict do nothing returning request_id",
                (
                    request.request_id,
                    request.method,
                    request.content_sha256,
                    answer,
                    self._clock.unix_ms(),
                ),
            )
            if await cursor.fetchone() is None:
                raise Repeated
            yield connection, revision

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, PoolTimeout):
            raise store_unavailable("postgres") from None


async def _next_revision(connection: psycopg.AsyncConnection) -> int:
    cursor = await connection.execute(
        "update catalogue_revision set revision = revision + 1 returning revision"
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def _prices(
    cursor: psycopg.AsyncCursor[dict[str, Any]], versions: int, *, model: str = ""
) -> tuple[Price, ...]:
    names = ", ".join(_PRICE_FIELDS)
    await cursor.execute(
        # The names are this program's own.
        f"select {names} from (select *, row_number() over (partition by model"  # noqa: S608
        " order by version desc) as age from price where %s::text in ('', model)) as aged"
        " where age <= %s order by model, version",
        (model, versions),
    )
    return tuple(Price(**row) for row in await cursor.fetchall())


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
