"""Router's composition root: `python -m tollgate_router --config FILE COMMAND`."""

import asyncio
import sys
from functools import partial
from typing import TypedDict

from psycopg_pool import AsyncConnectionPool

from tollgate.router.v1 import router_pb2_grpc
from tollgate_dialects.pricing import seed
from tollgate_kit import service_process
from tollgate_kit.clock import SystemClock
from tollgate_kit.evidence import open_evidence
from tollgate_kit.hmac_key import HmacKeys
from tollgate_kit.ids import Ids
from tollgate_kit.keyring.base import Keyring, Kind
from tollgate_kit.keyring.open import mac_keys, names_of, open_keyring, take_at_reload
from tollgate_kit.keyring.rekey import Step
from tollgate_kit.lifecycle import Lifecycle, core_task
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.postgres import pool as pg
from tollgate_kit.rpc.server import RpcServer
from tollgate_router.admin_servicer import RouterAdminServicer
from tollgate_router.attempts import Attempts
from tollgate_router.config import Config
from tollgate_router.execute import Executor
from tollgate_router.migrate import migrate
from tollgate_router.provider_test import ProviderTest
from tollgate_router.providers.catalogue_watch import CatalogueWatch
from tollgate_router.providers.provider_keys import KEYRING_KEY as PROVIDER_KEYS_KEY
from tollgate_router.providers.provider_keys import ProviderKeys
from tollgate_router.providers.store_postgres import PostgresStore
from tollgate_router.rekey import POOL_NAME, rekey, renew
from tollgate_router.reservation import UsedReservations
from tollgate_router.servicer import RouterServicer
from tollgate_router.stored.recorder import Recorder
from tollgate_router.stored.requests import StoredRequests
from tollgate_router.stored.store_postgres import PostgresStoredResponses
from tollgate_router.upstream.token_exchange import TokenExchange
from tollgate_router.upstream.upstream import Upstream

PACKAGE = "tollgate_router"
RESERVATION_KEY = "reservation"  # the keyring's name of it; budget has it, too
KEYS: dict[str, Kind] = {PROVIDER_KEYS_KEY: "aes256"}
DRAIN_SECONDS = 20.0


class _Common(TypedDict):
    """What nearly every part is given."""

    clock: SystemClock
    log: Log
    metrics: Metrics


async def serve(config: Config, log: Log, life: Lifecycle) -> None:
    """Serve until stopped. Stops in the reverse order: listener, sessions, calls, stores."""
    clock, metrics = SystemClock(), Metrics("router")
    common: _Common = {"clock": clock, "log": log, "metrics": metrics}
    private, token_uris = config.catalogue.allow_private_upstreams, config.catalogue.token_uris
    keyring, signers = await _keyring(config, common, life)
    pool = await _opened_pool(config, life)
    store = PostgresStore(pool, clock=clock)
    ids = Ids(clock)
    evidence = await open_evidence(
        "router", config.audit, config.rpc.tls, ids=ids, metrics=metrics, log=log, life=life
    )
    upstream = Upstream(config.upstream, allow_private=private)
    life.on_stop("upstream", upstream.close)
    exchange = TokenExchange(upstream, token_uris, clock=clock, metrics=metrics)
    keys = ProviderKeys(keyring, exchange=exchange.token, clock=clock)
    reservations = UsedReservations(limit=config.execute.reservations_remembered_max)
    attempts = Attempts(
        upstream=upstream, keys=keys, reservations=reservations, rules=config.cooldown, **common
    )
    watch = CatalogueWatch(store, keys, attempts.health, private, log=log, metrics=metrics)
    await _keep_watching(watch, life)
    responses = PostgresStoredResponses(pool)
    recorder = _recorder(responses, common, life)
    stored = StoredRequests(responses, attempts, watch, evidence, config.upstream, clock)
    executor = Executor(
        attempts=attempts,
        records=recorder,
        watch=watch,
        must_finish=life.must_finish,
        upstream=config.upstream,
        execute=config.execute,
        **common,
    )
    life.on_stop("calls", partial(life.must_finish.drain, DRAIN_SECONDS))
    servicer = RouterServicer(
        executor=executor,
        watch=watch,
        reservations=reservations,
        signers=signers,
        stored=stored,
        publishers={m.price.model: m.owned_by for m in seed.models() + seed.demo_models()},
        **common,
    )
    admin = RouterAdminServicer(
        store=store,
        watch=watch,
        keys=keys,
        evidence=evidence,
        tester=ProviderTest(upstream, keys, allow_private=private, clock=clock),
        allow_private=private,
        token_uris=token_uris,
        ids=ids,
        clock=clock,
    )
    life.readiness.follow(keys.ready)
    await _listen(config, servicer, admin, common, life)


async def _keyring(config: Config, common: _Common, life: Lifecycle) -> tuple[Keyring, HmacKeys]:
    """The keyring, and the keys by which a token is known for budget's."""
    names = {**names_of(config.keyring, RESERVATION_KEY, "mac"), **KEYS}
    keyring = await open_keyring(config.keyring, names, **common, life=life)
    signers = HmacKeys(await mac_keys(keyring, config.keyring, RESERVATION_KEY))
    take_at_reload(keyring, RESERVATION_KEY, signers.take, life=life, metrics=common["metrics"])
    return keyring, signers


async def _opened_pool(config: Config, life: Lifecycle) -> AsyncConnectionPool:
    pool = await pg.open_pool(config.postgres, name=POOL_NAME)
    life.on_stop("postgres", pool.close)
    await pg.check_schema(pool, package=PACKAGE)
    return pool


async def _keep_watching(watch: CatalogueWatch, life: Lifecycle) -> None:
    await watch.refresh()
    polling = core_task("catalogue", watch.run())
    life.on_stop("catalogue", partial(_cancelled, polling))


def _recorder(store: PostgresStoredResponses, common: _Common, life: Lifecycle) -> Recorder:
    recorder = Recorder(store, **common)
    recorder.start()
    life.on_stop("stored responses", recorder.close)
    return recorder


async def _listen(
    config: Config,
    servicer: RouterServicer,
    admin: RouterAdminServicer,
    common: _Common,
    life: Lifecycle,
) -> None:
    log, metrics = common["log"], common["metrics"]
    server = RpcServer(config.rpc, metrics=metrics, log=log)
    server.add(router_pb2_grpc.add_RouterServiceServicer_to_server, servicer)
    server.add(router_pb2_grpc.add_RouterAdminServiceServicer_to_server, admin)
    life.on_stop("metrics", partial(asyncio.to_thread, metrics.serve(config.metrics.listen)))
    port = await server.start()
    life.on_stop("rpc", server.stop)
    life.on_stop("sessions", partial(servicer.drain, DRAIN_SECONDS))
    server.follow(life.readiness)
    log.info("serving", port=port)
    await life.until_stopped()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def main() -> int:
    return service_process.run(
        "router",
        Config,
        {"serve": serve, "migrate": partial(migrate, PACKAGE), "renew-keys": renew},
        {step.value: partial(rekey, step=step) for step in Step},
    )


if __name__ == "__main__":
    sys.exit(main())
