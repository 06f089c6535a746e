"""A small mesh for tests: certificates, a server, a session pool, on loopback with mutual TLS."""

import contextlib
import datetime as dt
import io
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from tollgate_cli import certificates
from tollgate_cli.deployment import topology_file
from tollgate_cli.suite.processes.ports import free_port
from tollgate_kit.clock import SystemClock
from tollgate_kit.config import PeerConfig, RpcConfig, TlsConfig
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.server import RpcServer
from tollgate_kit.rpc.session_client import SessionPool


def quiet_log() -> Log:
    """A log that goes nowhere."""
    return Log("test", out=io.StringIO())


class Mesh:
    """A dev CA in a directory, and the identities it signed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        certificates.ensure(directory, topology_file.packaged().identities, SystemClock())
        self.metrics = Metrics("test")

    def tls(self, identity: str) -> TlsConfig:
        """The files of one identity."""
        files = certificates.files(self.directory, identity)
        return TlsConfig(files.ca, files.cert, files.key)

    def expired(self, identity: str) -> TlsConfig:
        """A certificate of the right CA that ended yesterday."""
        authority = certificates.load_authority(self.directory)
        assert authority is not None
        now = dt.datetime.fromtimestamp(SystemClock().unix_ms() / 1000, dt.UTC)
        cert, key = certificates.issue(identity, authority, now=now, days=-1)
        place = self.directory / "expired"
        place.mkdir(exist_ok=True)
        certificates._save(place / "c.pem", place / "k.pem", cert, key)
        return TlsConfig(self.directory / "ca.pem", place / "c.pem", place / "k.pem")

    @contextlib.asynccontextmanager
    async def server(
        self, identity: str, allow: Mapping[str, tuple[str, ...]], *servicers, port: int = 0
    ) -> AsyncIterator[str]:
        """Serve (register, servicer) pairs; the address."""
        address = f"127.0.0.1:{port or free_port()}"
        config = RpcConfig(address, self.tls(identity), dict(allow))
        server = RpcServer(config, metrics=self.metrics, log=quiet_log())
        for register, servicer in servicers:
            server.add(register, servicer)
        await server.start()
        try:
            yield address
        finally:
            await server.stop(0)

    @contextlib.asynccontextmanager
    async def pool(
        self, caller: str, peer: PeerConfig, service: str, messages, tls: TlsConfig | None = None
    ) -> AsyncIterator[SessionPool]:
        """A connected session pool; messages is the _pb2 module with SessionRequest/Response."""
        pool = SessionPool(
            peer,
            tls or self.tls(caller),
            service=service,
            request_type=messages.SessionRequest,
            response_type=messages.SessionResponse,
            metrics=self.metrics,
            log=quiet_log(),
        )
        await pool.start(wait_s=2)
        try:
            yield pool
        finally:
            await pool.close()
