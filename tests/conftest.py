"""Fixtures that every kind of test may use: real engines and one suite, each started at first use."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
import redis
import uvloop
from hypothesis import HealthCheck, settings

from tests import engines
from tests.live import Live, own_suite
from tests.vault import binary
from tests.vault.server import VaultServer, vault_server
from tollgate_cli.suite.processes.child import Child

# Its limits on wall-clock time fail on a busy machine, and say nothing of the code.
settings.register_profile(
    "any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any_machine")

BUILD: pytest.StashKey[Child] = pytest.StashKey()
ON_UVLOOP = {"test_pipe.py", "test_audit_store.py", "test_ledger_postgres.py"}


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests of sockets run on the loop that services run on: its transports and polls are its own.

    Not those that start processes: it forks where gRPC has threads, and the child may hang.
    """
    if "contract/router" in item.path.as_posix() or item.path.name in ON_UVLOOP:
        return {"uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where a Vault must be built first, the tests that want one come last, and have the time."""
    wanting = [item for item in items if "vault_program" in getattr(item, "fixturenames", ())]
    if not wanting or binary.is_at_hand():
        return
    for item in wanting:
        item.add_marker(pytest.mark.timeout(binary.BUILD_TIMEOUT_S + 300))
    chosen = set(wanting)
    items[:] = [item for item in items if item not in chosen] + wanting
    # Meanwhile the others run.
    wanting[0].config.stash[BUILD] = binary.begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    """A build that nobody waits for any more ends; what it has compiled is kept."""
    if (build := config.stash.get(BUILD, None)) is not None:
        build.stop(timeout_s=10)


@pytest.fixture(scope="session")
def vault_program(pytestconfig: pytest.Config) -> Path:
    """The Vault program; a build is waited for, and shown."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(text, file=sys.stderr, flush=True)

    return binary.program(say)


@pytest.fixture(scope="session")
def vault(vault_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    """A running Vault, shared: neither to be sealed nor stopped (`vault_server()` is)."""
    with vault_server(tmp_path_factory.mktemp("vault")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[engines.PostgresServer]:
    """A running PostgreSQL, shared: not to be killed (`engines.postgres_server()` is)."""
    with engines.postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def redis_engine() -> Iterator[engines.RedisServer]:
    """A running Redis, shared."""
    with engines.redis_server() as server:
        yield server


@pytest.fixture
def postgres_dsn(postgres: engines.PostgresServer) -> Callable[[], str]:
    """Makes a new, empty database on each call and returns its DSN."""
    return lambda: engines.fresh_database(postgres)


@pytest.fixture
def redis_url(redis_engine: engines.RedisServer) -> str:
    """The URL of an empty Redis."""
    client = redis.Redis.from_url(redis_engine.url)
    client.flushall()
    client.close()
    return redis_engine.url


@pytest.fixture
def postgres_admin(postgres: engines.PostgresServer) -> Iterator[psycopg.Connection]:
    """A superuser's connection to the shared server."""
    with psycopg.connect(postgres.engine.dsn(), autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A running suite with two edges and the demo provider, shared: kill nothing of it."""
    with own_suite(tmp_path_factory.mktemp("suite") / "home", edges=2) as driver:
        yield driver
