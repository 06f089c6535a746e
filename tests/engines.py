"""Real engines for tests: PostgreSQL 18 and Redis from the wheels.

with postgres_server() as server:      # about 1 s; stopped and removed at the end
    dsn = fresh_database(server)       # about 50 ms, a database of its own
with redis_server() as server:
    url = server.url
"""

import contextlib
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tollgate_cli.suite.engines.postgres import EmbeddedPostgres, wait_ready
from tollgate_cli.suite.engines.redis import EmbeddedRedis
from tollgate_cli.suite.processes.child import Child
from tollgate_cli.suite.processes.ports import free_port


@dataclass
class PostgresServer:
    """A running server. `process` may be killed and started again by chaos tests."""

    engine: EmbeddedPostgres
    process: Child
    log: Path

    def restart(self) -> None:
        """Starts it again after `process.kill()` or `.stop()`: same port, same data."""
        self.engine.await_orphans()
        self.process = Child("postgres", self.engine.command(self.log))
        if not wait_ready(self.engine, timeout_s=30):
            raise AssertionError("\n".join(self.process.log_tail()))


@dataclass
class RedisServer:
    """A running server."""

    engine: EmbeddedRedis
    process: Child
    log: Path

    @property
    def url(self) -> str:
        return self.engine.url()

    def restart(self) -> None:
        """Starts it again, empty."""
        self.process = Child("redis", self.engine.command(self.log))
        _wait_redis(self)


@contextlib.contextmanager
def postgres_server(parent: Path | None = None) -> Iterator[PostgresServer]:
    """A PostgreSQL of its own, in a new directory below `parent` (else a temporary one)."""
    with _directory(parent) as directory:
        engine = EmbeddedPostgres(
            directory / "postgres", port=free_port(), password_file=directory / "password"
        )
        engine.initialise()
        log = directory / "postgres.log"
        server = PostgresServer(engine, Child("postgres", engine.command(log)), log)
        try:
            if not wait_ready(engine, timeout_s=30):
                raise AssertionError("\n".join(server.process.log_tail()))
            yield server
        finally:
            server.process.stop(timeout_s=10)


def fresh_database(server: PostgresServer) -> str:
    """The DSN of a new, empty database with a login role of its own."""
    name = f"test_{secrets.token_hex(6)}"
    return server.engine.ensure_database(name, secrets.token_urlsafe(12))


def fresh_split_database(server: PostgresServer) -> tuple[str, str]:
    """As fresh_database(), but owned by another role: the DSNs of the writer and of the owner."""
    name, passwords = f"test_{secrets.token_hex(6)}", [secrets.token_urlsafe(12) for _ in range(2)]
    return server.engine.ensure_split_database(
        name, passwords[0], owner=f"{name}_owner", owner_password=passwords[1]
    )


@contextlib.contextmanager
def redis_server(parent: Path | None = None) -> Iterator[RedisServer]:
    """A Redis of its own."""
    with _directory(parent) as directory:
        engine = EmbeddedRedis(directory, port=free_port())
        engine.initialise()
        log = directory / "redis.log"
        server = RedisServer(engine, Child("redis", engine.command(log)), log)
        try:
            _wait_redis(server)
            yield server
        finally:
            server.process.stop(timeout_s=10)


def _wait_redis(server: RedisServer) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and server.process.exit_code() is None:
        if server.engine.ready():
            return
        time.sleep(0.02)
    raise AssertionError("\n".join(server.process.log_tail()))


@contextlib.contextmanager
def _directory(parent: Path | None) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="tollgate-test-", dir=parent))
    # Passable, so that root's PostgreSQL (run as `nobody`) reaches its own directory in here.
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
