"""What the database must promise before money is counted in it; and connections that assert it.

Promises: every unsafe setting is listed at once. Never does: repair one, or start in spite of one.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import AsyncConnection

from tollgate_kit.secret import Secret

CONNECT_TIMEOUT_S = 3
# How long a batch waits for another program's row locks before it gives up and tries again.
LOCK_TIMEOUT_MS = 2000

_READ = """
SELECT name, setting FROM pg_settings WHERE name IN
  ('fsync', 'full_page_writes', 'synchronous_commit', 'data_checksums', 'wal_sync_method',
   'synchronous_standby_names', 'transaction_read_only', 'server_version_num')
UNION ALL SELECT 'in_recovery', pg_is_in_recovery()::text
"""
_SYNC_METHODS = ("fsync", "fdatasync", "open_sync", "open_datasync", "fsync_writethrough")
_ACKNOWLEDGED = ("on", "remote_apply")
# Postgres 14 is the oldest that is still maintained.
_VERSION_MIN = 140000


class UnsafeSettings(Exception):  # noqa: N818 - a list of faults
    """The database may forget what it acknowledged."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def faults(settings: Mapping[str, str], *, standby_required: bool) -> list[str]:
    """Everything that makes these settings unsafe for money. Pure."""
    found = [
        f"{name} is {settings.get(name)!r}, must be on"
        for name in ("fsync", "full_page_writes", "data_checksums")
        if settings.get(name) != "on"
    ]
    if settings.get("synchronous_commit") not in _ACKNOWLEDGED:
        found.append(
            f"synchronous_commit is {settings.get('synchronous_commit')!r} for this role, "
            "must be on or remote_apply"
        )
    if settings.get("wal_sync_method") not in _SYNC_METHODS:
        found.append(f"wal_sync_method is {settings.get('wal_sync_method')!r}, which is unknown")
    if settings.get("in_recovery") != "false":
        found.append("this server is a standby, not the primary")
    if settings.get("transaction_read_only") != "off":
        found.append("transactions are read-only")
    if int(settings.get("server_version_num", "0")) < _VERSION_MIN:
        found.append("PostgreSQL is older than 14")
    if standby_required and not settings.get("synchronous_standby_names"):
        found.append("synchronous_standby_names is empty, but standby_required is set")
    return found


async def refuse_unsafe(
    connection: AsyncConnection[tuple[Any, ...]], *, standby_required: bool
) -> None:
    """Raise UnsafeSettings unless the database keeps what it acknowledges."""
    rows = await (await connection.execute(_READ)).fetchall()
    found = faults(dict(rows), standby_required=standby_required)
    if found:
        raise UnsafeSettings(found)


async def connect_durable(
    dsn: Secret, *, standby_required: bool = False, name: str = "tollgate_budget_writer"
) -> AsyncConnection[tuple[Any, ...]]:
    """A fresh connection for commits, on which durability was checked. Raises UnsafeSettings.

    A role's or database's defaults may differ from the server's: so each connection is asked.
    """
    connection = await psycopg.AsyncConnection.connect(
        dsn.reveal(),
        autocommit=True,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name=name,
        options=f"-c lock_timeout={LOCK_TIMEOUT_MS}",
    )
    try:
        await refuse_unsafe(connection, standby_required=standby_required)
    except BaseException:
        await connection.close()
        raise
    return connection
