"""The budget process, `python -m tollgate_budget --config FILE [serve|migrate]`: wires, waits."""

import asyncio
from functools import partial
from typing import Final

from tollgate.budget.v1 import budget_pb2_grpc
from tollgate_budget.admin_servicer import BudgetAdminServicer
from tollgate_budget.config import BudgetConfig
from tollgate_budget.group_commit import GroupCommit, Limits
from tollgate_budget.keeper import Keeper
from tollgate_budget.ledger import postgres_writer
from tollgate_budget.ledger.postgres_writer import PostgresWriter
from tollgate_budget.ledger.store_postgres import PostgresLedger
from tollgate_budget.measures import Measures
from tollgate_budget.rates.store_redis import RedisRates, open_redis
from tollgate_budget.read_servicer import BudgetReadServicer
from tollgate_budget.servicer import BudgetServicer
from tollgate_budget.token import TokenMaker
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

IDENTITY: Final = "budget"
PACKAGE: Final = "tollgate_budget"
RESERVATION_KEY: Final = "reservation"  # the keyring's name of it; router has it, too
SESSION_DRAIN_S: Final = 10.0


async def _migrate(config: BudgetConfig, log: Log, _life: Lifecycle) -> None:
    applied = await pg.migrate(config.postgres, package=PACKAGE)
    log.info("budget.migrated", applied=applied)


async def _open_ledger(config: BudgetConfig, measures: Measures, life: Lifecycle) -> PostgresLedger:
    standby_required = config.ledger.standby_required
    pool = await pg.open_pool(config.postgres, name=PACKAGE, standby_required=standby_required)
    life.on_stop("postgres", pool.close)
    await pg.check_schema(pool, package=PACKAGE)
    connect = partial(
        postgres_writer.connect, config.postgres.dsn, standby_required=standby_required
    )
    writer = PostgresWriter(connect, on_unknown=measures.commits_unknown.inc)
    life.on_stop("writer", writer.close)
    return PostgresLedger(writer, pool)


async def _tokens(
    config: BudgetConfig, clock: SystemClock, metrics: Metrics, log: Log, life: Lifecycle
) -> TokenMaker:
    keyring = await open_keyring(
        config.keyring,
        names_of(config.keyring, RESERVATION_KEY, "mac"),
        clock=clock,
        metrics=metrics,
        log=log,
        life=life,
    )
    tokens = TokenMaker(await mac_keys(keyring, config.keyring, RESERVATION_KEY))
    take_at_reload(keyring, RESERVATION_KEY, tokens.take, life=life, metrics=metrics)
    return tokens


async def _serve(config: BudgetConfig, log: Log, life: Lifecycle) -> None:
    clock, metrics = SystemClock(), Metrics(IDENTITY)
    measures = Measures(metrics)
    tokens = await _tokens(config, clock, metrics, log, life)
    ledger = await _open_ledger(config, measures, life)
    rates = RedisRates(open_redis(config.redis.url))
    life.on_stop("redis", rates.close)
    evidence = await open_evidence(
        IDENTITY, config.audit, config.rpc.tls, ids=Ids(clock), metrics=metrics, log=log, life=life
    )

    limits = Limits(
        batch_steps_max=config.ledger.batch_steps_max,
        queue_steps_max=config.ledger.queue_steps_max,
        pace_s=config.ledger.pace_ms / 1000,
    )
    group = GroupCommit(ledger, rates, clock=clock, measures=measures, log=log, limits=limits)
    group.start()
    life.on_stop("group_commit", group.close)
    keeper = Keeper(ledger, group, clock=clock, measures=measures, log=log)

    service = BudgetServicer(group, tokens, metrics=metrics, log=log)
    server = RpcServer(config.rpc, metrics=metrics, log=log)
    server.add(budget_pb2_grpc.add_BudgetServiceServicer_to_server, service)
    server.add(
        budget_pb2_grpc.add_BudgetReadServiceServicer_to_server,
        BudgetReadServicer(ledger, clock=clock),
    )
    server.add(
        budget_pb2_grpc.add_BudgetAdminServiceServicer_to_server,
        BudgetAdminServicer(ledger, evidence, clock=clock, log=log),
    )
    port = await server.start()
    life.on_stop("rpc", server.stop)
    life.on_stop("sessions", partial(service.sessions.drain, SESSION_DRAIN_S))
    stop_metrics = metrics.serve(config.metrics.listen)
    life.on_stop("metrics", partial(asyncio.to_thread, stop_metrics))
    server.follow(life.readiness)
    log.info("budget.serving", port=port)
    loops = (
        core_task("sweep", keeper.sweep_forever(config.ledger.sweep_ms / 1000)),
        core_task("check", keeper.check_forever(config.ledger.check_ms / 1000)),
    )
    await life.until_stopped()
    for loop in loops:
        loop.cancel()


def main() -> int:
    return service_process.run(IDENTITY, BudgetConfig, {"serve": _serve, "migrate": _migrate})


if __name__ == "__main__":
    raise SystemExit(main())
