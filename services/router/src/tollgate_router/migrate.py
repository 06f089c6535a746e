"""`migrate`: brings the schema up, then installs the shipped prices that changed.

A model whose newest price is the operator's keeps it; an unchanged price makes no version. Makes no
audit entry: it runs before audit does, and every charge names the price version it used.
"""

from tollgate_dialects.pricing import seed
from tollgate_kit.clock import SystemClock
from tollgate_kit.lifecycle import Lifecycle
from tollgate_kit.logs import Log
from tollgate_kit.postgres import pool as pg
from tollgate_router.config import Config
from tollgate_router.providers.store_postgres import PostgresStore


async def migrate(package: str, config: Config, log: Log, life: Lifecycle) -> None:
    """Do it once. Raises SchemaFault, or psycopg.OperationalError."""
    applied = await pg.migrate(config.postgres, package=package)
    pool = await pg.open_pool(config.postgres, name="router-migrate")
    life.on_stop("postgres", pool.close)
    shipped = seed.models() + (seed.demo_models() if config.catalogue.demo_prices else ())
    made = await PostgresStore(pool, clock=SystemClock()).seed_prices(m.price for m in shipped)
    log.info("migrated", migrations=applied, price_versions=made)
