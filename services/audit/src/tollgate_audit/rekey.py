"""`rekey --from FILE`: moves what audit's keyring guards from a former one to the present one.

The subject keys, row by row, as tollgate_kit.keyring.move; and, where the log's key is another, the
marks of what is not published yet. While audit is stopped, as the owner of its database.
`renew-keys`, as the owner too and while audit runs, has the subject keys leave the older versions
of their key, once audit has reloaded with the newest.
Promises: a run that was ended is begun again, and nothing is lost; a log's key is not changed
before the former one is listed, for nobody could verify the checkpoints that it signed.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import AsyncConnection

from tollgate_audit import rights
from tollgate_audit.config import AuditConfig
from tollgate_audit.key_change import signer_of
from tollgate_audit.log.entry_mac import EntryMac
from tollgate_audit.log.signer import KEYRING_KEY as LOG_KEY
from tollgate_audit.subject_keys import KEYRING_KEY, encryption_context
from tollgate_kit.clock import SystemClock
from tollgate_kit.keyring.base import Keyring
from tollgate_kit.keyring.move import Row
from tollgate_kit.keyring.open import names_of, open_keyring
from tollgate_kit.keyring.rekey import Step, rekey_rows, renew_rows
from tollgate_kit.lifecycle import Lifecycle
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.postgres.alone import CONNECT_TIMEOUT_S, alone
from tollgate_kit.postgres.durability import connect_durable
from tollgate_kit.secret import Secret

POOL_NAME = "tollgate-audit"


class LogKeyChanges(Exception):  # noqa: N818 - it is what was found
    """The present keyring has another log key, and the former one is not listed."""


async def rekey(
    former: AuditConfig, config: AuditConfig, log: Log, life: Lifecycle, *, step: Step
) -> None:
    """Do it once. Raises LogKeyChanges, InUse, KeyringFault, RowsLeft, Altered, psycopg.Error."""
    old, new = [await _opened(one, log, life) for one in (former, config)]
    old_signer = await signer_of(old, former)
    new_signer = await signer_of(new, config)
    if old_signer.verifier_key not in new_signer.known_keys:
        raise LogKeyChanges(
            "the log's key changes; list the former one, so that what it signed can be verified: "
            f'[log] former_keys = ["{old_signer.verifier_key}"]'
        )
    async with alone(_owner(config), beside=POOL_NAME) as connection:
        rows = SubjectKeyRows(connection)
        moved = await rekey_rows(
            step, rows, KEYRING_KEY, former=old, keyring=new, title="subject keys"
        )
        marked = 0
        if step is not Step.CHECK and old_signer.verifier_key != new_signer.verifier_key:
            old_mac, new_mac = [EntryMac(*await one.secrets()) for one in (old_signer, new_signer)]
            marked = await rights.mark_anew(connection, old_mac, new_mac)
    log.info("rekeyed", key=KEYRING_KEY, moved=moved, marked=marked)


async def renew(config: AuditConfig, log: Log, life: Lifecycle) -> None:
    """Do it once. Raises KeyringFault, RowsLeft, or psycopg.OperationalError."""
    keyring = await _opened(config, log, life)
    async with await connect_durable(
        _owner(config),
        application_name=f"{POOL_NAME}-renew",
        connect_timeout=CONNECT_TIMEOUT_S,
    ) as connection:
        renewed = await renew_rows(
            SubjectKeyRows(connection), KEYRING_KEY, keyring=keyring, title="subject keys"
        )
    log.info("renewed", key=KEYRING_KEY, renewed=renewed)


def _owner(config: AuditConfig) -> Secret:
    return Secret(config.owner.dsn_path.read_text("utf-8").strip())


async def _opened(config: AuditConfig, log: Log, life: Lifecycle) -> Keyring:
    return await open_keyring(
        config.keyring,
        {**names_of(config.keyring, LOG_KEY, "ed25519"), KEYRING_KEY: "aes256"},
        clock=SystemClock(),
        # Each its own: two keyrings of one kind count the same things.
        metrics=Metrics("audit"),
        log=log,
        life=life,
    )


class SubjectKeyRows:
    """The table of subject keys."""

    def __init__(self, owner: AsyncConnection) -> None:
        self._owner = owner

    async def count(self) -> int:
        cursor = await self._owner.execute("select count(*) from subject_key")
        row = await cursor.fetchone()
        assert row is not None, "a count has one row"
        return int(row[0])

    async def after(self, row_id: str | None, limit: int) -> Sequence[Row]:
        cursor = await self._owner.execute(
            "select tenant_id, sealed from subject_key"
            " where %s::text is null or tenant_id > %s order by tenant_id limit %s",
            (row_id, row_id, limit),
        )
        return [
            Row(tenant_id, encryption_context(tenant_id), sealed)
            async for tenant_id, sealed in cursor
        ]

    async def replace(self, row: Row, encrypted: str) -> bool:
        # The column's name is an older word for encrypted.
        cursor = await self._owner.execute(
            "update subject_key set sealed = %s where tenant_id = %s and sealed = %s",
            (encrypted, row.row_id, row.encrypted),
        )
        return cursor.rowcount == 1
