"""The audit process: reads its configuration, wires the parts, serves until told to stop.

python -m tollgate_audit --config FILE            serve
python -m tollgate_audit --config FILE migrate    bring the database to this program's version
python -m tollgate_audit --config FILE vkey       print the log's verifier key
python -m tollgate_audit --config FILE rekey --from FORMER_FILE    move to another keyring
    (rekey-check only looks; rekey-rest leaves what nothing opens)
python -m tollgate_audit --config FILE renew-keys    leave older versions of the subject keys' key
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from tollgate.audit.v1 import audit_pb2_grpc
from tollgate_audit import rights
from tollgate_audit.config import AuditConfig
from tollgate_audit.key_change import KeyChange, signer_of
from tollgate_audit.log.batcher import Batcher
from tollgate_audit.log.entry_mac import EntryMac
from tollgate_audit.log.evidence_check import EvidenceCheck
from tollgate_audit.log.publish_right import PublishRights
from tollgate_audit.log.publisher import Publisher
from tollgate_audit.log.signer import KEYRING_KEY as LOG_KEY
from tollgate_audit.log.signer import Signer
from tollgate_audit.log.store_postgres import PostgresStore
from tollgate_audit.read_servicer import AuditReadServicer
from tollgate_audit.receipt_servicer import AuditReceiptServicer
from tollgate_audit.rekey import POOL_NAME, rekey, renew
from tollgate_audit.servicer import AuditServicer
from tollgate_audit.subject_keys import KEYRING_KEY as SUBJECT_KEYS_KEY
from tollgate_audit.subject_keys import SubjectKeys
from tollgate_audit.worm.directory import LocalWorm
from tollgate_kit import service_process
from tollgate_kit.clock import Clock, SystemClock
from tollgate_kit.config import PostgresConfig
from tollgate_kit.ids import Ids
from tollgate_kit.keyring.base import Keyring
from tollgate_kit.keyring.open import at_reload, names_of, open_keyring
from tollgate_kit.keyring.rekey import Step
from tollgate_kit.lifecycle import Lifecycle
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.postgres import pool as pg
from tollgate_kit.rpc.server import RpcServer
from tollgate_kit.secret import Secret

PACKAGE = "tollgate_audit"
MARKS = "0002_mark.sql"  # the migration from which on entries carry marks
DRAIN_SECONDS = 10.0


async def serve(settings: AuditConfig, log: Log, life: Lifecycle) -> None:
    clock = SystemClock()
    metrics = Metrics("audit")
    keyring = await _keyring(settings, clock, metrics, log, life)
    signer = await signer_of(keyring, settings)

    pool = await pg.open_pool(settings.postgres, name=POOL_NAME, check=False)
    life.on_stop("pool", pool.close)
    await pg.check_schema(pool, package=PACKAGE)
    await rights.check_writer(pool)
    mac = EntryMac(*await signer.secrets())
    store = PostgresStore(pool, mac=mac, unpublished_max=settings.log.unpublished_entries_max)
    life.on_stop("store", store.close)

    worm = LocalWorm(settings.log.directory)
    await worm.open()
    publisher = Publisher(
        PublishRights(pool, mac),
        worm,
        signer,
        interval_s=settings.log.publish_interval_ms / 1000,
        clock=clock,
        metrics=metrics,
        log=log,
    )
    publisher.start()
    life.on_stop("publisher", publisher.stop)

    batcher = Batcher(
        store.append, queue_entries_max=settings.log.queue_entries_max, metrics=metrics, log=log
    )
    batcher.start()
    life.on_stop("batcher", batcher.stop)
    change = KeyChange(signer, mac, store, batcher.submit, worm, clock=clock, log=log)
    await change.begin(settings.log.verifier_key_path)
    subject_keys = SubjectKeys(store, keyring, ids=Ids(clock), clock=clock)
    at_reload(keyring, change.take, life=life, metrics=metrics, settle=subject_keys.settled)
    servicer = AuditServicer(batcher, subject_keys, metrics=metrics, log=log)
    server = RpcServer(settings.rpc, metrics=metrics, log=log)
    server.add(audit_pb2_grpc.add_AuditServiceServicer_to_server, servicer)
    evidence = EvidenceCheck(worm, signer, mac, metrics=metrics, log=log)
    receipts = AuditReceiptServicer(store, evidence)
    reads = AuditReadServicer(store, worm, evidence)
    server.add(audit_pb2_grpc.add_AuditReceiptServiceServicer_to_server, receipts)
    server.add(audit_pb2_grpc.add_AuditReadServiceServicer_to_server, reads)
    stop_metrics = metrics.serve(settings.metrics.listen)
    life.on_stop("metrics", lambda: asyncio.to_thread(stop_metrics))
    port = await server.start()
    life.on_stop("rpc", server.stop)
    life.on_stop("sessions", lambda: servicer.sessions.drain(DRAIN_SECONDS))
    life.readiness.follow(subject_keys.ready)
    server.follow(life.readiness)
    log.info("ready", port=port)
    await life.until_stopped()


async def _keyring(
    settings: AuditConfig, clock: Clock, metrics: Metrics, log: Log, life: Lifecycle
) -> Keyring:
    return await open_keyring(
        settings.keyring,
        {**names_of(settings.keyring, LOG_KEY, "ed25519"), SUBJECT_KEYS_KEY: "aes256"},
        clock=clock,
        metrics=metrics,
        log=log,
        life=life,
    )


async def _signer(settings: AuditConfig, log: Log, life: Lifecycle) -> Signer:
    """For a command that signs or shows the key, and ends."""
    keyring = await _keyring(settings, SystemClock(), Metrics("audit"), log, life)
    return await signer_of(keyring, settings)


async def _vkey(settings: AuditConfig, log: Log, life: Lifecycle) -> None:
    signer = await _signer(settings, log, life)
    sys.stdout.write(f"{signer.verifier_key}\n")


async def _migrate(settings: AuditConfig, log: Log, life: Lifecycle) -> None:
    """As the owner; the writer's role gets its rights, and no more than these."""
    owner = PostgresConfig(dsn=Secret(settings.owner.dsn_path.read_text("utf-8").strip()))
    applied = await pg.migrate(owner, package=PACKAGE)
    writer = conninfo_to_dict(settings.postgres.dsn.reveal()).get("user")
    async with await AsyncConnection.connect(owner.dsn.reveal(), autocommit=True) as connection:
        await rights.grant(connection, str(writer))
        # A new log has nothing to mark: its keyring may be where a migration cannot reach, or in
        # a Vault, whose secret-id is the service's own to use up.
        if MARKS in applied and await rights.has_unpublished(connection):
            signer = await _signer(settings, log, life)
            marked = await rights.mark_unpublished(connection, EntryMac(*await signer.secrets()))
            log.info("marked", entries=marked)
    log.info("migrated", applied=applied)


def main() -> int:
    commands = {"serve": serve, "migrate": _migrate, "vkey": _vkey, "renew-keys": renew}
    return service_process.run(
        "audit", AuditConfig, commands, {step.value: partial(rekey, step=step) for step in Step}
    )


if __name__ == "__main__":
    sys.exit(main())
