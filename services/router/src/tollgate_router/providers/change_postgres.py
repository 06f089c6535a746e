"""One change of the catalogue, inside the transaction that store_postgres opened for it.

Owns the writing statements. The revision's row is locked first, so that writers take turns.
"""

from typing import Any

import psycopg

from tollgate_dialects.pricing.price import PRICE_FIELDS, Price
from tollgate_kit.rpc.failure import already_exists
from tollgate_router.providers.catalogue import Provider, ProviderKey

Connection = psycopg.AsyncConnection[Any]


class CatalogueChange:
    """What may be done to the catalogue; nobody sees it before the transaction commits."""

    def __init__(self, connection: Connection, revision: int, *, now_ms: int) -> None:
        self._connection = connection
        self._revision = revision
        self._now_ms = now_ms

    @classmethod
    async def begin(cls, connection: Connection, *, now_ms: int) -> "CatalogueChange":
        """Takes the next revision; other writers wait for the end of this transaction."""
        cursor = await connection.execute(
            "update catalogue_revision set revision = revision + 1 returning revision"
        )
        row = await cursor.fetchone()
        assert row is not None
        return cls(connection, int(row[0]), now_ms=now_ms)

    async def add_provider(self, provider: Provider) -> None:
        """Register a provider without keys. Raises Failure ALREADY_EXISTS."""
        cursor = await self._connection.execute(
            "insert into provider (name, protocol, base_url, enabled, create_revision,"
            " create_unix_ms, without_include_usage) values (%s, %s, %s, %s, %s, %s, %s)"
            " on conflict do nothing",
            (
                provider.name,
                provider.protocol.value,
                provider.base_url,
                provider.enabled,
                self._revision,
                provider.create_unix_ms,
                provider.without_include_usage,
            ),
        )
        if not cursor.rowcount:
            raise already_exists("provider", provider.name)
        await cursor.executemany(
            "insert into provider_model (provider, place, model, upstream_model)"
            " values (%s, %s, %s, %s)",
            [
                (provider.name, place, served.model, served.upstream_model)
                for place, served in enumerate(provider.models)
            ],
        )

    async def add_key(self, provider: str, key: ProviderKey) -> None:
        """Keep an encrypted key."""
        await self._connection.execute(
            # The column's name is an older word for encrypted.
            "insert into provider_key (key_id, provider, tenant, sealed, create_revision,"
            " create_unix_ms) values (%s, %s, %s, %s, %s, %s)",
            (key.key_id, provider, key.tenant, key.encrypted, self._revision, self._now_ms),
        )

    async def remove_key(self, provider: str, key_id: str) -> int | None:
        """Delete a key's ciphertext; how many keys are left. None: there was none of that name."""
        cursor = await self._connection.execute(
            "delete from provider_key where provider = %s and key_id = %s", (provider, key_id)
        )
        if not cursor.rowcount:
            return None
        await cursor.execute("select count(*) from provider_key where provider = %s", (provider,))
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    async def set_enabled(self, provider: str, *, enabled: bool) -> None:
        """Take a provider out of the routes, or back in."""
        await self._connection.execute(
            "update provider set enabled = %s where name = %s", (enabled, provider)
        )

    async def next_version(self, model: str) -> int:
        """The number of the model's next price."""
        cursor = await self._connection.execute(
            "select coalesce(max(version), 0) + 1 from price where model = %s", (model,)
        )
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    async def add_price(self, price: Price) -> None:
        """Keep a new version: that of next_version()."""
        names = (*PRICE_FIELDS, "create_unix_ms")
        await self._connection.execute(
            # The names are this program's own.
            f"insert into price ({', '.join(names)})"  # noqa: S608
            f" values ({', '.join(['%s'] * len(names))})",
            [*price.fields().values(), self._now_ms],
        )
