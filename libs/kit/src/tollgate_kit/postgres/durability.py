"""Refuses a Postgres that may forget what it acknowledged; every service's connections go by here.

Promises: every unsafe setting is named at once. A role's or a database's defaults may differ from
the server's, and synchronous_commit and read-only are a session's own: so each connection is asked.
Never does: repair a setting, or work in spite of one.
"""

from collections.abc import Mapping
from typing import Any, Final

import psycopg

from tollgate_kit.secret import Secret

# Whatever the database, its DSN or the environment say: arrays.py and the readers take it for this.
ENCODING: Final = "utf8"
_READ: Final = """
SELECT name, setting FROM pg_settings WHERE name IN
  ('fsync', 'full_page_writes', 'synchronous_commit', 'data_checksums', 'wal_sync_method',
   'synchronous_standby_names', 'transaction_read_only', 'server_version_num')
UNION ALL SELECT 'in_recovery', pg_is_in_recovery()::text
"""
_SYNC_METHODS: Final = ("fsync", "fdatasync", "open_sync", "open_datasync", "fsync_writethrough")
_ACKNOWLEDGED: Final = ("on", "remote_apply")
# Postgres 14 is the oldest that is still maintained.
_VERSION_MIN: Final = 140000

Connection = psycopg.AsyncConnection[Any]


class NotDurable(psycopg.OperationalError):
    """The database may forget what it acknowledged: to its users it is as good as away."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("Postgres is not durable: " + "; ".join(faults))
        self.faults = faults


def faults(settings: Mapping[str, str], *, standby_required: bool) -> list[str]:
    """Everything for which these settings may lose an acknowledged commit. Pure."""
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


async def require_durable(connection: Connection, *, standby_required: bool = False) -> None:
    """Close the connection and raise NotDurable, unless what commits on it is kept.

    Whatever else keeps the question from being answered closes it, too.
    """
    try:
        rows = await (await connection.execute(_READ)).fetchall()
        if found := faults(dict(rows), standby_required=standby_required):
            raise NotDurable(found)  # noqa: TRY301 - one way out, which closes
    except BaseException:
        await connection.close()
        raise


async def connect_durable(
    dsn: Secret, *, standby_required: bool = False, **options: Any
) -> psycopg.AsyncConnection[tuple[Any, ...]]:
    """A connection in autocommit mode that keeps what it acknowledges; `options` are psycopg's.

    Raises NotDurable or psycopg.OperationalError.
    """
    connection = await psycopg.AsyncConnection.connect(
        dsn.reveal(), **{"autocommit": True, "client_encoding": ENCODING, **options}
    )
    await require_durable(connection, standby_required=standby_required)
    return connection
