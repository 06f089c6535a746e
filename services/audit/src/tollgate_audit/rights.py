"""Which role does what in audit's database: the owner migrates, the writer only adds.

Promises: after grant() the writer's role may read everything, add entries, producers and subject
keys, and move the three counters on; it can change no entry. check_writer() refuses a role that
could, however it could. mark_unpublished() is for the one moment at which marks begin.
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import AsyncConnection, sql
from psycopg_pool import AsyncConnectionPool

from tollgate_audit.log.entry_mac import Altered, EntryMac, Row

# Table -> what the writer may do besides reading it.
WRITER: Mapping[str, tuple[str, ...]] = {
    "entry": ("insert",),
    "producer": ("insert", "update (last_sequence)"),
    "log_state": ("update (size)",),
    "log_published": ("update (size)",),
    "subject_key": ("insert",),
    "schema_migration": (),
}
_POWERS = """
select me.rolsuper,
    pg_has_role(entry.relowner, 'member') or pg_has_role(space.nspowner, 'member'),
    pg_has_role(base.datdba, 'member'),
    has_table_privilege(entry.oid, 'update, delete, truncate, trigger')
        or has_any_column_privilege(entry.oid, 'update')
from pg_class entry
join pg_namespace space on space.oid = entry.relnamespace
join pg_database base on base.datname = current_database()
join pg_roles me on me.rolname = current_user
where entry.oid = 'entry'::regclass"""
_FAULTS = (
    "is a superuser",
    "owns the table of entries or its schema",
    "owns the database",
    "may change entries",
)


class WriterTooMighty(Exception):  # noqa: N818 - it is what was found
    """The role that audit serves with could change entries: what it could do, and the way out."""


async def grant(owner: AsyncConnection, writer: str) -> None:
    """Give the writer's role exactly its rights. Raises psycopg.Error."""
    role = sql.Identifier(writer)
    async with owner.transaction():
        everything = sql.SQL("revoke all on all tables in schema public from {}")
        await owner.execute(everything.format(role))
        for table, rights in WRITER.items():
            allowed = sql.SQL(", ").join(sql.SQL(right) for right in ("select", *rights))
            statement = sql.SQL("grant {} on {} to {}")
            await owner.execute(statement.format(allowed, sql.Identifier(table), role))


async def has_unpublished(owner: AsyncConnection) -> bool:
    """Whether there are entries that were sequenced and not published. Raises psycopg.Error."""
    cursor = await owner.execute(
        "select exists (select from entry where log_index >= (select size from log_published))"
    )
    row = await cursor.fetchone()
    assert row is not None, "exists always answers"
    return bool(row[0])


async def mark_unpublished(owner: AsyncConnection, mac: EntryMac) -> int:
    """Mark what an older version sequenced and did not publish; how many. Raises psycopg.Error.

    Called once, in the run that adds marks: later an entry without one is one that was altered.
    """
    async with owner.transaction():
        await owner.execute("alter table entry disable trigger only_grows")
        cursor = await owner.execute(
            "select log_index, leaf from entry where log_index >= (select size from log_published)"
        )
        marks = [(mac.mark(index, leaf), index) for index, leaf in await cursor.fetchall()]
        await cursor.executemany("update entry set mac = %s where log_index = %s", marks)
        await owner.execute("alter table entry enable trigger only_grows")
    return len(marks)


async def mark_anew(owner: AsyncConnection, former: EntryMac, mac: EntryMac) -> int:
    """Mark what is not published under the present secret instead of the former one; how many.

    Raises Altered for an entry that neither has marked, with nothing changed, or psycopg.Error.
    """
    async with owner.transaction():
        await owner.execute("alter table entry disable trigger only_grows")
        cursor = await owner.execute(
            "select log_index, leaf, mac from entry"
            " where log_index >= (select size from log_published)"
        )
        rows = [row for row in map(Row._make, await cursor.fetchall()) if not mac.holds(row)]
        for row in rows:
            if not former.holds(row):
                raise Altered(row.log_index)
        marks = [(mac.mark(row.log_index, row.leaf), row.log_index) for row in rows]
        await cursor.executemany("update entry set mac = %s where log_index = %s", marks)
        await owner.execute("alter table entry enable trigger only_grows")
    return len(marks)


async def check_writer(pool: AsyncConnectionPool) -> None:
    """Raise WriterTooMighty if this process's role could change an entry."""
    async with pool.connection() as connection:
        cursor = await connection.execute(_POWERS)
        row = await cursor.fetchone()
        assert row is not None, "the schema was checked"
    found = [fault for fault, so in zip(_FAULTS, row, strict=True) if so]
    if found:
        raise WriterTooMighty(
            f"the database role of [postgres] {', '.join(found)}: audit serves only with a role "
            "that can change no entry. Name its owner's DSN in [owner], run `migrate`, and give "
            "[postgres] the writer's (services/audit/README.md)"
        )
