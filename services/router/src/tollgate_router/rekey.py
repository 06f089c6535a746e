"""Encrypts the upstream keys otherwise; nothing is lost, and a run that was ended is begun again.

`rekey --from FILE` moves them from a former keyring to the present one, while router is stopped: it
would go on with what its own keyring does not open. `renew-keys` has them leave the older versions
of their key, while router runs and once every router encrypts with the newest: every router reads
what was changed. With Vault no key is readable here then: Vault does it.
"""

from collections.abc import Sequence

from psycopg import AsyncConnection

from tollgate_kit.clock import SystemClock
from tollgate_kit.keyring.base import Keyring
from tollgate_kit.keyring.move import Row
from tollgate_kit.keyring.open import open_keyring
from tollgate_kit.keyring.rekey import Step, rekey_rows, renew_rows
from tollgate_kit.lifecycle import Lifecycle
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.postgres.alone import CONNECT_TIMEOUT_S, alone
from tollgate_kit.postgres.durability import connect_durable
from tollgate_router.config import Config
from tollgate_router.providers.base_url import BadBaseUrl, parse
from tollgate_router.providers.catalogue import encryption_context
from tollgate_router.providers.provider_keys import KEYRING_KEY

POOL_NAME = "router"
# An operator's change that is under way ends well before.
_LOCK_TIMEOUT = "-c lock_timeout=60s"


async def rekey(former: Config, config: Config, log: Log, life: Lifecycle, *, step: Step) -> None:
    """Do it once. Raises InUse, KeyringFault, RowsLeft, or psycopg.OperationalError."""
    old, new = [await _opened(one, log, life) for one in (former, config)]
    async with alone(config.postgres.dsn, beside=POOL_NAME) as connection:
        rows = ProviderKeyRows(connection)
        moved = await rekey_rows(
            step, rows, KEYRING_KEY, former=old, keyring=new, title="upstream keys"
        )
    log.info("rekeyed", key=KEYRING_KEY, moved=moved)


async def renew(config: Config, log: Log, life: Lifecycle) -> None:
    """Do it once. Raises KeyringFault, RowsLeft, or psycopg.OperationalError."""
    keyring = await _opened(config, log, life)
    async with await connect_durable(
        config.postgres.dsn,
        application_name="router-renew",
        connect_timeout=CONNECT_TIMEOUT_S,
        options=_LOCK_TIMEOUT,
    ) as connection:
        # A change that began before routers had the newest version may store an older one's.
        await connection.execute("select from catalogue_revision for update")
        renewed = await renew_rows(
            RunningRows(connection), KEYRING_KEY, keyring=keyring, title="upstream keys"
        )
    log.info("renewed", key=KEYRING_KEY, renewed=renewed)


async def _opened(config: Config, log: Log, life: Lifecycle) -> Keyring:
    return await open_keyring(
        config.keyring,
        {KEYRING_KEY: "aes256"},
        clock=SystemClock(),
        # Each its own: two keyrings of one kind count the same things.
        metrics=Metrics("router"),
        log=log,
        life=life,
    )


class ProviderKeyRows:
    """The table of provider keys."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def count(self) -> int:
        cursor = await self._connection.execute("select count(*) from provider_key")
        row = await cursor.fetchone()
        assert row is not None, "a count has one row"
        return int(row[0])

    async def after(self, row_id: str | None, limit: int) -> Sequence[Row]:
        cursor = await self._connection.execute(
            "select key_id, tenant, base_url, sealed from provider_key"
            " join provider on provider.name = provider_key.provider"
            " where %s::text is null or key_id > %s order by key_id limit %s",
            (row_id, row_id, limit),
        )
        return [
            Row(key_id, _context(tenant, key_id, base_url), sealed)
            async for key_id, tenant, base_url, sealed in cursor
        ]

    async def replace(self, row: Row, encrypted: str) -> bool:
        # The column's name is an older word for encrypted.
        cursor = await self._connection.execute(
            "update provider_key set sealed = %s where key_id = %s and sealed = %s",
            (encrypted, row.row_id, row.encrypted),
        )
        return cursor.rowcount == 1


class RunningRows(ProviderKeyRows):
    """The table of provider keys, of which routers keep what they have read."""

    async def replace(self, row: Row, encrypted: str) -> bool:
        # The revision's row is locked first, as by every writer: two never wait for each other.
        cursor = await self._connection.execute(
            "with changed as (update catalogue_revision set revision = revision + 1 returning 1)"
            " update provider_key set sealed = %s from changed where key_id = %s and sealed = %s",
            (encrypted, row.row_id, row.encrypted),
        )
        return cursor.rowcount == 1


def _context(tenant: str, key_id: str, base_url: str) -> str:
    """What the key is bound to; of an address that is none, nothing that any key is bound to."""
    try:
        # Whether this deployment allows the address does not change what the key is bound to.
        return encryption_context(tenant, key_id, parse(base_url, allow_private=True))
    except BadBaseUrl:
        return "-"  # Vault would refuse a whole batch for an empty one
