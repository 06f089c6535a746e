"""`renew-keys`: encrypts the upstream keys anew under the newest version of their key.

While router runs, once every router encrypts with that version. Promises: as
tollgate_kit.keyring.move; every router reads what was changed, as any change of the catalogue. With
Vault no key is readable here: Vault does it.
"""

from tollgate_kit.clock import SystemClock
from tollgate_kit.keyring.move import Row
from tollgate_kit.keyring.open import open_keyring
from tollgate_kit.keyring.rekey import renew_rows
from tollgate_kit.lifecycle import Lifecycle
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.postgres.alone import CONNECT_TIMEOUT_S
from tollgate_kit.postgres.durability import connect_durable
from tollgate_router.config import Config
from tollgate_router.providers.provider_keys import KEYRING_KEY
from tollgate_router.rekey import ProviderKeyRows

# An operator's change that is under way ends well before.
_LOCK_TIMEOUT = "-c lock_timeout=60s"


async def renew(config: Config, log: Log, life: Lifecycle) -> None:
    """Do it once. Raises KeyringFault, RowsLeft, or psycopg.OperationalError."""
    keyring = await open_keyring(
        config.keyring,
        {KEYRING_KEY: "aes256"},
        clock=SystemClock(),
        metrics=Metrics("router"),
        log=log,
        life=life,
    )
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
