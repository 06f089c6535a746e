"""The suite as a target: started whole, with the mock as its provider and every red line on.

A fresh home, real engines, mTLS; a tenant and a key with caps that a run cannot reach, and rate
limits, so that ledger, rate buckets and evidence are in the path of every call.
"""

import asyncio
import contextlib
import http.client
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.canned import Dialect
from tests.bench.load import Endpoint, credentials
from tests.bench.target import SUITE, Kind, Process, Target
from tollgate.authz.v1 import authz_pb2
from tollgate.router.v1 import router_pb2
from tollgate_cli import operator_client
from tollgate_cli.fault import Fault
from tollgate_cli.operator_client import Operator
from tollgate_cli.suite.suite import Options, Suite
from tollgate_operations.keys import IssuedKey, issue_key
from tollgate_operations.request_ids import new_request_id
from tollgate_operations.tenants import create_tenant

_ENGINES = frozenset({"postgres", "redis"})
_CATALOGUE_TIMEOUT_S = 20.0
_CAP_NANO_USD = 10**15  # $1,000,000
_REQUESTS_PER_MINUTE = 10_000_000
_TOKENS_PER_MINUTE = 100_000_000_000


@dataclass(frozen=True)
class _Upstream:
    dialect: Dialect
    protocol: Any
    # Base URLs are written as the SDK of each protocol takes them.
    prefix: str


_UPSTREAMS = (
    _Upstream(Dialect.CHAT, router_pb2.CLIENT_PROTOCOL_OPENAI_CHAT, "/v1"),
    _Upstream(Dialect.MESSAGES, router_pb2.CLIENT_PROTOCOL_ANTHROPIC_MESSAGES, ""),
)


@contextlib.contextmanager
def started(upstream_port: int, report: Callable[[str], None]) -> Iterator[Target]:
    """The running suite, ready for calls; stopped and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as name:
        home = Path(name)
        # Passable: root's PostgreSQL runs as another user, and its data is below this.
        home.chmod(0o711)
        suite = Suite(home / "home", Options(edges=1, demo=False, usual_ports=False), report=report)
        suite.start()
        try:
            report("adding the mock as provider, a tenant and a key")
            key = asyncio.run(_set_up(suite.home.operator_toml, upstream_port))
            target = _target(suite, key)
            for dialect in Dialect:
                _wait_listed(target.endpoint, dialect)
            yield target
        finally:
            suite.stop()


def _target(suite: Suite, key: str) -> Target:
    processes = tuple(
        Process(name, suite.pid(name), Kind.ENGINE if name in _ENGINES else Kind.GATEWAY)
        for name in suite.names
    )
    port = int(suite.address("edge-api").rpartition(":")[2])
    return Target(SUITE, Endpoint(port, key), processes)


def _wait_listed(endpoint: Endpoint, dialect: Dialect) -> None:
    """The edge learns of a new model within seconds, not at once. Raises Fault."""
    deadline = time.monotonic() + _CATALOGUE_TIMEOUT_S
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=5)
        try:
            connection.request("GET", "/v1/models", headers=credentials(endpoint.key, dialect))
            if dialect.model.encode() in connection.getresponse().read():
                return
        finally:
            connection.close()
        time.sleep(0.1)
    raise Fault(f"the edge does not list {dialect.model}")


async def _set_up(operator_toml: Path, upstream_port: int) -> str:
    """Everything a call needs, by the admin RPCs; returns the key's text."""
    configuration = operator_client.load(operator_toml, given=True)
    async with Operator(configuration) as operator:
        for upstream in _UPSTREAMS:
            await _add_provider(operator, upstream, upstream_port)
        return await _issue_key(operator)


async def _add_provider(operator: Operator, upstream: _Upstream, port: int) -> None:
    dialect = upstream.dialect
    price = router_pb2.Price(
        model=dialect.model,
        input_pico_usd=150_000,
        output_pico_usd=600_000,
        cache_read_pico_usd=75_000,
        cache_write_5m_pico_usd=187_500,
        cache_write_1h_pico_usd=300_000,
        max_input_tokens=128_000,
        max_output_tokens=16_384,
    )
    name = f"mock-{dialect.name.lower()}"
    model = router_pb2.ProviderModel(model=dialect.model, upstream_model=dialect.model)
    requests = (
        (
            operator.router.SetPrice,
            router_pb2.SetPriceRequest(request_id=new_request_id(), price=price),
        ),
        (
            operator.router.AddProvider,
            router_pb2.AddProviderRequest(
                request_id=new_request_id(),
                name=name,
                protocol=upstream.protocol,
                base_url=f"http://127.0.0.1:{port}{upstream.prefix}",
                models=[model],
            ),
        ),
        (
            operator.router.AddProviderKey,
            router_pb2.AddProviderKeyRequest(
                request_id=new_request_id(), provider=name, secret="bench-upstream-key"
            ),
        ),
    )
    for rpc, request in requests:
        await operator.call(rpc, request)


async def _issue_key(operator: Operator) -> str:
    created = await create_tenant(operator, "bench", _CAP_NANO_USD)
    request = authz_pb2.IssueKeyRequest(
        request_id=new_request_id(),
        tenant_id=created.tenant.tenant_id,
        name="bench",
        environment="live",
        requests_per_minute=_REQUESTS_PER_MINUTE,
        tokens_per_minute=_TOKENS_PER_MINUTE,
    )
    shown: list[IssuedKey] = []
    await issue_key(operator, request, _CAP_NANO_USD, show=shown.append)
    return shown[0].secret.reveal()
