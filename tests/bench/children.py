"""The bench's own processes: mock upstream, relay, nginx. Each is gone when the bench is."""

import contextlib
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tollgate_cli.suite.processes.child import Child, Command
from tollgate_cli.suite.processes.ports import free_port

_REPOSITORY = Path(__file__).parents[2]
_START_TIMEOUT_S = 15.0
_NGINX_CONFIG = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  keepalive_requests 10000000;
  upstream model {{
    server 127.0.0.1:{upstream_port};
    keepalive 256;
    keepalive_requests 10000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Server:
    """A started process that listens on a loopback port."""

    pid: int
    port: int


class NotStartedError(Exception):
    """A process did not come to listen."""


@contextlib.contextmanager
def mock_upstream() -> Iterator[Server]:
    with _python("tests.bench.mock_upstream") as server:
        yield server


@contextlib.contextmanager
def relay(upstream_port: int) -> Iterator[Server]:
    upstream = f"http://127.0.0.1:{upstream_port}"
    with _python("tests.bench.relay", "--upstream", upstream) as server:
        yield server


def nginx_program() -> str | None:
    """Where nginx is; Debian has it outside an ordinary user's PATH."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def nginx(program: str, upstream_port: int) -> Iterator[Server]:
    port = free_port()
    with _directory() as directory:
        config = directory / "nginx.conf"
        text = _NGINX_CONFIG.format(directory=directory, port=port, upstream_port=upstream_port)
        config.write_text(text, encoding="utf-8")
        # `-e`: else it opens its compiled-in log before it has read this configuration.
        argv = (program, "-e", "stderr", "-c", str(config), "-p", str(directory))
        with _listening("nginx", Command(argv, directory / "nginx.log"), port) as server:
            yield server


@contextlib.contextmanager
def _python(module: str, *options: str) -> Iterator[Server]:
    port = free_port()
    with _directory() as directory:
        argv = (sys.executable, "-m", module, "--port", str(port), *options)
        command = Command(
            argv, directory / "output.log", environment={"PYTHONPATH": str(_REPOSITORY)}
        )
        with _listening(module, command, port) as server:
            yield server


@contextlib.contextmanager
def _listening(name: str, command: Command, port: int) -> Iterator[Server]:
    child = Child(name, command)
    try:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not _answers(port):
            if child.exit_code() is not None or time.monotonic() > deadline:
                raise NotStartedError(f"{name} did not start:\n" + "\n".join(child.log_tail()))
            time.sleep(0.05)
        yield Server(child.pid, port)
    finally:
        child.stop(timeout_s=5)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as name:
        # Passable: nginx as root hands its workers to another user.
        Path(name).chmod(0o711)
        yield Path(name)
