"""Which responses upstreams keep for whom, in Postgres.

Promises: what put() returned from is durable; a response is found by its tenant alone, until it
expires; an id that an upstream gave twice is nobody's from then on, for it could mean either.
"""

from collections.abc import Sequence

from psycopg_pool import AsyncConnectionPool

from tollgate_router.providers.store_postgres import lent
from tollgate_router.stored.response import KEPT_MS, StoredResponse

# Rows that one statement of the sweep takes away.
SWEEP_ROWS_MAX = 1_000
_COLUMNS = ", ".join(StoredResponse._fields)
_MARKS = ", ".join(["%s"] * (len(StoredResponse._fields) + 1))
_PUT = (
    f"insert into stored_response as old ({_COLUMNS}, expire_unix_ms) values ({_MARKS})"  # noqa: S608 - this program's own names
    " on conflict (response_id) do update set context_tokens = 0, tenant_id = case when"
    " (old.tenant_id, old.provider, old.provider_key_id)"
    " = (excluded.tenant_id, excluded.provider, excluded.provider_key_id)"
    " then old.tenant_id else '' end"
)
_FIND = (
    f"select {_COLUMNS} from stored_response"  # noqa: S608 - this program's own names
    " where response_id = %s and tenant_id = %s and expire_unix_ms > %s"
)
_SWEEP = (
    "delete from stored_response where response_id in (select response_id from stored_response"
    " where expire_unix_ms <= %s order by expire_unix_ms limit %s for update skip locked)"
)


class PostgresStoredResponses:
    """The table. Raises Failure STORE_UNAVAILABLE when it cannot answer."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def put(self, responses: Sequence[StoredResponse]) -> None:
        """Enter them all, or none; ordered by id, so that no two wait for each other."""
        rows = sorted((*response, response.create_unix_ms + KEPT_MS) for response in responses)
        async with lent(self._pool) as connection, connection.transaction():
            await connection.cursor().executemany(_PUT, rows)

    async def find(self, tenant_id: str, response_id: str, *, now_ms: int) -> StoredResponse | None:
        """A tenant's response; None also for another's."""
        assert tenant_id, "nobody's are found by nobody"
        async with lent(self._pool) as connection:
            cursor = await connection.execute(_FIND, (response_id, tenant_id, now_ms))
            row = await cursor.fetchone()
        return None if row is None else StoredResponse(*row)

    async def delete(self, tenant_id: str, response_id: str) -> None:
        """Forget a tenant's response."""
        async with lent(self._pool) as connection:
            await connection.execute(
                "delete from stored_response where response_id = %s and tenant_id = %s",
                (response_id, tenant_id),
            )

    async def sweep(self, *, now_ms: int) -> int:
        """Forget some of those that have expired; how many."""
        async with lent(self._pool) as connection:
            cursor = await connection.execute(_SWEEP, (now_ms, SWEEP_ROWS_MAX))
        return cursor.rowcount
