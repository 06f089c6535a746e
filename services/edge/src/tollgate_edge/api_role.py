"""The wiring of the `api` role: connections, steps, routes, and the order of stopping."""

import asyncio
from dataclasses import dataclass
from typing import Any

from tollgate.audit.v1 import audit_pb2, audit_pb2_grpc
from tollgate.authz.v1 import authz_pb2_grpc
from tollgate.budget.v1 import budget_pb2
from tollgate.router.v1 import router_pb2, router_pb2_grpc
from tollgate_edge.api.admission import Admission
from tollgate_edge.api.asgi import EdgeApp
from tollgate_edge.api.call.call_evidence import CallEvidence
from tollgate_edge.api.call.ledger import Ledger
from tollgate_edge.api.call.settle_queue import SettleQueue
from tollgate_edge.api.catalogue import Catalogue
from tollgate_edge.api.count_api import CountApi
from tollgate_edge.api.observation import Observation
from tollgate_edge.api.pipeline import Pipeline
from tollgate_edge.api.read_api import ReadApi
from tollgate_edge.api.request_reader import RequestReader
from tollgate_edge.api.stored_api import StoredApi
from tollgate_edge.api.stored_responses import StoredResponses
from tollgate_edge.config import EdgeApiConfig
from tollgate_edge.headers import client_address
from tollgate_edge.headers.cross_origin import CrossOrigin
from tollgate_edge.http.connections import Connections, possible
from tollgate_edge.http.listener import HttpListener, malformed_answer
from tollgate_edge.identity.decision_cache import DecisionCache
from tollgate_edge.identity.identity import Identity, KeyGrant
from tollgate_edge.identity.revocation_watch import RevocationWatch
from tollgate_edge.limits.pace import Pace
from tollgate_kit import config as kit_config
from tollgate_kit.clock import Clock, SystemClock
from tollgate_kit.evidence import EvidenceProducer
from tollgate_kit.ids import Ids
from tollgate_kit.lifecycle import Lifecycle
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.client import CountedChannel
from tollgate_kit.rpc.session_client import SessionPool

IDENTITY = "edge-api"
CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class Peers:
    """The sessions with budget, router and audit."""

    budget: SessionPool
    router: SessionPool
    audit: SessionPool


@dataclass(frozen=True)
class Tools:
    """What every part is given."""

    clock: Clock
    ids: Ids
    metrics: Metrics
    log: Log


async def _connect(config: EdgeApiConfig, life: Lifecycle, tools: Tools) -> Peers:
    pools = []
    for peer, name, messages in (
        (config.budget, "tollgate.budget.v1.BudgetService", budget_pb2),
        (config.router, "tollgate.router.v1.RouterService", router_pb2),
        (config.audit, "tollgate.audit.v1.AuditService", audit_pb2),
    ):
        pool = SessionPool(
            peer,
            config.tls,
            service=name,
            request_type=messages.SessionRequest,
            response_type=messages.SessionResponse,
            metrics=tools.metrics,
            log=tools.log,
        )
        await pool.start(wait_s=CONNECT_SECONDS)
        life.on_stop(f"session {peer.identity}", pool.close)
        pools.append(pool)
    return Peers(*pools)


def _stub(
    config: EdgeApiConfig, life: Lifecycle, peer: kit_config.PeerConfig, stub: Any, tools: Tools
) -> Any:
    channel = CountedChannel(peer, config.tls, tools.metrics)
    life.on_stop(f"channel {peer.identity}", channel.close)
    return stub(channel)


async def serve(config: EdgeApiConfig, life: Lifecycle, log: Log) -> None:
    """Build everything, serve until stopped. What is registered last stops first."""
    clock, metrics = SystemClock(), Metrics(IDENTITY)
    stop_metrics = metrics.serve(config.metrics.listen)

    async def close_metrics() -> None:
        stop_metrics()

    life.on_stop("metrics", close_metrics)
    tools = Tools(clock, Ids(clock), metrics, log)
    peers = await _connect(config, life, tools)
    evidence = await _evidence(config, life, peers, tools)
    ledger = await _ledger(config, life, peers, tools)
    identity = await _identity(config, life, tools)
    catalogue = await _catalogue(config, life, tools)
    admission = Admission(config.limits, clock=clock)
    metrics.gauge("bodies_bytes", "Bytes of request bodies held.").set_function(
        lambda: admission.bytes.used
    )
    metrics.gauge("bodies_arriving", "Requests whose body is still to come.").set_function(
        lambda: admission.arriving.used
    )
    reader = RequestReader()

    async def close_reader() -> None:
        reader.close()

    life.on_stop("request reader", close_reader)
    responses = StoredResponses(peers.router)
    pipeline = Pipeline(
        identity=identity,
        admission=admission,
        reader=reader,
        catalogue=catalogue,
        ledger=ledger,
        router=peers.router,
        responses=responses,
        evidence=evidence,
        limits=config.limits,
        pace=Pace(),
        observation=Observation(clock=clock, metrics=metrics, log=log),
        clock=clock,
        log=log,
    )
    metrics.gauge("calls_in_flight", "Calls being served.").set_function(lambda: pipeline.in_flight)
    counts = CountApi(pipeline=pipeline, admission=admission, reader=reader, catalogue=catalogue)
    stored = StoredApi(pipeline=pipeline, admission=admission, responses=responses)
    await _listen(config, life, pipeline, (counts, stored), catalogue, peers, tools)
    await life.until_stopped()


async def _evidence(
    config: EdgeApiConfig, life: Lifecycle, peers: Peers, tools: Tools
) -> CallEvidence:
    producer = EvidenceProducer(
        peers.audit, identity=IDENTITY, ids=tools.ids, metrics=tools.metrics, log=tools.log
    )
    await producer.start()
    life.on_stop("evidence", producer.close)
    return CallEvidence(
        producer,
        timeout_s=config.evidence.durable_ms / 1000,
        lag_max_s=config.evidence.lag_ms / 1000,
        denials=config.limits.shares(config.evidence.denials_max),
        clock=tools.clock,
        metrics=tools.metrics,
        log=tools.log,
    )


async def _ledger(config: EdgeApiConfig, life: Lifecycle, peers: Peers, tools: Tools) -> Ledger:
    settlements = SettleQueue(
        peers.budget,
        keep_seconds=config.settle.keep_seconds,
        timeout_s=config.budget.timeout_ms / 1000,
        clock=tools.clock,
        metrics=tools.metrics,
        log=tools.log,
    )
    await settlements.start()
    life.on_stop("settlements", lambda: settlements.close(config.settle.stop_seconds))
    return Ledger(
        peers.budget,
        settlements,
        reservation_seconds=config.limits.reservation_seconds,
        timeout_s=config.budget.timeout_ms / 1000,
        ids=tools.ids,
        metrics=tools.metrics,
        log=tools.log,
    )


async def _identity(config: EdgeApiConfig, life: Lifecycle, tools: Tools) -> Identity:
    authz = _stub(config, life, config.authz, authz_pb2_grpc.AuthzServiceStub, tools)
    cache: DecisionCache[KeyGrant] = DecisionCache(
        secret=tools.ids.random(32), entries_max=config.cache.entries_max
    )
    watch = RevocationWatch(authz.WatchRevocations, cache, clock=tools.clock, log=tools.log)
    await watch.start()
    life.on_stop("revocations", watch.close)
    timeout_s = config.authz.timeout_ms / 1000
    checks = config.limits.shares(config.limits.calls_max)
    return Identity(authz.Check, cache, checks=checks, clock=tools.clock, timeout_s=timeout_s)


async def _catalogue(config: EdgeApiConfig, life: Lifecycle, tools: Tools) -> Catalogue:
    router = _stub(config, life, config.router, router_pb2_grpc.RouterServiceStub, tools)
    catalogue = Catalogue(
        router.ListModels,
        poll_seconds=config.catalogue.poll_ms / 1000,
        timeout_s=config.router.timeout_ms / 1000,
        log=tools.log,
    )
    await catalogue.start()
    life.on_stop("catalogue", catalogue.close)
    return catalogue


async def _listen(
    config: EdgeApiConfig,
    life: Lifecycle,
    pipeline: Pipeline,
    beside: tuple[CountApi, StoredApi],
    catalogue: Catalogue,
    peers: Peers,
    tools: Tools,
) -> None:
    receipts = _stub(config, life, config.audit, audit_pb2_grpc.AuditReceiptServiceStub, tools)

    def ready() -> bool:
        connected = peers.budget.connected and peers.router.connected and peers.audit.connected
        return connected and catalogue.loaded and not pipeline.stopping

    reads = ReadApi(
        pipeline=pipeline,
        catalogue=catalogue,
        get_call=receipts.GetCall,
        audit_timeout_s=config.audit.timeout_ms / 1000,
        ready=ready,
    )
    limits = config.limits
    connections = Connections(
        limits.shares(possible(limits.connections_max)),
        client_address.networks(limits.trusted_proxies),
        asyncio.get_running_loop().call_later,
    )
    tools.metrics.gauge("connections", "Open client connections.").set_function(
        lambda: len(connections)
    )
    listener = HttpListener(
        EdgeApp(
            pipeline,
            *beside,
            reads.app,
            origins=CrossOrigin(config.cross_origin.origins),
            ids=tools.ids,
            log=tools.log,
        ),
        config.api,
        body_seconds=config.limits.body_seconds,
        malformed=lambda: malformed_answer(tools.ids.uuid7()),
        connections=connections,
    )
    port = await listener.start()
    life.on_stop("listener", listener.stop)

    async def refuse_calls() -> None:
        pipeline.stopping = True

    life.on_stop("new calls", refuse_calls)
    tools.log.info("edge.api_ready", port=port)
