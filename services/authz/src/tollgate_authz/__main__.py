"""The authz process, `python -m tollgate_authz --config FILE [serve|migrate]`: wires and waits."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Final

from tollgate.authz.v1 import authz_pb2_grpc
from tollgate_authz.admin_servicer import AuthzAdminServicer
from tollgate_authz.config import AuthzConfig
from tollgate_authz.keys.key import Peppers
from tollgate_authz.keys.revocations import RevocationFeed
from tollgate_authz.servicer import AuthzServicer
from tollgate_authz.tenants.store_postgres import PostgresStore
from tollgate_kit import service_process
from tollgate_kit.clock import SystemClock
from tollgate_kit.evidence import open_evidence
from tollgate_kit.ids import Ids
from tollgate_kit.keyring.open import mac_keys, names_of, open_keyring, take_at_reload
from tollgate_kit.lifecycle import Lifecycle, core_task
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.postgres import pool as pg
from tollgate_kit.rpc.server import RpcServer

IDENTITY: Final = "authz"
PACKAGE: Final = "tollgate_authz"
PEPPER: Final = "pepper"  # the keyring's name of it


async def _migrate(config: AuthzConfig, log: Log, _life: Lifecycle) -> None:
    applied = await pg.migrate(config.postgres, package=PACKAGE)
    log.info("authz.migrated", applied=applied)


async def _peppers(
    config: AuthzConfig, clock: SystemClock, metrics: Metrics, log: Log, life: Lifecycle
) -> Peppers:
    keyring = await open_keyring(
        config.keyring,
        names_of(config.keyring, PEPPER, "mac"),
        clock=clock,
        metrics=metrics,
        log=log,
        life=life,
    )
    peppers = Peppers(await mac_keys(keyring, config.keyring, PEPPER))
    take_at_reload(keyring, PEPPER, peppers.take, life=life, metrics=metrics)
    return peppers


async def _serve(config: AuthzConfig, log: Log, life: Lifecycle) -> None:
    clock, metrics = SystemClock(), Metrics(IDENTITY)
    ids = Ids(clock)
    peppers = await _peppers(config, clock, metrics, log, life)

    pool = await pg.open_pool(config.postgres, name=PACKAGE)
    life.on_stop("postgres", pool.close)
    await pg.check_schema(pool, package=PACKAGE)
    store = PostgresStore(pool)
    # Connections of its own: were the reader to queue behind many Checks, heartbeats would stop,
    # every edge would give up its cache, and there would be more Checks still.
    log_pool = await pg.open_pool(
        replace(config.postgres, pool_min=1, pool_max=2), name=f"{PACKAGE}_revisions"
    )
    life.on_stop("postgres_revisions", log_pool.close)

    evidence = await open_evidence(
        IDENTITY, config.audit, config.rpc.tls, ids=ids, metrics=metrics, log=log, life=life
    )

    revisions = PostgresStore(log_pool)
    feed = RevocationFeed(revisions, clock=clock, metrics=metrics, log=log)
    check = AuthzServicer(store=store, peppers=peppers, feed=feed, clock=clock, metrics=metrics)
    admin = AuthzAdminServicer(
        store=store, peppers=peppers, evidence=evidence, feed=feed, ids=ids, clock=clock, log=log
    )
    server = RpcServer(config.rpc, metrics=metrics, log=log)
    server.add(authz_pb2_grpc.add_AuthzServiceServicer_to_server, check)
    server.add(authz_pb2_grpc.add_AuthzAdminServiceServicer_to_server, admin)
    port = await server.start()
    life.on_stop("rpc", server.stop)
    # Before the server stops: its streams never end by themselves.
    life.on_stop("revocations", feed.close)

    stop_metrics = metrics.serve(config.metrics.listen)
    life.on_stop("metrics", partial(asyncio.to_thread, stop_metrics))
    server.follow(life.readiness)
    log.info("authz.serving", port=port)
    reader = core_task("revisions", feed.run())
    await life.until_stopped()
    reader.cancel()


def main() -> int:
    return service_process.run(IDENTITY, AuthzConfig, {"serve": _serve, "migrate": _migrate})


if __name__ == "__main__":
    raise SystemExit(main())
