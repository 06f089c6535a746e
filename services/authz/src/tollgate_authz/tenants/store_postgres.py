"""The store in Postgres. Owns the statements; the schema is in migrations/.

Promises what store.py promises, on one primary shared by any number of authz processes. A
statement that cannot be answered raises Failure; a commit whose answer is lost raises
OUTCOME_UNKNOWN, which a retry with the same request_id resolves.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from tollgate_authz.tenants import change_postgres
from tollgate_authz.tenants.directory import (
    Change,
    ChangeDenied,
    ChangeOutcome,
    Effect,
    Group,
    Key,
    KeyMac,
    KeyState,
    Revision,
    Revocations,
    SetKeyState,
    SetTenantEnabled,
    Subject,
    Tenant,
    takes_away,
)
from tollgate_authz.tenants.store import LIST_MAX, REVISIONS_KEPT, BeforeCommit, Found
from tollgate_kit.changes.once import Changes
from tollgate_kit.rpc.failure import store_unavailable

Row = Mapping[str, Any]
Connection = psycopg.AsyncConnection[dict[str, Any]]
Pool = AsyncConnectionPool[psycopg.AsyncConnection[Any]]

_STORE: Final = "postgres"
# A connection that cannot be had in this time is an answer, too: the caller fails closed sooner.
_CONNECTION_SECONDS: Final = 2.0

_KEY_COLUMNS: Final = """
    k.key_id, k.public_id, k.tenant_id, k.group_id, k.name, k.environment, k.allowed_models,
    k.ip_allowlist, k.requests_per_minute, k.tokens_per_minute, k.state,
    k.expire_unix_ms, k.create_unix_ms"""

# Always one row, so that an unknown id, too, is answered with the revision it was read at.
_FIND: Final = f"""
    SELECT h.revision, k.mac, k.pepper_version, t.enabled AS tenant_enabled, {_KEY_COLUMNS}
      FROM revision_head h
      LEFT JOIN virtual_key k ON k.public_id = %(public_id)s
      LEFT JOIN tenant t ON t.tenant_id = k.tenant_id"""  # noqa: S608 - constants

_REVOCATIONS: Final = """
    SELECT h.revision AS head, (SELECT min(o.revision) FROM revocation o) AS oldest,
           r.revision, r.key_id, r.tenant_id
      FROM revision_head h
      LEFT JOIN LATERAL (
           SELECT n.revision, n.key_id, n.tenant_id FROM revocation n
            WHERE n.revision > %(after)s AND %(after)s <> 0
            ORDER BY n.revision LIMIT %(limit)s) r ON true
     ORDER BY r.revision"""


class PostgresStore:
    """tollgate_authz.tenants.store.Store over a pool of connections in autocommit."""

    def __init__(self, pool: Pool, *, revisions_kept: int = REVISIONS_KEPT) -> None:
        self._pool = pool
        self._changes = Changes(pool)
        self._revisions_kept = revisions_kept

    async def find(self, public_id: str) -> Found:
        (row,) = await self._read(_FIND, public_id=public_id)
        subject = None
        if row["key_id"] is not None:
            subject = Subject(
                key=_key(row),
                key_mac=KeyMac(mac=bytes(row["mac"]), pepper_version=row["pepper_version"]),
                tenant_enabled=row["tenant_enabled"],
            )
        return Found(subject=subject, revision=Revision(row["revision"]))

    async def apply(self, change: Change, before_commit: BeforeCommit) -> ChangeOutcome:
        async def make(connection: Connection) -> bytes | ChangeDenied:
            connection.row_factory = dict_row
            denied = await change_postgres.write(connection, change.effect)
            if denied is not None:
                return denied
            await before_commit()
            return change.answer(await self._take_revision(connection, change.effect))

        return await self._changes.once(change.request, make, now_ms=change.create_unix_ms)

    async def _take_revision(self, connection: Connection, effect: Effect) -> Revision:
        """The head after the change. Its lock is held from here to the commit, no longer."""
        if not takes_away(effect):
            return Revision(
                (await _one(connection, "SELECT revision FROM revision_head"))["revision"]
            )
        head = await _one(
            connection, "UPDATE revision_head SET revision = revision + 1 RETURNING revision"
        )
        revision = Revision(head["revision"])
        await connection.execute(
            """INSERT INTO revocation (revision, key_id, tenant_id, reason)
               VALUES (%(revision)s, %(key_id)s, %(tenant_id)s, %(reason)s)""",
            {
                "revision": revision,
                "key_id": effect.key_id if isinstance(effect, SetKeyState) else None,
                "tenant_id": effect.tenant_id if isinstance(effect, SetTenantEnabled) else None,
                "reason": effect.reason if isinstance(effect, SetKeyState) else "",
            },
        )
        await connection.execute(
            "DELETE FROM revocation WHERE revision <= %(newest_dropped)s",
            {"newest_dropped": revision - self._revisions_kept},
        )
        return revision

    async def tenants(self) -> Sequence[Tenant]:
        rows = await self._read(
            """SELECT tenant_id, name, enabled, create_unix_ms FROM tenant
                ORDER BY tenant_id LIMIT %(limit)s""",
            limit=LIST_MAX + 1,
        )
        return [Tenant(**row) for row in rows]

    async def groups(self, tenant_id: str) -> Sequence[Group]:
        rows = await self._read(
            """SELECT group_id, tenant_id, name, create_unix_ms FROM tenant_group
                WHERE tenant_id = %(tenant_id)s ORDER BY group_id LIMIT %(limit)s""",
            tenant_id=tenant_id,
            limit=LIST_MAX + 1,
        )
        return [Group(**row) for row in rows]

    async def keys(self, tenant_id: str) -> Sequence[Key]:
        rows = await self._read(
            f"""SELECT {_KEY_COLUMNS} FROM virtual_key k
                 WHERE k.tenant_id = %(tenant_id)s ORDER BY k.key_id LIMIT %(limit)s""",  # noqa: S608 - constants
            tenant_id=tenant_id,
            limit=LIST_MAX + 1,
        )
        return [_key(row) for row in rows]

    async def key(self, key_id: str) -> Key | None:
        rows = await self._read(
            f"SELECT {_KEY_COLUMNS} FROM virtual_key k WHERE k.key_id = %(key_id)s",  # noqa: S608 - constants
            key_id=key_id,
        )
        return _key(rows[0]) if rows else None

    async def revocations(self, *, after: int, limit: int) -> Revocations:
        rows = await self._read(_REVOCATIONS, after=after, limit=limit)
        head = rows[0]["head"]
        oldest = rows[0]["oldest"] if rows[0]["oldest"] is not None else head + 1
        resumable = after == 0 or oldest - 1 <= after <= head
        found = [row for row in rows if resumable and row["revision"] is not None]
        return Revocations(
            key_ids=[row["key_id"] for row in found if row["key_id"] is not None],
            tenant_ids=[row["tenant_id"] for row in found if row["tenant_id"] is not None],
            through_revision=found[-1]["revision"] if len(found) == limit else head,
            resumable=resumable,
        )

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        async with self._pool.connection(_CONNECTION_SECONDS) as connection:
            connection.row_factory = dict_row
            yield connection

    async def _read(self, statement: str, **values: object) -> Sequence[dict[str, Any]]:
        try:
            async with self._connection() as connection:
                return await (await connection.execute(statement.encode(), values)).fetchall()
        except psycopg.Error as error:
            if _is_outage(error):
                raise store_unavailable(_STORE) from error
            raise


def _is_outage(error: psycopg.Error) -> bool:
    """Whether the database could not answer, rather than refused a statement of ours."""
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


async def _one(connection: Connection, statement: str) -> Row:
    row = await (await connection.execute(statement.encode())).fetchone()
    assert row is not None, "the table has its one row since the first migration"
    return row


def _key(row: Row) -> Key:
    return Key(
        key_id=row["key_id"],
        public_id=row["public_id"],
        tenant_id=row["tenant_id"],
        group_id=row["group_id"],
        name=row["name"],
        environment=row["environment"],
        allowed_models=tuple(row["allowed_models"]),
        ip_allowlist=tuple(row["ip_allowlist"]),
        requests_per_minute=row["requests_per_minute"],
        tokens_per_minute=row["tokens_per_minute"],
        state=KeyState(row["state"]),
        expire_unix_ms=row["expire_unix_ms"],
        create_unix_ms=row["create_unix_ms"],
    )
