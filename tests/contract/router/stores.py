"""What router's stores and audit's producer are to those who use them, without either."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tollgate_dialects.pricing.price import Price
from tollgate_kit.rpc.failure import audit_not_durable
from tollgate_router.providers.catalogue import Provider
from tollgate_router.providers.store_postgres import Rows
from tollgate_router.stored.response import StoredResponse


class MemoryStore:
    """What CatalogueWatch reads, without a database."""

    def __init__(self) -> None:
        self.rows = Rows(1, (), ())

    async def revision(self) -> int:
        return self.rows.revision

    async def load(self) -> Rows:
        return self.rows

    def put(self, providers: tuple[Provider, ...], prices: tuple[Price, ...]) -> None:
        self.rows = Rows(self.rows.revision + 1, providers, prices)


class MemoryStored:
    """Stored responses, without a database."""

    def __init__(self) -> None:
        self.rows: dict[str, StoredResponse] = {}

    async def put(self, responses: Sequence[StoredResponse]) -> None:
        self.rows |= {response.response_id: response for response in responses}

    async def find(self, tenant_id: str, response_id: str, *, now_ms: int) -> StoredResponse | None:
        found = self.rows.get(response_id)
        return found if found is not None and found.tenant_id == tenant_id else None

    async def delete(self, tenant_id: str, response_id: str) -> None:
        if await self.find(tenant_id, response_id, now_ms=0):
            del self.rows[response_id]

    async def sweep(self, *, now_ms: int) -> int:
        return 0


@dataclass
class Evidence:
    """Stands where audit's producer does; keeps what it is given, or is away."""

    entries: list[tuple[int, dict]] = field(default_factory=list)
    away: bool = False

    async def append(self, kind, *, tenant_id, trace_id, subject, payload):
        if self.away:
            raise audit_not_durable()
        self.entries.append((kind, {"tenant_id": tenant_id, "trace_id": trace_id, **payload}))
        return len(self.entries)
